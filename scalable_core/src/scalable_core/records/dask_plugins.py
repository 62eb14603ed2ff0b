"""What the scheduler itself sees of a run, gathered inside it. Imported only inside functions."""

from __future__ import annotations

from typing import Any

from dask.utils import key_split
from distributed.diagnostics.plugin import SchedulerPlugin


class ProgressPlugin(SchedulerPlugin):
    """Counts the calls of each kind by how far they are, and the workers that came and went.

    The scheduler answers ``scalable_progress`` with plain data:
    ``{"tasks": {name: {"total", "done", "failed"}}, "workers": {"now", "added", "lost"}}``.
    """

    name = "scalable-progress"
    idempotent = True

    def __init__(self) -> None:
        self._counts: dict[str, dict[str, int]] = {}
        self._state: dict[Any, str] = {}
        self._added = 0
        self._lost = 0

    async def start(self, scheduler: Any) -> None:
        """Offer the counts to clients."""
        self._scheduler = scheduler
        scheduler.handlers["scalable_progress"] = self.progress

    def update_graph(self, scheduler: Any, *, tasks: Any, **kwargs: Any) -> None:
        """Count new calls."""
        for key in tasks:
            if key not in self._state:
                self._state[key] = "total"
                self._count(key, "total", 1)

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        """Note results and failures; a result that is computed again is still one result."""
        if finish not in ("memory", "erred"):
            return
        state, now = self._state.get(key), "done" if finish == "memory" else "failed"
        if state in (None, now):
            return
        if state != "total":
            self._count(key, str(state), -1)
        self._state[key] = now
        self._count(key, now, 1)

    def add_worker(self, scheduler: Any, worker: str) -> None:
        """Count workers that came."""
        self._added += 1

    def remove_worker(self, scheduler: Any, worker: str, **kwargs: Any) -> None:
        """Count workers that went while the run still needed them."""
        if scheduler.status.name == "running":
            self._lost += 1

    def progress(self) -> dict[str, Any]:
        """Return the counts."""
        workers = {"now": len(self._scheduler.workers), "added": self._added, "lost": self._lost}
        return {"tasks": self._counts, "workers": workers}

    def _count(self, key: Any, kind: str, change: int) -> None:
        name = key_split(key)
        counts = self._counts.get(name)
        if counts is None:
            counts = self._counts[name] = {"total": 0, "done": 0, "failed": 0}
        counts[kind] += change
