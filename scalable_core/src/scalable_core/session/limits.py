"""When the driver of a detached run ends by itself: its hard limit is met, or nothing is done any more."""

from __future__ import annotations

import faulthandler
import os
import time
from collections.abc import Mapping
from typing import Any

from scalable_core.session.outlook import open_calls
from scalable_core.types import Progress, TaskCounts
from scalable_core.types.units import format_duration

#: Share of one CPU that a workflow uses at least while it computes something itself.
BUSY = 0.1
#: Seconds after the hard limit in which a driver has to release what there is.
GRACE = 600.0


class DriverLimits:
    """The limits that a target sets as ``max_lifetime`` and ``idle_timeout``; none without such options.

    Args:
        options: Of the target.
    """

    def __init__(self, options: Any) -> None:
        self._lifetime: float | None = getattr(options, "max_lifetime", None)
        self._idle: float | None = getattr(options, "idle_timeout", None)
        self._born = self._busy = time.monotonic()
        self._used = _cpu_seconds()
        self._seen: Mapping[str, TaskCounts] = {}

    def over(self, progress: Progress) -> str | None:
        """Return which limit is met; None while none is.

        A driver is idle when no call waits or runs, and it does not compute either.

        Args:
            progress: How far the run is now.
        """
        now, used = time.monotonic(), _cpu_seconds()
        if self._lifetime and now - self._born > self._lifetime:
            return f"ended by its max_lifetime of {format_duration(self._lifetime)}"
        if progress.tasks != self._seen or open_calls(progress.tasks):
            self._seen, self._busy, self._used = progress.tasks, now, used
        elif self._idle and now - self._busy > self._idle:
            if used - self._used < BUSY * (now - self._busy):
                return (
                    f"ended by its idle_timeout: nothing was done for {format_duration(self._idle)}"
                )
            self._busy, self._used = now, used
        return None


def end_hard(options: Any) -> None:
    """See to it that this process is gone some time after its hard limit, even if nothing in it listens."""
    lifetime = getattr(options, "max_lifetime", None)
    if lifetime:
        faulthandler.dump_traceback_later(lifetime + GRACE, exit=True)


def _cpu_seconds() -> float:
    """Return the CPU time of this process and of those that it has waited for."""
    return sum(os.times()[:4])
