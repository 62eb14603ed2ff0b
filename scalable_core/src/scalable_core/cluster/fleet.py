"""A Dask cluster of many members of a service, whichever service it is. Imports distributed.

`FleetCluster` is what users and the session see: scale, adapt, logs, dashboard, close. What happens to members
is the matter of its `Crew`, where the scheduler lives that of its `Home`, and how a service is spoken to that
of the provider's `Launcher`.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import threading
import time
import weakref
from collections.abc import Mapping
from typing import Any

from distributed import Status
from distributed.core import rpc
from distributed.utils import format_dashboard_link

from scalable_core.cluster.certificates import make_certificates
from scalable_core.cluster.commission import (
    cluster_record,
    default_limits,
    make_fleet,
    member_group,
)
from scalable_core.cluster.crew import LAST_CALLS, Crew
from scalable_core.cluster.explain import to_error
from scalable_core.cluster.given_up import GivenUp
from scalable_core.cluster.home import make_home
from scalable_core.cluster.launcher import Launcher, LaunchFailure, Limits
from scalable_core.cluster.scaling import ScalingFleet
from scalable_core.cluster.tunnel import Tunnel
from scalable_core.cluster.watch import SCHEDULER
from scalable_core.errors import ClusterError, ScalableError
from scalable_core.types import Event, HookContext, PaidWorker, Plan, Storage

#: Seconds between words to the scheduler that its driver is there.
BEAT = 5.0
#: Seconds that closing waits for the scheduler to end by itself.
FAREWELL = 5.0


class FleetCluster(ScalingFleet):
    """The scheduler and the workers of a plan, as members of a service.

    Nothing is asked for until somebody needs it: `request_workers` asks for the scheduler and the workers at
    once, `scale` and `adapt` do so and wait for the scheduler, and `distributed.Client(cluster)` asks for the
    scheduler alone. With ``eager=True`` all are asked for at once, and the scheduler is there when this returns
    (or when it has been awaited, with ``asynchronous=True``).

    Workers are named ``<component>-<number>``, on some services with the run before it; what is lost is
    replaced under a new name. Calls run as soon as any worker of their component is there, and end with the
    reason when there can be none, or fewer than the target's ``min_workers`` over all.

    Args:
        plan: What for.
        launcher: Of the provider.
        context: The run: its id and folder, its code, and where to say what happens.
        eager: Ask for the scheduler and the workers at once; as ``context.data`` says when None.
        limits: When members end by themselves; by the target's ``idle_timeout`` and ``max_lifetime`` when None.
        storage: The project's own, for the ledger; that of ``context.data``, or the disk alone, when None.
        driver_host: The address of this process for members, if the scheduler shall be in this process; None
            for a scheduler that is a member.
        patience: Seconds for which lack of capacity is borne while there are fewer than ``min_workers``.
        asynchronous: As in Dask.
        loop: As in Dask.

    Attributes:
        security: What a client needs; `distributed.Client(cluster)` takes it by itself.
        failures: Component to the reason why it has no workers.
        failure: Why the whole fleet has come to an end; None while it has not.
        workers_elsewhere: Members are on other machines, wherever the scheduler's address leads through.

    Raises:
        NoCapacityError: There is nothing for the scheduler.
        ClusterError: Anything else that prevents it; everything that was created is removed first.
    """

    workers_elsewhere = True

    def __init__(
        self,
        plan: Plan,
        launcher: Launcher,
        context: HookContext,
        *,
        eager: bool | None = None,
        limits: Limits | None = None,
        storage: Storage | None = None,
        driver_host: str | None = None,
        patience: float = 300.0,
        asynchronous: bool = False,
        loop: Any = None,
    ) -> None:
        super().__init__(asynchronous=asynchronous, loop=loop, name=context.run, quiet=True)
        self._plan, self._context = plan, context
        self._eager = bool(context.data.get("eager")) if eager is None else eager
        self._groups = {group.name: group for group in plan.groups}
        self._asked, self._asking = False, threading.Lock()
        self._by_plan = False
        self.failures = GivenUp()
        self.failure: ClusterError | None = None
        self._over = asyncio.Event()
        limits = limits or default_limits(plan.target.options)
        self.status: Status
        certificates = make_certificates(self.name, limits.lifetime)
        self.security = certificates.driver_security()
        self._home, self._documents = make_home(
            plan, launcher, context, limits, certificates, driver_host=driver_host
        )
        storage = storage or context.data.get("ledger")
        self.fleet = make_fleet(plan, self.name, context.run_dir, limits, storage)
        groups = [*filter(None, [self._home.group]), *map(member_group, plan.groups)]
        least = min(getattr(plan.target.options, "min_workers", 1), plan.maximum)
        self.crew = Crew(launcher, self.fleet, groups, self, least=least, patience=patience)
        self._least, self._usable = least, False
        self._tasks: list[asyncio.Task[Any]] = []
        self._tunnel: Tunnel | None = None
        self._starting: asyncio.Task[None] | None = None
        self._began: float | None = None
        self._ending: asyncio.Task[None] | None = None
        _open_clusters.add(self)
        if not self.called_from_running_loop:
            self._loop_runner.start()
            if self._eager:
                self.request_workers()
                self._start_now()

    # -- what users and the session ask for --------------------------------------------------------------

    @property
    def is_started(self) -> bool:
        """Whether anything has been asked for."""
        return self._asked or self._starting is not None

    def request_workers(self) -> None:
        """Ask for the workers of the plan, and the scheduler, once. Returns at once; after `scale` or `adapt`
        it does nothing. Who awaits the cluster hears what went wrong.
        """
        with self._asking:
            if not self._asked:
                self._asked = self._by_plan = True
                self.loop.add_callback(self._request_workers)

    def logs(self, member: str, lines: int = 20) -> Any:
        """Return the last lines that a member wrote, as the service has kept them.

        Args:
            member: Its name, such as ``analysis-3`` or ``scheduler-0``.
            lines: How many.
        """
        return self.sync(self.crew.launcher.logs, member, lines)

    # -- what a budget asks for --------------------------------------------------------------------------

    def paid_workers(self) -> list[PaidWorker]:
        """Return all launches of workers so far, each at the price at which it was bought."""
        return self.crew.payroll.of(but=SCHEDULER)

    @property
    def paid_since(self) -> float | None:
        """Epoch seconds from which the scheduler is paid for; None as long as it is not."""
        return self._began if self._home.group is None else self.crew.payroll.since(SCHEDULER)

    @property
    def dashboard_link(self) -> str:
        """The dashboard's address on this machine, from where it goes through the run's own TLS."""
        return format_dashboard_link("127.0.0.1", self._tunnel.port) if self._tunnel else ""

    # -- what the crew tells -----------------------------------------------------------------------------

    def say(self, kind: str, message: str, **data: Any) -> None:
        """Put an event into the run's records."""
        self._context.events.emit(Event(time=time.time(), kind=kind, message=message, data=data))
        self._log(message)

    def group_failed(self, group: str, failure: LaunchFailure) -> None:
        """End the calls that wait for a component which can have no workers."""
        self.failures[group] = to_error(failure, f"there are no workers for component {group!r}: ")
        if self.scheduler_comm is not None:
            self._soon(self.failures.tell(self.scheduler_comm, self._groups))

    def scheduler_lost(self, failure: LaunchFailure) -> None:
        """Note that all is over."""
        if self.failure is None and self.status not in (Status.closing, Status.closed):
            self.failure = to_error(failure, "the scheduler is lost, and the run with it: ")
            self.say("scheduler.lost", self.failure.message)
        self._over.set()

    async def explain_loss(self, timeout: float = 30.0) -> ClusterError | None:
        """Return why the scheduler cannot be reached any more; None when nothing is known against it."""
        self.crew.left(next(iter(self.crew.names(SCHEDULER)), ""))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), timeout)
        return self.failure

    # -- start and end -----------------------------------------------------------------------------------

    async def _start(self) -> None:
        if self._starting is None:
            self._starting = asyncio.ensure_future(self._begin())
        await self._starting

    async def _begin(self) -> None:
        self.status = Status.starting
        self._began = time.time()
        launcher = self.crew.launcher
        self.fleet.ledger.write_record(cluster_record(self.fleet, launcher))
        await launcher.open(self.fleet)
        self.fleet.ledger.write_record(cluster_record(self.fleet, launcher))
        await launcher.publish(self._documents)
        self._documents = {}
        self.crew.start()
        address = await self._home.arrive(self.crew)
        args = self.security.get_connection_args("client")
        self.scheduler_comm = rpc(address, connection_args=args)
        await super()._start()
        self._tunnel = await Tunnel(address, args).open()
        await self.failures.tell(self.scheduler_comm, self._groups)
        self._tasks.append(asyncio.ensure_future(self._beat()))
        self._meet(self.scheduler_info["workers"])
        if self._by_plan and self._plan.adaptive:
            self._adapt_to_plan()

    def _start_now(self) -> None:
        """Start, unless that was done before, and wait; what cannot be started is closed."""
        if self.asynchronous or (self._starting is not None and self._starting.done()):
            return
        try:
            self.sync(self._start)
        except BaseException:
            self.close(timeout=120)
            raise

    def __await__(self) -> Any:
        async def started() -> FleetCluster:
            if self._eager:
                self.request_workers()
            try:
                await self._start()
            except BaseException:
                await self._close()
                raise
            return self

        return started().__await__()

    async def _close(self) -> None:
        """Release everything, once; whoever calls again waits for the same end."""
        if self._ending is None:
            self._ending = asyncio.ensure_future(self._end())
        await asyncio.shield(self._ending)

    async def _end(self) -> None:
        self._over.set()
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait([self._starting], timeout=LAST_CALLS)
        for part in filter(None, (self._adaptive, self._tunnel)):
            part.stop()
        for task in self._tasks:
            task.cancel()
        self.crew.ending.set()  # from here on nobody is lost who goes
        await self._dismiss()
        if self._watch_worker_status_task is None:  # Dask's own part has not begun
            self.status = Status.closing
        await super()._close()
        await self._home.leave()
        try:
            left = await self.crew.close() if self._starting is not None else ()
        except ScalableError as error:
            again = f"scalable down {self.fleet.run}"
            raise ClusterError(
                f"what run {self.fleet.run} has started could not be removed: {error.message}",
                cure=f"{error.cure}; then: {again}" if error.cure else again,
            ) from error
        finally:
            self.status = Status.closed
            _open_clusters.discard(self)
        if left:
            names = ", ".join(f"{each.kind} {each.id}" for each in left[:5])
            raise ClusterError(
                f"{len(left)} things of run {self.fleet.run} could not be removed: {names}",
                cure=f"try again with: scalable down {self.fleet.run}",
            )

    async def _dismiss(self) -> None:
        """Let the scheduler send all workers home: they then end even if they cannot be stopped."""
        if self.scheduler_comm is None or self.failure is not None or self._home.group is None:
            return
        with contextlib.suppress(OSError, TimeoutError, RuntimeError):
            await asyncio.wait_for(self.scheduler_comm.terminate(), FAREWELL)

    # -- inside ------------------------------------------------------------------------------------------

    def _request_workers(self) -> None:
        """Want what the plan begins with, so that workers and scheduler start together."""
        groups = self._plan.groups
        if self._plan.adaptive:
            least = (
                len(groups) == 1
            )  # the call that waits is for it; the rest the scheduler will tell
            self.crew.want_all({g.name: min(max(g.minimum, least), g.maximum) for g in groups})
        else:
            self.crew.want_all({group.name: group.maximum for group in groups})
        if self.status is not Status.running:
            self._soon(self._start())
        elif self._plan.adaptive:
            self._adapt_to_plan()

    def _update_worker_status(self, op: str, msg: Any) -> None:
        """Take the scheduler's word about its workers, and tell the crew."""
        if op == "add":
            self._meet(msg["workers"])
        elif (worker := self.scheduler_info["workers"].get(msg)) is not None:
            self.crew.left(str(worker["name"]))
        else:
            return  # it came and went while all were asked for
        super()._update_worker_status(op, msg)

    def _meet(self, workers: Mapping[str, Any]) -> None:
        for worker in workers.values():
            self.crew.joined(str(worker["name"]))
        if self._usable:
            return
        joined = sum(seat.state == "joined" for seat in self.crew.seats.values())
        if joined - (self._home.group is not None) >= self._least:
            self._usable = True
            self.say("cluster.usable", f"the first {self._least} workers are there")

    async def _watch_worker_status(self, comm: Any) -> None:
        await super()._watch_worker_status(comm)
        if self.status is Status.running:  # nobody has closed it from here
            self.crew.left(next(iter(self.crew.names(SCHEDULER)), ""))

    async def _beat(self) -> None:
        """Tell the scheduler now and then that somebody drives it."""
        while self.status is Status.running:
            with contextlib.suppress(OSError):  # if it is lost, the crew will find out why
                for news in await self.scheduler_comm.scalable_driver():
                    self.say("fleet.transport", news)
            await asyncio.sleep(min(BEAT, self.fleet.limits.no_driver / 4))

    def _soon(self, coroutine: Any) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.append(task)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())


#: Not closed yet: closed when the interpreter ends, so that nothing outlives it.
_open_clusters: weakref.WeakSet[FleetCluster] = weakref.WeakSet()


@atexit.register
def _close_open_clusters() -> None:
    for cluster in list(_open_clusters):
        with contextlib.suppress(Exception):  # the ledger has what is left
            cluster.close(timeout=60)
