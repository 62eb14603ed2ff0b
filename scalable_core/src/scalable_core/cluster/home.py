"""Where a fleet's scheduler lives: in a member of its own, or in this process. Imports distributed.

Both homes have the same face, which is all that `FleetCluster` sees of them: `arrive` returns the address by
which this process reaches the scheduler, and `leave` ends it.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Mapping
from typing import Any, Protocol

from distributed import rpc  # noqa: TID253
from distributed.comm import get_address_host_port  # noqa: TID253

from scalable_core.cluster.certificates import Certificates
from scalable_core.cluster.commission import (
    bare_groups,
    brought_environment,
    scheduler_group,
    travelling_code,
)
from scalable_core.cluster.crew import Crew
from scalable_core.cluster.launcher import Launcher, LaunchFailure, Limits, MemberGroup
from scalable_core.cluster.rendezvous import (
    address_document,
    documents,
    run_document,
    worker_order,
)
from scalable_core.cluster.watch import SCHEDULER
from scalable_core.errors import ClusterError
from scalable_core.member.environment import bring
from scalable_core.types import Environment, HookContext, Plan
from scalable_core.types.units import format_size

#: Seconds for which a scheduler whose member runs may be out of reach.
REACH = 120.0


class Home(Protocol):
    """Where the scheduler lives."""

    #: The scheduler's group if it is a member; None otherwise.
    group: MemberGroup | None

    async def arrive(self, crew: Crew) -> str:
        """Start the scheduler, tell the members its address, and return the one for this process."""

    async def leave(self) -> None:
        """End what is in this process; the crew ends members."""


class MemberHome:
    """The scheduler is a member: this process may go, and come back.

    Args:
        group: Its group; its launcher has the size when it is 0.
        run: The run's document.
        code: The run's code, a zip.
        certificates: Of the run.
        environment: The packages that members without an image get, the scheduler first.
    """

    def __init__(
        self,
        group: MemberGroup,
        run: Mapping[str, Any],
        code: bytes,
        certificates: Certificates,
        environment: Environment | None,
    ) -> None:
        self.group: MemberGroup | None = group
        self._run, self._code, self._environment = run, code, environment
        self._security = certificates.driver_security()

    async def arrive(self, crew: Crew) -> str:
        """Wait for the member, tell the others where it is, bring it the code, and wait for the scheduler.

        Raises:
            ClusterError: It cannot be reached.
        """
        crew.want(SCHEDULER, 1)
        port = self._run["port"]
        while True:
            name, member = await crew.await_running(SCHEDULER)
            await crew.launcher.publish(address_document(f"tls://{member.address}:{port}"))
            host, near_port = await crew.launcher.route(name, port)
            address = f"tls://{host}:{near_port}"
            if await self._bring_code(address, crew, name):
                crew.joined(name)
                return address

    async def leave(self) -> None:
        """Nothing of it is here."""

    async def _bring_code(self, address: str, crew: Crew, name: str) -> bool:
        """Dial until the scheduler itself says that it knows the code, giving it to who asks before.

        Packages come before the code where the run brings any: Dask is one of them.

        Returns:
            Whether it is there; if not, its member has ended.
        """
        give_up = time.monotonic() + REACH
        digest = hashlib.sha256(self._code).hexdigest()
        reason = "nothing listens there"
        args, environment = self._security.get_connection_args("client"), self._environment
        while time.monotonic() < give_up:
            if name not in crew.seats:
                return False
            try:
                if environment is not None and await self._bring(environment, address, crew):
                    environment, give_up = None, time.monotonic() + REACH
                async with rpc(address, connection_args=args, timeout=5) as remote:
                    said = await remote.scalable_take_code(data=self._code)
                if said == "known":
                    return True
                if said != digest:
                    reason = f"what listens there is of another run (it has the code {said[:12]})"
            except (OSError, TimeoutError, ValueError) as error:  # the last: an end before TLS
                reason = str(error) or type(error).__name__
            await asyncio.sleep(0.2)
        raise ClusterError(
            f"the scheduler at {address} runs, and cannot be reached from here: {reason}",
            cure="check that nothing between here and there closes that port",
        )

    async def _bring(self, environment: Environment, address: str, crew: Crew) -> bool:
        """Give the member the packages; return whether it has them."""
        host, port = get_address_host_port(address)
        context = self._security.get_connection_args("client")["ssl_context"]
        began = time.monotonic()
        has = await asyncio.to_thread(
            bring, host, port, context, environment.path, environment.digest
        )
        if has:
            took = (
                f"{format_size(environment.size)} of packages in {time.monotonic() - began:.1f} s"
            )
            crew.listener.say("fleet.packages", f"the scheduler has got {took}")
        return has


class DriverHome:
    """The scheduler is here: for a driver that runs where the workers are.

    Args:
        host: Address under which members reach this process.
        run: The run's document.
        code: The run's code, a zip.
        certificates: Of the run.
        environment: The packages that workers without an image get.
    """

    def __init__(
        self,
        host: str,
        run: Mapping[str, Any],
        code: bytes,
        certificates: Certificates,
        environment: Environment | None,
    ) -> None:
        self.group: MemberGroup | None = None
        self._host, self._run, self._code = host, run, code
        self._environment = environment
        self._security = certificates.member_security()
        self._scheduler: Any = None
        self._watch: asyncio.Task[None] | None = None

    async def arrive(self, crew: Crew) -> str:
        """Start the scheduler, and tell the members where it is."""
        from scalable_core.member.scheduler_member import FleetScheduler

        self._scheduler = await FleetScheduler(
            code=self._code,
            environment=None if self._environment is None else str(self._environment.path),
            limits={name: self._run["limits"][name] for name in ("lifetime", "idle")},
            protocol="tls://",
            host=self._host,
            port=self._run["port"],
            security=self._security,
            dashboard=False,
            dashboard_address="127.0.0.1:0",
            relay=self._run.get("relay"),
            **self._run["scheduler"],
        )
        self._watch = asyncio.ensure_future(self._watch_over(crew))
        address: str = self._scheduler.address
        await crew.launcher.publish(address_document(address))
        return address

    async def _watch_over(self, crew: Crew) -> None:
        """Ask for no member any more once the scheduler has met a limit."""
        await self._scheduler.watch()
        crew.want_all(dict.fromkeys(crew.groups, 0))
        await crew.release([name for group in crew.groups for name in crew.names(group)])
        reason = f"the scheduler has ended: {self._scheduler.ended}"
        crew.listener.scheduler_lost(LaunchFailure(kind="other", message=reason))

    async def leave(self) -> None:
        """End the scheduler."""
        if self._watch is not None:
            self._watch.cancel()
        if self._scheduler is not None:
            await self._scheduler.close()


def make_home(
    plan: Plan,
    launcher: Launcher,
    context: HookContext,
    limits: Limits,
    certificates: Certificates,
    *,
    driver_host: str | None,
) -> tuple[Home, dict[str, str]]:
    """Return where the scheduler shall live, and what members are to find before it does.

    Args:
        plan: The run's plan.
        launcher: Of the provider.
        context: The run.
        limits: When members end by themselves.
        certificates: Of the run.
        driver_host: The address of this process for members, for a scheduler that lives here.
    """
    code, digest = travelling_code(context)
    environment = brought_environment(plan, context)
    bare = bare_groups(plan) if environment else ()
    run = run_document(launcher, limits, digest, environment=environment, bare=bare)
    secrets = context.secrets() if context.secrets else {}
    orders = {group.name: worker_order(group, secrets) for group in plan.groups}
    found = documents(run, orders, certificates)
    if driver_host is not None:
        return DriverHome(driver_host, run, code, certificates, environment), found
    return MemberHome(scheduler_group(plan), run, code, certificates, environment), found
