"""Members as containers on instances of EC2: the `Launcher` that `FleetCluster` drives."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve, frozen

from scalable_aws import ec2_requests as requests
from scalable_aws.account import Account, CallError
from scalable_aws.logs import last_lines, new_reports, reports_of, stream_of
from scalable_aws.machine_standing import find_image, find_or_make_machines
from scalable_aws.machines import KIND, SLOTS, TEMPLATE, describe_instances, terminate
from scalable_aws.options import Ec2Options
from scalable_aws.reach import Reach
from scalable_aws.reader import reader_source
from scalable_aws.release import release_run
from scalable_aws.secrets import SecretStore
from scalable_aws.standing import RUN, log_group_name, secrets_path
from scalable_aws.tasks import note_own_task
from scalable_core.cluster.launcher import (
    Fleet,
    LaunchFailure,
    LaunchResult,
    Member,
    MemberGroup,
    Offer,
    Rate,
)
from scalable_core.errors import ClusterError
from scalable_core.types import Resource

#: Seconds for which a new instance profile may not be known everywhere yet.
SETTLING = 90.0
#: Seconds for which a machine may be without a member before it is ended.
EMPTY = 120.0


@frozen(kw_only=True)
class _Place:
    """Where a member is: a slot on an instance, bought by an offer; in its first container, or a later one."""

    instance: str
    slot: int
    group: str
    offer: Offer
    shared: bool
    number: int = 0

    @property
    def id(self) -> str:
        own = f"{self.instance}.{self.slot}"
        return f"{own}.{self.number}" if self.number else own


class Ec2Launcher:
    """Runs the members of one run as containers on instances, several on one where they are small.

    Args:
        options: Of the target.
        storage: Where artifacts and results go; members may read and write below it.
        is_driver: This process is a member itself, with the scheduler in it: there is none to be reached.
    """

    provider = "aws"
    kind = KIND
    batch = 200
    listen = ("0.0.0.0", 8786)
    # EC2 takes a thousand instances at once and two a second after; calls that change something are rarer.
    rates: Mapping[str, Rate] = {
        "launch": Rate(burst=5, per_second=1),
        "members": Rate(burst=900, per_second=2),
        "stop": Rate(burst=5, per_second=2),
        "poll": Rate(burst=10, per_second=2),
    }
    poll_interval = 3.0

    def __init__(
        self, options: Ec2Options, storage: str | None = None, *, is_driver: bool = False
    ) -> None:
        self.options = options
        self.region: str | None = options.region
        self.data: Mapping[str, Any] = {
            "region": options.region,
            "profile": options.profile,
            "cluster_type": "ec2",
        }
        self._account = Account.of(options)
        self._storage, self._is_driver = storage, is_driver
        self._sizings: dict[str, requests.Sizing] = {}
        self._templates: dict[str, asyncio.Task[str]] = {}
        self._places: dict[str, _Place] = {}
        self._free: dict[tuple[str, str], list[_Place]] = {}
        self._names: dict[str, str] = {}
        self._told = 0
        self._said: dict[str, Mapping[str, Any]] = {}
        self._heard: str | None = None
        self._lonely: dict[str, float] = {}
        self._launching, self._doubtful = 0, False
        self._opened = time.monotonic()

    def offers(self, group: MemberGroup) -> Sequence[Offer]:
        """Return Spot before on-demand, or one of them, as the target says."""
        self._sizings[group.name] = requests.sizing_of(group, self.options)
        return requests.offers_of(group, self.options)

    async def open(self, fleet: Fleet) -> None:
        """Find or make what stands, and make what lets this machine reach the scheduler."""
        self._fleet = fleet
        self.data = {**self.data, "log_group": log_group_name(fleet.project)}
        self._tags = {**self.options.tags, **fleet.tags}
        self._program = fleet.program(reader_source())
        path = f"{secrets_path(fleet.project)}/{fleet.run}"
        self._secrets = SecretStore(self._account, path, self._tags, fleet.ledger)
        self._standing = await find_or_make_machines(
            self._account, self.options, fleet.project, self._storage
        )
        self._reach = Reach(self._account, self._standing, fleet, self._tags)
        if self._is_driver:
            await note_own_task(fleet.ledger, self.region)
        else:
            await self._reach.open(self.listen[1])
        self._opened = time.monotonic()

    async def publish(self, documents: Mapping[str, str]) -> None:
        """Put documents into Parameter Store."""
        await self._secrets.publish(documents)

    async def launch(self, group: MemberGroup, names: Sequence[str], offer: Offer) -> LaunchResult:
        """Fill what is free on machines that are there, and start machines for the others with one call."""
        sizing = self._sizings[group.name]
        free = self._free.setdefault((group.name, offer.name), [])
        places = [free.pop() for _ in names[: len(free)]]
        failure = None
        if missing := len(names) - len(places):
            count = math.ceil(missing / sizing.share)
            self._launching += 1
            try:
                started, failure = await self._start(group, count, names, offer)
            finally:
                self._launching -= 1
            fresh = [
                _Place(
                    instance=own,
                    slot=slot,
                    group=group.name,
                    offer=offer,
                    shared=sizing.share > 1,
                )
                for own in started
                for slot in range(sizing.share)
            ]
            places, rest = places + fresh[:missing], fresh[missing:]
            free += rest
        taken = dict(zip(names, places, strict=False))
        self._places |= taken
        if group.role == "worker":
            self._names |= {place.id: name for name, place in taken.items()}
        failed = {} if failure is None else dict.fromkeys(names[len(places) :], failure)
        return LaunchResult(
            launched={name: place.id for name, place in taken.items()}, failed=failed
        )

    async def poll(self) -> Sequence[Member]:
        """Describe all instances of the run in one pass, and hear what they say of their containers."""
        await self._tell_names()
        there, _ = await asyncio.gather(
            describe_instances(self._account, {RUN: self._fleet.run}), self._hear()
        )
        await self._adopt(there)
        members = []
        for name, place in list(self._places.items()):
            instance = there.get(place.instance)
            if instance is None:
                continue  # it is too new, or too old
            said = self._said.get(place.id) or self._said.get(place.instance)
            member = requests.member_of(
                instance, name, place.id, place.offer, shared=place.shared, said=said
            )
            members.append(member)
            if member.state == "stopped":
                del self._places[name]
                self._reuse(place)
        for slots in self._free.values():
            slots[:] = [s for s in slots if _lives(there.get(s.instance))]
        await self._end_lonely()
        return members

    async def route(self, name: str, port: int) -> tuple[str, int]:
        """Return the scheduler's public address where it has one, else its private one."""
        own = self._places[name].instance
        for _ in range(5):  # a public address may be a moment later than the instance
            instance = (await describe_instances(self._account, {RUN: self._fleet.run}))[own]
            key = "PublicIpAddress" if self._standing.public else "PrivateIpAddress"
            if address := instance.get(key):
                return str(address), port
            await asyncio.sleep(1)
        raise ClusterError(
            "EC2 does not say where the scheduler is",
            cure="write assign_public_ip: false if its network can be reached from here, or run again",
        )

    async def stop(self, names: Sequence[str]) -> None:
        """Terminate the machines of members; those of one machine come together."""
        own = {self._places[name].instance for name in names if name in self._places}
        for slots in self._free.values():
            slots[:] = [slot for slot in slots if slot.instance not in own]
        await terminate(self._account, own)

    async def logs(self, name: str, lines: int = 20) -> Sequence[str]:
        """Return the end of what a member's container wrote."""
        made = {entry.resource.id: entry.made for entry in self._fleet.ledger.entries}
        place = self._places.get(name)
        own = place.id if place else made.get(name)
        if own is None:
            return ()
        stream = stream_of(name, own)
        return await last_lines(self._account, self._standing.log_group, stream, lines)

    async def close(self) -> Sequence[Resource]:
        """Terminate all machines, remove what was made for this run, look again, and say what is left."""
        if not hasattr(self, "_fleet"):
            return ()
        for task in self._templates.values():
            task.cancel()
        known = {place.instance for place in self._places.values()}
        later = {f"{each.instance}.{each.slot}": each.id for each in self._places.values()}
        left = await release_run(
            self._account,
            self._fleet.project,
            self._fleet.run,
            ledger=self._fleet.ledger,
            machines=sorted(known),
            parameters=self._secrets.names,
            group=self._reach.group if hasattr(self, "_reach") else "",
        )
        return [evolve(each, id=later.get(each.id, each.id)) for each in left]

    # -- inside ------------------------------------------------------------------------------------------

    async def _start(
        self, group: MemberGroup, count: int, names: Sequence[str], offer: Offer
    ) -> tuple[list[str], LaunchFailure | None]:
        """Start so many instances, and return those that were to be had, and why not more."""
        try:
            request = requests.create_fleet(
                await self._template(group),
                count,
                names,
                offer,
                sizing=self._sizings[group.name],
                standing=self._standing,
                run=self._fleet.run,
                tags=self._tags,
            )
            answer = await self._account.call("ec2", "CreateFleet", **request)
        except CallError as error:
            self._templates.pop(group.name, None)
            return [], self._refused(error)
        started = requests.instances_of(answer)
        failure = requests.failure_of(answer) if len(started) < count else None
        if failure is not None and self._is_new(failure.message):
            message = "a new instance profile is not known everywhere yet"
            failure = LaunchFailure(kind="throttled", message=message)
        return started, failure

    async def _template(self, group: MemberGroup) -> str:
        """Return the id of a group's launch template, made once for this run."""
        if group.name not in self._templates:
            self._templates[group.name] = asyncio.ensure_future(self._make_template(group))
        return await asyncio.shield(self._templates[group.name])

    async def _make_template(self, group: MemberGroup) -> str:
        sizing = self._sizings[group.name]
        order = requests.order_of(
            group,
            sizing,
            options=self.options,
            standing=self._standing,
            program=self._program,
            place=self._secrets.path,
            reports=reports_of(self._fleet.run),
            lifetime=self._fleet.limits.lifetime,
        )
        groups = [self._standing.security_group, *self.options.security_groups]
        groups += [self._reach.group] if group.role == "scheduler" else []
        request = requests.launch_template(
            f"{self._standing.name}-{self._fleet.run}-{group.name}"[:128],
            order,
            ami=await find_image(self._account, self.options, gpus=group.gpus > 0),
            options=self.options,
            standing=self._standing,
            groups=groups,
            tags={**self._tags, SLOTS: str(sizing.share)},
        )
        name = str(request["LaunchTemplateName"])
        intended = Resource(kind=TEMPLATE, id=name, region=self.region, run=self._fleet.run)
        await self._fleet.ledger.intend([intended])
        answer = await self._account.call("ec2", "CreateLaunchTemplate", **request)
        own = str(answer["LaunchTemplate"]["LaunchTemplateId"])
        await self._fleet.ledger.made(TEMPLATE, {name: own})
        return own

    def _refused(self, error: CallError) -> LaunchFailure:
        """Return what a call that was refused amounts to; raise what makes every further one pointless."""
        text = f"{error.code} {error.said}"
        if self._is_new(text):
            message = "a new instance profile is not known everywhere yet"
            return LaunchFailure(kind="throttled", message=message)
        kind = requests.meaning(text)
        if error.passing:
            self._doubtful = True
            kind = "throttled" if kind == "throttled" else "other"
        elif kind == "other" and not error.code.startswith("Invalid"):
            raise error
        return LaunchFailure(kind=kind, message=error.said or error.message, cure=error.cure)

    def _is_new(self, text: str) -> bool:
        young = time.monotonic() - self._opened < SETTLING
        return young and "instance profile" in text.lower().replace(
            "iaminstanceprofile", "instance profile"
        )

    async def _tell_names(self) -> None:
        """Publish which place has which name, all that came since the last time at once."""
        if len(self._names) > self._told:
            told = len(self._names)
            await self._secrets.publish({"names": json.dumps(self._names)})
            self._told = told

    async def _hear(self) -> None:
        """Take what machines have said since the last time."""
        if not self._places:
            return
        group, run = self._standing.log_group, self._fleet.run
        try:
            found, self._heard = await new_reports(self._account, group, run, self._heard)
        except CallError:  # that a machine has ended must be seen even if nobody may know why
            return
        self._said |= {each.get("member") or each["machine"]: each for each in found}
        for place in [slot for slots in self._free.values() for slot in slots]:
            if place.id in self._said:  # nobody gave it a name in time
                self._free[place.group, place.offer.name].remove(place)
                self._reuse(place)

    def _reuse(self, place: _Place) -> None:
        """Let the next member have the place of one whose container has failed: the next container is there."""
        if self._said.get(place.id, {}).get("again"):
            free = self._free.setdefault((place.group, place.offer.name), [])
            free.append(evolve(place, number=place.number + 1))

    async def _end_lonely(self) -> None:
        """End machines on which nobody has been for a while; nothing has come for their places."""
        used, now = {place.instance for place in self._places.values()}, time.monotonic()
        lone = {slot.instance for slots in self._free.values() for slot in slots} - used
        self._lonely = {own: self._lonely.get(own, now) for own in lone}
        late = {own for own, since in self._lonely.items() if now - since > EMPTY}
        for slots in self._free.values():
            slots[:] = [slot for slot in slots if slot.instance not in late]
        await terminate(self._account, late)

    async def _adopt(self, there: Mapping[str, Mapping[str, Any]]) -> None:
        """End instances of calls that seemed to fail: nobody knows what they were for."""
        if not self._doubtful or self._launching:
            return
        known = {place.instance for place in self._places.values()}
        known |= {slot.instance for slots in self._free.values() for slot in slots}
        strays = {own for own, each in there.items() if own not in known and _lives(each)}
        await terminate(self._account, strays)
        self._doubtful = bool(strays)


def _lives(instance: Mapping[str, Any] | None) -> bool:
    """Whether an instance runs or is about to; one that EC2 does not show yet is about to."""
    return instance is None or instance["State"]["Name"] in ("pending", "running")
