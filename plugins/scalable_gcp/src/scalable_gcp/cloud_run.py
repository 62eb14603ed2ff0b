"""Members on Cloud Run, workers in pools and the scheduler on a small machine: the `Launcher` for a fleet."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from attrs import evolve

from scalable_core.cluster.launcher import (
    Fleet,
    LaunchResult,
    Member,
    MemberGroup,
    Offer,
    Rate,
)
from scalable_core.types import Resource
from scalable_gcp import requests
from scalable_gcp.cloud import CallError, Cloud, failure_of, gone, operation_path
from scalable_gcp.names import labels_of, machine_name, pool_name, stem
from scalable_gcp.network import find_account, find_network, find_zones, make_rules
from scalable_gcp.options import CloudRunOptions
from scalable_gcp.reader import reader_source
from scalable_gcp.release import MEMBER, delete_machine, delete_pool, find_pools, release_run
from scalable_gcp.restarts import Restarts
from scalable_gcp.secrets import SecretStore
from scalable_gcp.way_in import WayIn

#: Workers of one pool: few where pools come and go whole, more where they all stay to the end.
ADAPTIVE_BATCH, FIXED_BATCH = 4, 20
#: Zones of the region that are tried for the scheduler.
ZONES = 3
#: Target's transport to how a worker lets others reach it; see `reader.relay`.
WAYS = {"auto": "auto", "vpc": "direct", "relay": "relay"}
#: Of `Launcher.relay`: the first connection to an instance may take more than a minute.
RELAY: Mapping[str, Any] = {
    "port": requests.RELAY_PORT,
    "ports": list(requests.RELAY_PORTS),
    "patience": 90.0,
}


class CloudRunLauncher:
    """Runs the members of one run.

    Args:
        options: Of the target.
        detached: The scheduler is in this process, which is the run's driver on a machine of the same network.
    """

    provider = "gcp"
    kind = MEMBER
    listen = ("0.0.0.0", requests.SCHEDULER_PORT)
    # Writes of Cloud Run are counted by the minute, 180 in a region, and reads too, 3000.
    rates: Mapping[str, Rate] = {
        "launch": Rate(burst=30, per_second=2.5),
        "stop": Rate(burst=30, per_second=2.5),
        "poll": Rate(burst=10, per_second=2),
    }
    poll_interval = 2.0

    def __init__(self, options: CloudRunOptions, *, detached: bool = False) -> None:
        self.options, self._detached = options, detached
        self.region: str | None = options.region
        self.batch = ADAPTIVE_BATCH if options.adaptive else FIXED_BATCH
        self.cloud = Cloud(options.project_id, options.region)
        self.relay = None if options.transport == "vpc" else dict(RELAY)
        self.data: Mapping[str, Any] = {
            "region": options.region,
            "project_id": self.cloud.project,
        }
        self._pools: dict[str, list[str]] = {}
        self._told: set[str] = set()
        self._prices: dict[str, float | None] = {}
        self._shown: set[str] = set()
        self._machine: dict[str, str] = {}
        self._starting: dict[str, dict[str, Any]] = {}
        self._rules: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    def offers(self, group: MemberGroup) -> Sequence[Offer]:
        """Return one way for workers, and some zones for the scheduler's machine."""
        if group.role == "worker":
            return (Offer(name="on-demand", hourly=requests.hourly(group, self.options.region)),)
        if self.options.zone:
            return (Offer(name=f"on-demand in {self.options.zone}", zone=self.options.zone),)
        names = [f"on-demand in zone {number + 1} of {self.region}" for number in range(ZONES)]
        return tuple(Offer(name=name) for name in names)

    async def open(self, fleet: Fleet) -> None:
        """Find the network, and make the run's secret and the rules that let members and this machine in."""
        self._fleet, self._program = fleet, fleet.program(reader_source())
        self._stem, self._labels = stem(fleet.project, fleet.run), labels_of(fleet.tags)
        self._network, self._account, self._zones = await asyncio.gather(
            find_network(self.cloud, self.options),
            find_account(self.cloud, self.options.service_account),
            find_zones(self.cloud),
        )
        self._secret = SecretStore(
            self.cloud, self._stem, self._labels, fleet.ledger, fleet.limits.lifetime
        )
        self._restarts = Restarts(self.cloud, self._stem)
        self._way_in = WayIn(self.cloud, self._network, public=self.options.public)
        # The members begin to start before the rules are there; nobody dials anybody without an address.
        self._rules = asyncio.ensure_future(
            make_rules(
                self.cloud,
                self._network,
                self.options,
                stem=self._stem,
                description=f"{fleet.project}/{fleet.run}",
                ledger=fleet.ledger,
                way_in=not self._detached,
            )
        )
        await self._secret.open(self._account)

    async def publish(self, documents: Mapping[str, str]) -> None:
        """Add versions to the run's secret; the scheduler's address is of use only once there are rules."""
        if "address" in documents and self._rules is not None:
            await self._rules
        await self._secret.publish(documents)

    async def launch(self, group: MemberGroup, names: Sequence[str], offer: Offer) -> LaunchResult:
        """Make one pool of workers, or the scheduler's machine."""
        try:
            if group.role == "scheduler":
                made = await self._launch_machine(group, names[0], offer)
            else:
                made = await self._launch_pool(group, names, offer)
        except CallError as error:
            if error.status == 401 or error.reason == "SERVICE_DISABLED":
                raise
            failure = requests.failure_of(f"{error.reason} {error.said}".strip(), error.cure)
            return LaunchResult(failed=dict.fromkeys(names, failure))
        return LaunchResult(launched=dict.fromkeys(names, made))

    async def poll(self) -> Sequence[Member]:
        """List the pools of the region, and ask for the machine."""
        pools, machines = await asyncio.gather(self._look_at_pools(), self._look_at_machines())
        return [*pools, *machines]

    async def route(self, name: str, port: int) -> tuple[str, int]:
        """Return the way to the scheduler: its public address, its private one, or a tunnel of IAP."""
        machine = await self.cloud.call("compute", "GET", self._machine[name])
        return await self._way_in.to(machine, port)

    async def stop(self, names: Sequence[str]) -> None:
        """Delete each pool all of whose members are to end; the service would choose among them itself."""
        self._told.update(names)
        whole = [pool for pool, members in self._pools.items() if self._told.issuperset(members)]
        machines = [self._machine[name] for name in names if name in self._machine]
        await asyncio.gather(
            *(delete_pool(self.cloud, pool) for pool in whole),
            *(delete_machine(self.cloud, {"selfLink": path}) for path in machines),
        )

    async def logs(self, name: str, lines: int = 20) -> Sequence[str]:
        """Return the end of what a machine, or the pool of a worker, has written."""
        from scalable_gcp.logs import last_lines, of_machine, of_pool

        if name in self._machine:
            return await last_lines(self.cloud, of_machine(self.cloud, self._machine[name]), lines)
        pool = next((p for p, members in self._pools.items() if name in members), None)
        return () if pool is None else await last_lines(self.cloud, of_pool(pool), lines)

    async def close(self) -> Sequence[Resource]:
        """Remove what was made for this run, look again, and say what is left."""
        if not hasattr(self, "_fleet"):
            return ()
        if self._rules is not None:
            await asyncio.wait([self._rules])
        if hasattr(self, "_way_in"):
            await self._way_in.close()
        fleet = self._fleet
        left = await release_run(
            self.cloud,
            fleet.project,
            fleet.run,
            ledger=fleet.ledger,
            sure=True,
            driver=not self._detached,
        )
        for task in self._tasks:
            task.cancel()
        return left

    # -- launching ---------------------------------------------------------------------------------------

    async def _launch_pool(self, group: MemberGroup, names: Sequence[str], offer: Offer) -> str:
        name = pool_name(self._fleet.project, self._fleet.run, names[0])
        path = f"{self.cloud.location}/workerPools/{name}"
        way = WAYS[self.options.transport]
        body = requests.worker_pool(
            group,
            names,
            self.options,
            pool=path,
            program=self._program,
            place=f"{self._secret.path}#{way}",
            labels=self._labels,
            network=self._network.network,
            subnetwork=self._network.subnetwork,
            account=self._account,
        )
        self._prices[path] = offer.hourly
        parent = f"{self.cloud.location}/workerPools"
        await self._once(self.cloud.call("run", "POST", parent, body, workerPoolId=name))
        self._pools[path] = list(names)
        return path

    async def _launch_machine(self, group: MemberGroup, member: str, offer: Offer) -> str:
        number = next(i for i, each in enumerate(self.offers(group)) if each.name == offer.name)
        zone = offer.zone or self._zones[number % len(self._zones)]
        name = machine_name(self._fleet.project, self._fleet.run, member)
        place = self._secret.path
        body = requests.machine(
            requests.image_of(group, self.options),
            member,
            self.options,
            name=name,
            tag=self._stem,
            zone=zone,
            program=self._program,
            words=[group.role, group.name, member, place],
            secrets=[place],
            labels=self._labels,
            network=self._network.network,
            subnetwork=self._network.subnetwork,
            account=self._account,
            lifetime=self._fleet.limits.lifetime,
        )
        parent = f"projects/{self.cloud.project}/zones/{zone}/instances"
        mark = requests.request_id(self._fleet.run, name)
        self._machine[member] = f"{parent}/{name}"
        operation = await self._once(
            self.cloud.call("compute", "POST", parent, body, requestId=mark)
        )
        if operation is not None:
            self._starting[member] = operation
        return name

    async def _once(self, call: Any) -> dict[str, Any] | None:
        """Await what makes something; that it is there already is what a lost answer leaves."""
        try:
            answer: dict[str, Any] = await call
            return answer
        except CallError as error:
            if error.status == 409:
                return None
            raise

    # -- looking -----------------------------------------------------------------------------------------

    async def _look_at_pools(self) -> list[Member]:
        if not self._pools:
            return []
        found = {pool["name"]: pool for pool in await find_pools(self.cloud, f"{self._stem}-")}
        members: list[Member] = []
        for path, pool in found.items():
            self._pools.setdefault(path, requests.names_of_pool(pool))
        futile = await self._restarts.look({path: self._pools[path] for path in found})
        for path, pool in found.items():
            shown = requests.members_of_pool(pool, self._prices.get(path))
            if path in futile:
                shown = [evolve(m, state="stopped", reason=futile[path]) for m in shown]
            if any(each.state == "stopped" for each in shown):
                self._soon(delete_pool(self.cloud, path))  # it would try again for ever
            members += shown
        for path in self._shown - set(found):
            names = self._pools.pop(path, [])
            members += [Member(name=name, state="stopped", id=path) for name in names]
        self._shown = set(found)
        return members

    async def _look_at_machines(self) -> list[Member]:
        members = []
        for name, path in list(self._machine.items()):
            machine = await gone(partial(self.cloud.call, "compute", "GET", path))
            if machine is not None:
                self._starting.pop(name, None)
                members.append(requests.member_of_machine(machine))
            elif (operation := self._starting.get(name)) is not None:
                members += await self._look_at_start(name, operation)
            else:
                del self._machine[name]
                reason = "the machine was deleted"
                members.append(Member(name=name, state="stopped", id=path, reason=reason))
        return members

    async def _look_at_start(self, name: str, operation: Mapping[str, Any]) -> list[Member]:
        """Ask what has become of the call that should have made a machine."""
        current = await self.cloud.call("compute", "GET", operation_path(operation))
        error = failure_of("compute", current)
        if error is None:
            return []
        del self._starting[name], self._machine[name]
        said = f"{error.reason} {error.said}"
        kind = requests.meaning(said)
        return [Member(name=name, state="stopped", reason=error.said, failure=kind)]

    def _soon(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
