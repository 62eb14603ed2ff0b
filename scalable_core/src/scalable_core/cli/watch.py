"""Watches a run from a thread of its own, while the workflow has the main one."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol

from scalable_core.cli.render.run import completed
from scalable_core.session import invocation
from scalable_core.types import Event, Progress, RunRecord


class Display(Protocol):
    """Shows a run. All calls come from one thread, save `start` and `stop`."""

    #: Seconds between two looks at the run's progress.
    interval: float

    def start(self) -> None:
        """Called before the workflow starts."""

    def event(self, event: Event, elapsed: float) -> None:
        """Show something that happened, ``elapsed`` seconds after the start."""

    def progress(self, progress: Progress, elapsed: float) -> None:
        """Show how far the run is; called at every interval, changed or not."""

    def stop(self, progress: Progress, elapsed: float) -> None:
        """Show how far the run came; called when it has ended and everything is released."""


class Watch:
    """An `EventSink` that shows what it hears, and what the run's sessions say of their progress.

    It is a context manager around the run. A signal handler may `emit` too: the queue takes what comes
    while it is being used.

    Args:
        display: What shows it.
    """

    def __init__(self, display: Display) -> None:
        self._display = display
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._watch, name="scalable-watch", daemon=True)
        self._start = time.monotonic()
        self._last = Progress()
        self._records: tuple[RunRecord, ...] = ()

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._start

    def emit(self, event: Event) -> None:
        """Show an event soon."""
        self._events.put(event)

    def finish(self, records: Sequence[RunRecord]) -> None:
        """Show the counts at the end, which the last look may have missed."""
        self._records = tuple(records)

    def __enter__(self) -> Watch:
        self._display.start()
        self._start = time.monotonic()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._events.put(None)
        try:
            self._thread.join(timeout=5)
        finally:
            self._display.stop(completed(self._last, self._records), self.elapsed)

    def _watch(self) -> None:
        due = self._start
        while True:
            try:
                event = self._events.get(timeout=max(due - time.monotonic(), 0.001))
            except queue.Empty:
                pass
            else:
                if event is None:
                    return
                self._display.event(event, self.elapsed)
            if time.monotonic() >= due:
                self._last = _look_at_sessions() or self._last
                self._display.progress(self._last, self.elapsed)
                due = time.monotonic() + self._display.interval


def _look_at_sessions() -> Progress | None:
    """Return how far the newest session of the run is; None when there is nothing new to know."""
    run = invocation.current()
    if run is None or not run.sessions:
        return None
    try:
        progress = run.sessions[-1].progress()
    except Exception:
        return None  # the scheduler is just closing
    return progress if progress.tasks or progress.added else None
