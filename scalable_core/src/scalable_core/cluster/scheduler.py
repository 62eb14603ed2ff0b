"""Dask's scheduler with an eye for groups. Imports distributed: import it inside functions.

It needs distributed and the standard library only, so it can also run where workers run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import islice
from typing import Any

from distributed import Scheduler, Status  # noqa: TID253
from distributed.metrics import time  # noqa: TID253
from distributed.protocol.pickle import dumps  # noqa: TID253
from tornado.ioloop import PeriodicCallback

from scalable_core.cluster import component_of

#: Milliseconds between looks for calls that wait for a group that has failed.
FAILED_INTERVAL = 250


class GroupScheduler(Scheduler):
    """A `distributed.Scheduler` that knows that workers come in groups, one for each component.

    * It tells the demand of each group (`group_demand`), for adaptive scaling.
    * When a worker dies, only the calls that may have run on it count that against themselves. Dask counts
      it against every call that was assigned, so that one call that kills its workers takes all others along.
    * Calls that wait for a group that cannot be started end with the reason (`fail_group`).
    * Workers that retire are not told who retires with them: of a thousand, each would hear of all others.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        #: Component, or None for calls that name none, to why it has no workers.
        self.failed_groups: dict[str | None, Exception] = {}
        self._retiring: set[str] = set()
        self.handlers["group_demand"] = self.group_demand

    def group_demand(self, default: str) -> dict[str, dict[str, Any]]:
        """Return what each group has to do and who does it.

        Args:
            default: The group that calls without a component count for.

        Returns:
            Group to ``tasks`` (calls that want a thread), ``occupancy`` (seconds of work in them) and
            ``workers``, each with ``name``, ``tasks``, ``running`` (seconds) and ``nbytes``.
        """
        demand: dict[str, dict[str, Any]] = defaultdict(
            lambda: {"tasks": 0, "occupancy": 0.0, "workers": []}
        )
        for worker in self.workers.values():
            group = demand[component_of(worker.resources) or default]
            group["tasks"] += len(worker.processing) - len(worker.long_running)
            group["occupancy"] += worker.occupancy
            group["workers"].append(
                {
                    "name": str(worker.name),
                    "tasks": len(worker.processing),
                    "running": max(worker.executing.values(), default=0.0),
                    "nbytes": worker.nbytes,
                }
            )
        for task in self.unrunnable:
            group = demand[component_of(task.resource_restrictions) or default]
            group["tasks"] += 1
            group["occupancy"] += self._seconds(task)
        if self.queued:
            sample = list(islice(self.queued, 100))
            mean = sum(self._seconds(task) for task in sample) / len(sample)
            demand[default]["tasks"] += len(self.queued)
            demand[default]["occupancy"] += mean * len(self.queued)
        return dict(demand)

    async def remove_worker(self, address: str, **kwargs: Any) -> Any:
        """Remove a worker as Dask does, but blame its end only on calls that may have run on it."""
        address = self.coerce_address(address)
        worker = self.workers.get(address)
        if worker is not None and self.status is not Status.closed:
            suspects = _suspects(worker)
            for task in worker.processing:
                if task not in suspects and not (kwargs.get("expected") or kwargs.get("safe")):
                    task.suspicious -= 1  # Dask adds one to every call
            if worker.status is Status.closing_gracefully:
                self._retiring.add(address)
        try:
            return await super().remove_worker(address, **kwargs)
        finally:
            self._retiring.discard(address)

    def worker_send(self, worker: str, msg: dict[str, Any]) -> None:
        """Send a message to a worker, unless it is that another one retires and it retires itself."""
        if msg.get("op") == "remove-worker" and msg["worker"] in self._retiring:
            there = self.workers.get(worker)
            if there is not None and there.status is Status.closing_gracefully:
                return
        super().worker_send(worker, msg)

    def fail_group(self, name: str, reason: Exception, *, last: bool) -> None:
        """End the calls that wait for a group, now and from now on, with the reason that it has no workers.

        Args:
            name: The component's name.
            reason: What the futures raise.
            last: No other group has workers either, so calls without a component end too.
        """
        self.failed_groups[name] = reason
        if last:
            self.failed_groups[None] = reason
        self._fail_waiting()
        if "failed-groups" not in self.periodic_callbacks:
            callback = PeriodicCallback(self._fail_waiting, FAILED_INTERVAL)
            self.periodic_callbacks["failed-groups"] = callback
            callback.start()

    def revive_group(self, name: str) -> None:
        """Let calls wait for a group again."""
        self.failed_groups.pop(name, None)
        self.failed_groups.pop(None, None)

    def _seconds(self, task: Any) -> float:
        """How long a call is expected to take, from the others of its kind."""
        kind = task.prefix
        if kind.duration_average >= 0:
            return kind.duration_average
        return 2 * kind.max_exec_time if kind.max_exec_time > 0 else self.UNKNOWN_TASK_DURATION

    def _fail_waiting(self) -> None:
        if not self.failed_groups:
            return
        for task in [*self.unrunnable, *self.queued]:
            reason = self.failed_groups.get(component_of(task.resource_restrictions))
            if reason is not None and task.state in ("no-worker", "queued"):
                stimulus = f"group-failed-{time()}"
                recommendations = self.transition(
                    task.key,
                    "erred",
                    exception=dumps(reason),
                    exception_text=repr(reason),
                    cause=task.key,
                    stimulus_id=stimulus,
                )
                self.transitions(recommendations, stimulus)


def _suspects(worker: Any) -> set[Any]:
    """The calls of a worker that may have run when it died.

    Known to run are those of the last heartbeat and those that have seceded. Others may have started since: the
    worker starts calls in the order of their priority, once what they need is there.
    """
    by_priority = sorted(worker.processing, key=lambda task: task.priority)
    ready = (task for task in by_priority if _is_ready(task, worker))
    return {
        *worker.executing,
        *worker.long_running,
        *by_priority[: worker.nthreads],
        *islice(ready, worker.nthreads),
    }


def _is_ready(task: Any, worker: Any) -> bool:
    needs: Iterable[Any] = task.dependencies
    return all(worker in (need.who_has or ()) for need in needs)
