"""Why a worker was lost: whether its process was ended for its memory, and how much it held at most."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from scalable_core.types.units import format_size

#: Counts of processes that the kernel has ended for memory, on this machine and in this control group.
VMSTAT = Path("/proc/vmstat")
CONTROL_GROUPS = Path("/sys/fs/cgroup")
#: What an exit code is when a container's process was ended by SIGKILL.
_CONTAINER_KILLED = 128 + signal.SIGKILL


class Report(Protocol):
    """Takes what happened to a worker: the kind of event, a sentence, and plain data for programs."""

    def __call__(self, kind: str, message: str, **data: Any) -> None:
        """Note it."""


def report_loss(
    report: Report,
    name: str,
    what: str,
    *,
    peak: int | None = None,
    limit: int | None = None,
    for_memory: bool,
) -> None:
    """Say that a worker was lost, and note where that was for its memory.

    Args:
        report: Who is told.
        name: The worker's.
        what: What happened to it, in words.
        peak: Bytes that it held at most; None when unknown.
        limit: Bytes that it might hold; None without a limit.
        for_memory: It was ended because it used too much.
    """
    if not for_memory:
        report("worker.lost", f"{what}; another takes its place", worker=name)
        return
    used = f"using {format_size(peak)}" if peak else "too much"
    bound = f" of its {format_size(limit)} of memory" if limit else " of memory"
    report(
        "worker.lost",
        f"{what} for {used}{bound}; another takes its place",
        worker=name,
        reason="memory",
        peak=peak,
        limit=limit,
    )


def oom_kills() -> int:
    """Return how many processes the kernel has ended for memory since it started; 0 where it does not say."""
    return sum(_counts())


def was_killed_for_memory(code: int, before: int, peak: int | None, limit: int | None) -> bool:
    """Return whether a process that ended by itself was ended for its memory.

    Args:
        code: Its exit code, as `subprocess` gives it.
        before: `oom_kills` when it was started.
        peak: Bytes that it held at most; None when unknown.
        limit: Bytes that it was to hold; None without a limit.
    """
    if code not in (-signal.SIGKILL, _CONTAINER_KILLED):
        return False
    return oom_kills() > before or (peak is not None and limit is not None and peak >= limit)


def wait_with_peak(process: subprocess.Popen[bytes]) -> tuple[int, int | None]:
    """Wait for a process of ours; return its exit code and its most bytes, None when unknown."""
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except ChildProcessError:  # somebody else has asked at this moment
        return process.wait(), None
    process.returncode = os.waitstatus_to_exitcode(status)
    unit = 1 if sys.platform == "darwin" else 1024
    ours = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # A process begins as a copy of this one, and what this one holds is then counted as its own.
    return process.returncode, usage.ru_maxrss * unit if usage.ru_maxrss > ours else None


def _counts() -> Iterator[int]:
    for path in (VMSTAT, CONTROL_GROUPS / _own_group() / "memory.events"):
        try:
            lines = path.read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            name, _, count = line.partition(" ")
            if name == "oom_kill" and count.isdecimal():
                yield int(count)


def _own_group() -> str:
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return ""
    return next((line[3:].lstrip("/") for line in lines if line.startswith("0::")), "")
