"""Members as tasks of ECS on Fargate: the `Launcher` that `FleetCluster` drives."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from scalable_aws import requests
from scalable_aws.account import Account, CallError
from scalable_aws.options import FargateOptions
from scalable_aws.reach import Reach, public_address
from scalable_aws.reader import reader_source
from scalable_aws.release import release_run
from scalable_aws.secrets import SecretStore
from scalable_aws.standing import find_or_make, log_group_name, secrets_path
from scalable_aws.tasks import (
    KIND,
    PAGE,
    describe_tasks,
    find_or_register,
    list_tasks,
    note_own_task,
    stop_task,
)
from scalable_core.cluster.launcher import (
    Fleet,
    LaunchFailure,
    LaunchResult,
    Member,
    MemberGroup,
    Offer,
    Rate,
)
from scalable_core.cluster.pace import Bucket
from scalable_core.errors import ClusterError
from scalable_core.types import Resource

#: Polls of which one asks, while some tasks do not run yet, which of the others are about to stop.
OTHERS = 3
#: Seconds for which a new role may not be known everywhere yet.
SETTLING = 90.0


class FargateLauncher:
    """Runs the members of one run as tasks.

    Args:
        options: Of the target.
        storage: Where artifacts and results go; members may read and write below it.
        is_driver: This process is a member itself, with the scheduler in it: there is none to be reached.
    """

    provider = "aws"
    kind = KIND
    batch = 10
    listen = ("0.0.0.0", 8786)
    # Of the published rates, with a little room: 20 calls a second, 100 tasks at once and 20 a second after.
    # Calls that leave in time may arrive together.
    rates: Mapping[str, Rate] = {
        "launch": Rate(burst=18, per_second=18),
        "members": Rate(burst=90, per_second=19),
        "poll": Rate(burst=10, per_second=2),
    }
    poll_interval = 3.0

    def __init__(
        self, options: FargateOptions, storage: str | None = None, *, is_driver: bool = False
    ) -> None:
        self.options = options
        self.region: str | None = options.region
        self.data: Mapping[str, Any] = {"region": options.region, "profile": options.profile}
        self._account = Account.of(options)
        self._storage, self._is_driver = storage, is_driver
        self._definitions: dict[str, str] = {}
        self._tasks: dict[str, str] = {}
        self._offers: dict[str, Offer] = {}
        self._running: dict[str, dict[str, Any]] = {}
        self._unnamed: dict[str, str] = {}
        self._seen: dict[str, Member] = {}
        self._polls = 0
        self._doubtful = False
        self._stops = Bucket(Rate(burst=90, per_second=38))
        self._opened = time.monotonic()

    def offers(self, group: MemberGroup) -> Sequence[Offer]:
        """Return Spot before on-demand, or one of them, as the target says."""
        return requests.offers_of(group, self.options)

    async def open(self, fleet: Fleet) -> None:
        """Find or make what stands, and make what lets this machine reach the scheduler."""
        self._fleet = fleet
        self.data = {**self.data, "log_group": log_group_name(fleet.project)}
        self._tags = {**self.options.tags, **fleet.tags}
        self._program = fleet.program(reader_source())
        self._secrets = SecretStore(
            self._account,
            f"{secrets_path(fleet.project)}/{fleet.run}",
            self._tags,
            fleet.ledger,
        )
        self._standing = await find_or_make(
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
        """Start up to ten tasks with one call."""
        groups = [self._standing.security_group, *self.options.security_groups]
        if group.role == "scheduler":
            groups.append(self._reach.group)
        try:
            request = requests.run_task(
                group,
                names,
                offer,
                definition=await self._definition(group),
                options=self.options,
                standing=self._standing,
                groups=groups,
                run=self._fleet.run,
                tags=self._tags,
                place=self._secrets.path,
            )
            answer = await self._account.call("ecs", "RunTask", **request)
        except CallError as error:
            failure = self._refused(error)
            return LaunchResult(failed=dict.fromkeys(names, failure))
        arns = [task["taskArn"] for task in answer["tasks"]]
        launched = dict(zip(names, arns, strict=False))
        self._tasks.update(launched)
        self._offers.update(dict.fromkeys(launched, offer))
        if len(names) > 1:
            self._unnamed.update({arn.rpartition("/")[2]: name for name, arn in launched.items()})
        reasons = [each.get("reason") or "" for each in answer.get("failures", [])]
        text = reasons[0] if reasons else "ECS started fewer tasks than it was asked for"
        failure = requests.failure_of(text)
        if not reasons:
            failure = LaunchFailure(kind="no-capacity", message=text)
        return LaunchResult(
            launched=launched, failed=dict.fromkeys(names[len(launched) :], failure)
        )

    async def poll(self) -> Sequence[Member]:
        """Describe what does not run yet; of what runs, ask only which of it is about to stop."""
        await self._tell_names()
        if self._doubtful:
            await self._adopt()
        pending = [arn for name, arn in self._tasks.items() if name not in self._running]
        self._polls += 1
        if self._running and (not pending or self._polls % OTHERS == 1):
            staying = set(await self._list("RUNNING"))
            pending += [self._tasks[n] for n in self._running if self._tasks[n] not in staying]
        tasks = await self._describe(self._due(pending))
        for name, arn in list(self._tasks.items()):
            if arn in tasks:
                self._note(name, tasks[arn])
        shown = list(self._seen.values())
        for member in shown:
            if member.state == "stopped":
                del self._tasks[member.name], self._seen[member.name]
        return shown

    def _due(self, arns: Sequence[str]) -> Sequence[str]:
        """Return whom to ask about now: the oldest, for which others may wait, and a page of the others."""
        if len(arns) <= PAGE:
            return arns
        oldest, *others = arns
        start = self._polls * (PAGE - 1) % len(others)
        return [oldest, *(others[start:] + others[:start])[: PAGE - 1]]

    def _note(self, name: str, task: dict[str, Any]) -> None:
        member = requests.member_of(task, name, self._offers.get(name))
        self._seen[name] = member
        if member.state == "running" and task.get("desiredStatus") != "STOPPED":
            self._running[name] = task
        else:
            self._running.pop(name, None)

    async def route(self, name: str, port: int) -> tuple[str, int]:
        """Return the scheduler's public address where it has one, else its private one."""
        arn = self._tasks[name]
        task = self._running.get(name) or (await self._describe([arn])).get(arn, {})
        interface = requests.interface_of(task)
        if "privateIPv4Address" not in interface:
            raise ClusterError("ECS does not say where the scheduler is", cure="run again")
        address = interface["privateIPv4Address"]
        if self._standing.public:
            address = await public_address(self._account, interface) or address
        return address, port

    async def stop(self, names: Sequence[str]) -> None:
        """Stop tasks; each needs a call of its own."""
        await asyncio.gather(*(self._stop(self._tasks[n]) for n in names if n in self._tasks))

    async def logs(self, name: str, lines: int = 20) -> Sequence[str]:
        """Return the end of what a task wrote."""
        from scalable_aws.logs import last_lines, stream_of

        entry = {e.resource.id: e.made for e in self._fleet.ledger.entries}
        arn = self._tasks.get(name) or entry.get(name)
        if arn is None:
            return ()
        return await last_lines(
            self._account, self._standing.log_group, stream_of(name, arn), lines
        )

    async def close(self) -> Sequence[Resource]:
        """Stop all tasks, remove what was made for this run, look again, and say what is left."""
        if not hasattr(self, "_fleet"):
            return ()
        return await release_run(
            self._account,
            self._fleet.project,
            self._fleet.run,
            ledger=self._fleet.ledger,
            known=list(self._tasks.values()),
            sure=not self._doubtful,
            parameters=self._secrets.names,
            group=self._reach.group if hasattr(self, "_reach") else "",
        )

    # -- inside ------------------------------------------------------------------------------------------

    async def _definition(self, group: MemberGroup) -> str:
        """Return the ARN of a group's task definition, registered once for all runs that are alike."""
        if group.name not in self._definitions:
            wanted = requests.task_definition(group, self.options, self._standing, self._program)
            self._definitions[group.name] = await find_or_register(self._account, wanted)
        return self._definitions[group.name]

    def _refused(self, error: CallError) -> LaunchFailure:
        """Return what a call that was refused amounts to; raise what makes every further one pointless."""
        if "assume" in error.said and time.monotonic() - self._opened < SETTLING:
            return LaunchFailure(kind="throttled", message="a new role is not known everywhere yet")
        if error.passing:
            self._doubtful = True
            throttled = "Throttl" in error.code or "TooMany" in error.code
            return LaunchFailure(
                kind="throttled" if throttled else "other", message=error.message, cure=error.cure
            )
        kind = requests.meaning(f"{error.code} {error.said}")
        if kind == "other" and error.code not in ("ClientException", "InvalidParameterException"):
            raise error
        return LaunchFailure(kind=kind, message=error.said or error.message, cure=error.cure)

    async def _tell_names(self) -> None:
        """Publish which task has which name, all that came since the last time at once."""
        if self._unnamed:
            named, self._unnamed = self._unnamed, {}
            try:
                await self._secrets.publish({"names": json.dumps(named)})
            except CallError:
                self._unnamed = named | self._unnamed
                raise

    async def _adopt(self) -> None:
        """Look for tasks of calls that seemed to fail: their names are unknown, so they are ended."""
        known = set(self._tasks.values())
        strays = [arn for arn in await self._list("RUNNING") if arn not in known]
        await asyncio.gather(*(self._stop(arn) for arn in strays))
        self._doubtful = bool(strays)

    async def _list(self, status: str) -> list[str]:
        return await list_tasks(self._account, self._standing.cluster, self._fleet.run, status)

    async def _describe(self, arns: Sequence[str]) -> dict[str, dict[str, Any]]:
        return await describe_tasks(self._account, self._standing.cluster, arns)

    async def _stop(self, arn: str) -> None:
        await self._stops.take()
        await stop_task(self._account, self._standing.cluster, arn, "it is not needed any more")
