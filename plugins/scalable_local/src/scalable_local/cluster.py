"""The cluster of a `local` target. Imports distributed: import it inside functions."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import math
import shutil
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dask.utils import parse_bytes  # noqa: TID253
from distributed import Status  # noqa: TID253
from distributed.deploy.cluster import Cluster  # noqa: TID253
from distributed.deploy.spec import SpecCluster  # noqa: TID253
from distributed.utils import NoOpAwaitable, format_dashboard_link  # noqa: TID253

from scalable_core.cluster.adaptive import share_out
from scalable_core.cluster.autoscaler import Autoscaler
from scalable_core.cluster.scheduler import GroupScheduler
from scalable_core.errors import ClusterError
from scalable_core.types import Event, HookContext, Plan
from scalable_local.environment import ProcessEnvironment, shared_environment
from scalable_local.layout import Layout, LocalGroup
from scalable_local.supervisor import ATTEMPTS, SupervisedWorker
from scalable_local.workers import WorkerMaker

#: Dask makes no folder of its own inside one with this in its name.
SCRATCH = "dask-scratch-space"
#: Deaths of workers that one call may be suspected of; with one more it fails.
ALLOWED_FAILURES = 2


class LocalCluster(SpecCluster):
    """Dask's scheduler in this process, and the workers of each group on this machine.

    The scheduler starts at once, workers when `request_workers`, `scale` or `adapt` asks for them. They are
    named ``<component>-<number>``, and one that ends by itself is replaced. Everything ends with this process.

    Args:
        plan: The plan that the workers are for.
        layout: How its groups run on this machine.
        context: The run's folder, and where to say what happens.

    Attributes:
        in_this_process: All workers are threads here, so they have the workflow's modules already.
        failures: Component to the reason why none of its workers could be started.
    """

    def __init__(self, plan: Plan, layout: Layout, context: HookContext) -> None:
        self._run_plan, self._context = plan, context
        self.in_this_process = layout.in_this_process
        self._groups = {group.name: group for group in layout.groups}
        self._asked, self._asking = False, threading.Lock()
        self._limit: float = math.inf
        self.failures: dict[str, ClusterError] = {}
        self._said: set[tuple[str, str]] = set()
        self._folder = Path(tempfile.mkdtemp(prefix=f"{SCRATCH}-", dir=context.run_dir))
        self._environment = ProcessEnvironment(shared_environment(layout.groups))
        scheduler = _scheduler_options(plan.target.options, in_this_process=layout.in_this_process)
        self._has_dashboard = scheduler["dashboard"]
        try:
            self._specs = {group.name: self._spec(group) for group in layout.groups}
            self._environment.apply()
            super().__init__(
                name=context.run,
                scheduler={"cls": GroupScheduler, "options": scheduler},
                worker=next(iter(self._specs.values())),
                silence_logs=logging.ERROR,
            )
        except BaseException:
            self._clean_up()
            raise
        self.quiet = True

    # -- what users and the session ask for --------------------------------------------------------------

    def request_workers(self) -> None:
        """Ask for the workers of the plan, once. Returns at once; after `scale` or `adapt` it does nothing."""
        with self._asking:
            if self._asked:
                return
            plan = self._run_plan
            if plan.adaptive:
                bounds = {g.name: (g.minimum, g.maximum) for g in plan.groups}
                adaptive = self.adapt(minimum=plan.minimum, maximum=plan.maximum, bounds=bounds)
                self.loop.add_callback(adaptive.adapt)
            else:
                self.scale_groups({g.name: g.maximum for g in plan.groups})
            self._asked = True

    def scale(self, n: int = 0, memory: Any = None, cores: int | None = None) -> Any:
        """Scale to a number of workers, shared over the groups in proportion to the plan.

        Args:
            n: Workers over all groups.
            memory: Or as many as hold so much memory together, at the first group's size.
            cores: Or as many as run so many calls at once, at the first group's size.
        """
        if self.status in (Status.closing, Status.closed, Status.failed):
            self.worker_spec.clear()
        else:
            if memory is not None:
                n = max(n, math.ceil(parse_bytes(memory) / self._memory_per_worker()))
            if cores is not None:
                n = max(n, math.ceil(cores / self._threads_per_worker()))
            self._asked = True
            self._revive()
            self.scale_groups(
                share_out(n, {g.name: g.plan.maximum * n for g in self._groups.values()})
            )
        return NoOpAwaitable() if self.asynchronous else None

    def adapt(self, *, Adaptive: Any = Autoscaler, **kwargs: Any) -> Any:
        """Let the number of workers follow the queued work, each group that of its own component.

        Args:
            Adaptive: Another class than Scalable's own.
            **kwargs: ``minimum``, ``maximum``, ``interval`` and what else Dask's own `adapt` takes.
        """
        self._asked = True
        self._adaptive_options: dict[str, Any] = {}
        self._revive()
        return super().adapt(Adaptive=Adaptive, **kwargs)

    @property
    def dashboard_link(self) -> str:
        """The dashboard's address on this machine; empty when there is none."""
        if not self._has_dashboard:
            return ""
        return format_dashboard_link("127.0.0.1", self.scheduler_info["services"]["dashboard"])

    # -- what the autoscaler asks for --------------------------------------------------------------------

    @property
    def group_threads(self) -> dict[str, int]:
        """Each group that may be scaled, and the calls that one of its workers runs at once."""
        groups = (g for g in self._groups.values() if g.name not in self.failures)
        return {group.name: group.size.threads for group in groups}

    def members(self, group: str) -> tuple[str, ...]:
        """Names of the workers of a group that were asked for, whether they have arrived or not."""
        return tuple(
            sorted((n for n in list(self.worker_spec) if _group_of(n) == group), key=_number_of)
        )

    def limit_workers(self, total: int) -> None:
        """Start no more workers than so many over all groups from now on; those that are there stay."""
        self._limit = total

    def scale_groups(self, targets: Mapping[str, int]) -> None:
        """Bring each group named to a number of workers, and leave the others."""
        for group, target in self._within_limit(targets).items():
            members = self.members(group)
            for name in self._least_busy(members)[: max(0, len(members) - target)]:
                self.worker_spec.pop(name, None)
            free = (n for i in range(target) if (n := f"{group}-{i}") not in self.worker_spec)
            for name in list(free)[: max(0, target - len(members))]:
                self.worker_spec[name] = self._specs[group]
        self.loop.add_callback(self._correct_state)

    def _within_limit(self, targets: Mapping[str, int]) -> Mapping[str, int]:
        """Targets that together with the other groups stay within the limit, none below what is there."""
        there = {name: len(self.members(name)) for name in self._groups}
        wanted = {name: max(target - there[name], 0) for name, target in targets.items()}
        room = max(self._limit - sum(there.values()), 0)
        if sum(wanted.values()) <= room:
            return targets
        more = share_out(int(room), wanted)
        return {
            name: there[name] + more[name] if wanted[name] else target
            for name, target in targets.items()
        }

    async def stop_workers(self, names: Sequence[str]) -> None:
        """Stop workers by name."""
        for name in names:
            self.worker_spec.pop(name, None)
        await self._correct_state()

    # -- what Dask asks for ------------------------------------------------------------------------------

    async def _correct_state_internal(self) -> None:
        """Move results away from workers that are about to be stopped, then start and stop workers."""
        leaving = sorted(set(self.workers) - set(self.worker_spec))
        if leaving and self.status is Status.running:
            await self.scheduler.retire_workers(names=leaving, close_workers=True)
        await super()._correct_state_internal()

    def _update_worker_status(self, op: str, msg: Any) -> None:
        """Note what the scheduler says of its workers; lost ones are replaced by their supervisors."""
        # One that came and went while all were asked for is not among them.
        if op == "add" or msg in self.scheduler_info["workers"]:
            Cluster._update_worker_status(self, op, msg)

    async def _close(self) -> None:
        try:
            await super()._close()
        finally:
            self._clean_up()

    # -- what happens to workers -------------------------------------------------------------------------

    def _spec(self, group: LocalGroup) -> dict[str, Any]:
        maker = WorkerMaker(
            group,
            context=self._context,
            scratch=self._folder,
            environ=self._environment.without,
            report=self._say,
        )
        options = {
            "make": maker,
            "on_retired": self._drop,
            "on_failure": self._failed_to_start,
            "nthreads": group.size.threads,
            "memory_limit": group.size.memory,
        }
        return {"cls": SupervisedWorker, "options": options}

    def _failed_to_start(self, name: str, error: BaseException, given_up: bool) -> None:
        while error.__cause__ is not None:
            error = error.__cause__
        text = getattr(error, "message", str(error)) or type(error).__name__
        group = _group_of(name)
        if (group, text) not in self._said:  # the same goes wrong for all workers of a group
            self._said.add((group, text))
            trace = getattr(error, "traceback", "")
            self._say(
                "worker.failed", f"worker {name} could not be started: {text}", traceback=trace
            )
        if not given_up:
            return
        self._say("worker.given_up", f"worker {name} is given up after {ATTEMPTS} attempts")
        self._drop(name)
        if not self.members(group):
            failure = ClusterError(
                f"no worker of component {group!r} could be started: {text}",
                cure=getattr(error, "cure", None) or "mend the cause and run again",
            )
            self.failures[group] = failure
            self._say("group.failed", failure.message)
            last = set(self.failures) == set(self._groups)
            self.scheduler.fail_group(group, failure, last=last)

    def _drop(self, name: str) -> None:
        """Forget a worker that is not to be replaced."""
        self.worker_spec.pop(name, None)
        worker = self.workers.pop(name, None)
        if worker is not None:
            self._futures.add(asyncio.ensure_future(worker.close()))

    def _revive(self) -> None:
        self._said.clear()
        for name in list(self.failures):
            del self.failures[name]
            self.loop.add_callback(self.scheduler.revive_group, name)

    def _least_busy(self, names: Sequence[str]) -> list[str]:
        """Names in the order in which they can be done without; those that have not arrived come first."""
        busy = {str(w.name): len(w.processing) for w in list(self.scheduler.workers.values())}
        return sorted(names, key=lambda name: (busy.get(name, -1), -_number_of(name)))

    def _say(self, kind: str, message: str, **data: Any) -> None:
        self._context.events.emit(Event(time=time.time(), kind=kind, message=message, data=data))

    def _clean_up(self) -> None:
        self._environment.restore()
        shutil.rmtree(self._folder, ignore_errors=True)


def _scheduler_options(options: Any, *, in_this_process: bool) -> dict[str, Any]:
    dashboard = options.dashboard
    if dashboard is None:
        dashboard = importlib.util.find_spec("bokeh") is not None
    return {
        "protocol": "inproc://" if in_this_process else "tcp://",
        "host": None if in_this_process else "127.0.0.1",
        "port": 0,
        "dashboard": dashboard,
        "dashboard_address": f"127.0.0.1:{options.dashboard_port if dashboard else 0}",
        "allowed_failures": ALLOWED_FAILURES,
        # Its nanny sees when a worker dies; one that computes for long without a heartbeat is not dead.
        "worker_ttl": "365 days",
    }


def _group_of(name: str) -> str:
    return name.rpartition("-")[0]


def _number_of(name: str) -> int:
    return int(name.rpartition("-")[2])
