"""Work that is done soon, once for many reasons, and at the latest in the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from scalable_core.errors import ScalableError


class Later:
    """Does a piece of work in the background when there is reason to. Safe from any thread.

    Args:
        work: What to do; never done twice at one time.
        after: Seconds from the first reason to the work; more when the work takes long.
    """

    def __init__(self, work: Callable[[], None], *, after: float = 2.0) -> None:
        self._work, self._after = work, after
        self._lock, self._working = threading.Lock(), threading.Lock()
        self._timer: threading.Timer | None = None
        self._due = False

    def ask(self) -> None:
        """Give a reason."""
        with self._lock:
            self._due = True
            if self._timer is None:
                self._timer = threading.Timer(self._after, self._run)
                self._timer.daemon = True
                self._timer.start()

    def close(self) -> None:
        """Do the work now if there is still reason to; what it raises is raised."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
        self._do()

    def _run(self) -> None:
        try:
            self._do()
        except ScalableError:
            with self._lock:
                self._due = True  # the next reason, or the end, tries again
        finally:
            with self._lock:
                self._timer = None

    def _do(self) -> None:
        with self._working:
            with self._lock:
                due, self._due = self._due, False
            if due:
                start = time.monotonic()
                self._work()
                self._after = max(self._after, 10 * (time.monotonic() - start))
