"""What the scheduler itself sees of a run, gathered inside it. Imported only inside functions.

Rows are plain data with the fields of `TaskRow`, `WorkerRow`, `ResourceRow` and `FailureRow` of
`scalable_core.types`; fields that are None are left out. Needs distributed and the standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import time
from typing import Any

from dask.utils import key_split
from distributed.diagnostics.plugin import SchedulerPlugin
from tornado.ioloop import PeriodicCallback

from scalable_core.member.drain import STOPPED
from scalable_core.member.retry import FAILURE, PERMANENT, error_type

#: What stands before a component's name in the Dask resource of its workers.
RESOURCE_PREFIX = "component:"
#: Seconds between looks at how busy the cluster is.
SAMPLE_INTERVAL = 2.0
#: A worker that held at least this part of its limit when it was lost is taken to have been killed for it.
NEAR_LIMIT = 0.8


class _Call:
    """A call that has not ended."""

    __slots__ = ("attempt", "queued", "submitted", "suspicious", "worker")

    def __init__(self, submitted: float) -> None:
        self.submitted = submitted
        self.queued: float | None = None
        self.worker: str | None = None
        self.attempt = 1
        self.suspicious = 0


class RunPlugin(SchedulerPlugin):
    """Counts the calls of a run, and keeps a row for every attempt and every worker until it is fetched.

    The scheduler answers two more questions with plain data:

    * ``scalable_progress``: counts by task name (``total``, ``done``, ``failed``), and of workers (``now``,
      ``added``, ``lost``), and what is ``running``;
    * ``scalable_rows``: the rows since the last question, by table: ``tasks``, ``workers``, ``resources``,
      ``failures``.
    """

    name = "scalable-run"
    idempotent = True

    def __init__(self) -> None:
        self._rows: dict[str, list[dict[str, Any]]] = {}
        self._counts: dict[str, dict[str, int]] = {}
        self._state: dict[Any, str] = {}
        self._open: dict[Any, _Call] = {}
        self._workers: dict[str, Any] = {}
        self._added = self._lost = 0

    async def start(self, scheduler: Any) -> None:
        """Offer the counts and the rows to clients, and begin to look how busy the cluster is."""
        self._scheduler = scheduler
        scheduler.handlers["scalable_progress"] = self.progress
        scheduler.handlers["scalable_rows"] = self.take_rows
        self._sampling = PeriodicCallback(self.sample, SAMPLE_INTERVAL * 1000)
        self._sampling.start()
        for worker in scheduler.workers:
            self.add_worker(scheduler, worker)

    async def close(self) -> None:
        """Stop looking."""
        self._sampling.stop()

    def progress(self) -> dict[str, Any]:
        """Return the counts, and by task the seconds that the latest of its running calls has run."""
        running: dict[str, float] = {}
        for worker in self._scheduler.workers.values():
            for task, seconds in worker.executing.items():
                name = key_split(task.key)
                running[name] = min(seconds, running.get(name, seconds))
        workers = {"now": len(self._scheduler.workers), "added": self._added, "lost": self._lost}
        return {"tasks": self._counts, "workers": workers, "running": running}

    def take_rows(self) -> dict[str, list[dict[str, Any]]]:
        """Return the rows that have come since the last time, and forget them."""
        rows, self._rows = self._rows, {}
        return rows

    def update_graph(self, scheduler: Any, *, tasks: Any, **kwargs: Any) -> None:
        """Note new calls."""
        now = time()
        for key in tasks:
            if key not in self._open:
                self._open[key] = _Call(now)
            if key not in self._state:
                self._state[key] = "total"
                self._count(key, "total", 1)

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        """Note how far a call is. One that was told to end has neither ended by itself nor failed."""
        if finish == "erred" and getattr(self._scheduler, STOPPED, False):
            return
        if finish == "processing":
            self._assigned(key)
        elif start == "processing":
            if finish == "memory":
                self._ended(key, "done", **kwargs)
                self._settle(key, "done")
            elif finish == "erred":
                self._failed(key, final=True, **kwargs)
                self._settle(key, "failed")
            else:
                self._interrupted(key)
        elif finish == "erred":
            self._settle(key, "failed")
        elif finish == "forgotten":
            self._open.pop(key, None)

    def add_worker(self, scheduler: Any, worker: str) -> None:
        """Note a worker that came."""
        self._added += 1
        self._workers[worker] = scheduler.workers[worker]
        self._worker_row(self._workers[worker], "added")

    def remove_worker(self, scheduler: Any, worker: str, **kwargs: Any) -> None:
        """Note a worker that went, and whether the run still wanted it."""
        state = self._workers.pop(worker, None)
        if state is None:
            return
        expected = scheduler.status.name != "running" or state.status.name == "closing_gracefully"
        self._lost += not expected
        self._worker_row(state, "removed" if expected else "lost")

    def sample(self) -> None:
        """Note how busy the cluster is."""
        workers = self._scheduler.workers.values()
        if not workers:
            return
        running = sum(min(len(worker.processing), worker.nthreads) for worker in workers)
        assigned = sum(len(worker.processing) for worker in workers)
        waiting = len(self._scheduler.queued) + len(self._scheduler.unrunnable)
        self._row(
            "resources",
            time=_ms(time()),
            workers=len(workers),
            threads=sum(worker.nthreads for worker in workers),
            queued=waiting + assigned - running,
            running=running,
            cpu={str(worker.name): worker.metrics.get("cpu", 0.0) for worker in workers},
            memory={str(worker.name): worker.metrics.get("memory", 0) for worker in workers},
        )

    def _assigned(self, key: Any) -> None:
        call = self._open.get(key)
        if call is None:  # a result that was lost is made again
            call = self._open[key] = _Call(time())
        call.queued = time()
        task = self._scheduler.tasks[key]
        call.worker = task.processing_on.address if task.processing_on else None

    def _ended(
        self,
        key: Any,
        state: str,
        *,
        startstops: Any = (),
        nbytes: int | None = None,
        metadata: Mapping[str, Any] | None = None,
        worker: str | None = None,
        **kwargs: Any,
    ) -> None:
        call = self._open.pop(key, None) if state in ("done", "failed") else self._open.get(key)
        if call is None:
            return
        compute = [span for span in startstops or () if span["action"] == "compute"]
        measured = metadata or {}
        call.worker = worker or call.worker  # another worker may have taken it over
        self._row(
            "tasks",
            key=str(key),
            task=key_split(key),
            component=self._component(call.worker),
            state=state,
            submitted=_ms(call.submitted),
            queued=_ms(call.queued),
            started=_ms(compute[-1]["start"]) if compute else None,
            finished=_ms(compute[-1]["stop"]) if compute else _ms(time()),
            worker=self._worker_name(call.worker),
            nbytes=nbytes,
            cpu=measured.get("cpu"),
            peak=measured.get("peak"),
            attempt=call.attempt,
        )

    def _failed(
        self,
        key: Any,
        *,
        final: bool,
        exception_text: str | None = None,
        traceback_text: str | None = None,
        worker: str | None = None,
        **kwargs: Any,
    ) -> None:
        call = self._open.get(key)
        if call is None:
            return
        call.worker = worker or call.worker
        # Dask gives a call up because of its workers without a text.
        killed = exception_text is None
        text = exception_text or f"KilledWorker({self._reason_of_loss(call.worker)})"
        kind = "worker-lost" if killed else "timeout" if "Timeout" in error_type(text) else "error"
        if killed and self._was_near_limit(call.worker):
            kind = "memory"
        self._failure_row(key, call, kind, text, traceback_text, final=final)
        self._ended(key, "failed" if final else "retried", **kwargs)

    def _interrupted(self, key: Any) -> None:
        """An attempt ended without a result: it is tried again, or its worker was lost."""
        call = self._open.get(key)
        task = self._scheduler.tasks.get(key)
        if call is None or task is None:
            return
        failure = (task.metadata or {}).pop(FAILURE, None)
        if failure is not None:
            self._failed(key, final=False, **failure)
        elif task.suspicious > call.suspicious:  # it may have run when its worker was lost
            call.suspicious = task.suspicious
            kind = "memory" if self._was_near_limit(call.worker) else "worker-lost"
            text = f"WorkerLost({self._reason_of_loss(call.worker)})"
            self._failure_row(key, call, kind, text, None, final=False)
            self._ended(key, "lost")
        else:
            return  # it had only waited there
        call.attempt += 1

    def _failure_row(
        self, key: Any, call: _Call, kind: str, text: str, trace: str | None, *, final: bool
    ) -> None:
        _, _, message = text.partition("(")
        worker = self._workers.get(call.worker or "")
        transient = kind != "error" or error_type(text) not in PERMANENT
        self._row(
            "failures",
            time=_ms(time()),
            key=str(key),
            task=key_split(key),
            worker=self._worker_name(call.worker),
            attempt=call.attempt,
            kind=kind,
            transient=transient,
            final=final,
            type=error_type(text),
            message=message.rstrip(")").strip("'\"")[:500],
            log=[line[:500] for line in (trace or "").splitlines()[-20:]],
            peak=worker.metrics.get("memory") if worker else None,
            limit=worker.memory_limit or None if worker else None,
        )

    def _settle(self, key: Any, now: str) -> None:
        """Count a call once, by how it ended last; a result that is made again is still one result."""
        state = self._state.get(key)
        if state in (None, now):
            return
        if state != "total":
            self._count(key, str(state), -1)
        self._state[key] = now
        self._count(key, now, 1)

    def _count(self, key: Any, kind: str, change: int) -> None:
        name = key_split(key)
        counts = self._counts.get(name)
        if counts is None:
            counts = self._counts[name] = {"total": 0, "done": 0, "failed": 0}
        counts[kind] += change

    def _worker_row(self, worker: Any, event: str) -> None:
        self._row(
            "workers",
            time=_ms(time()),
            event=event,
            name=str(worker.name),
            component=_component(worker),
            threads=worker.nthreads,
            memory=worker.memory_limit or None,
            host=worker.host,
            pid=worker.pid,
        )

    def _component(self, address: str | None) -> str | None:
        worker = self._workers.get(address or "")
        return None if worker is None else _component(worker)

    def _worker_name(self, address: str | None) -> str | None:
        worker = self._workers.get(address or "")
        return address if worker is None else str(worker.name)

    def _was_near_limit(self, address: str | None) -> bool:
        worker = self._workers.get(address or "")
        if worker is None or not worker.memory_limit:
            return False
        held: float = worker.metrics.get("memory", 0)
        return held >= NEAR_LIMIT * worker.memory_limit

    def _reason_of_loss(self, address: str | None) -> str:
        return f"worker {self._worker_name(address)} was lost"

    def _row(self, table: str, **fields: Any) -> None:
        row = {name: value for name, value in fields.items() if value is not None}
        self._rows.setdefault(table, []).append(row)


def _component(worker: Any) -> str | None:
    for resource in worker.resources:
        if resource.startswith(RESOURCE_PREFIX):
            return str(resource.removeprefix(RESOURCE_PREFIX))
    return None


def _ms(moment: float | None) -> float | None:
    return None if moment is None else round(moment, 4)
