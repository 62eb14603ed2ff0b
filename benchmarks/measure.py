"""How figures are taken: in turns, several times, in one run; a ratio of medians is what counts."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCALABLE = Path(sys.executable).with_name("scalable")


@dataclass(frozen=True)
class Figure:
    """One number, and the most that it may be.

    Attributes:
        name: What is measured.
        value: In ``unit``.
        unit: ``x`` for a ratio, ``s`` for seconds.
        limit: The most allowed.
        medians: The medians (s) that it was computed from.
        runs: How often each was taken.
    """

    name: str
    value: float
    unit: str
    limit: float
    medians: Mapping[str, float] = field(default_factory=dict)
    runs: int = 0

    @property
    def good(self) -> bool:
        """Within the limit."""
        return self.value <= self.limit


def take_turns(ways: Mapping[str, Callable[[], float]], runs: int) -> dict[str, float]:
    """Return the median of each way, measured in turns, after one turn that does not count.

    Args:
        ways: Name to a function that does the work and returns seconds.
        runs: How many turns count.
    """
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(runs + 1):
        for name, way in ways.items():
            seconds = way()
            if turn:
                taken[name].append(seconds)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def ratio(
    name: str, medians: Mapping[str, float], ours: str, theirs: str, limit: float, runs: int
) -> Figure:
    """Return the figure that says how many times as long ours takes."""
    return Figure(name, medians[ours] / medians[theirs], "x", limit, medians, runs)


def cpu(*command: object) -> float:
    """Return the CPU seconds, user and system, of a command and its children."""
    process = subprocess.Popen(
        [str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command} ended with {process.returncode}: {said.decode()}")
    return usage.ru_utime + usage.ru_stime


def wall(work: Callable[[], object]) -> float:
    """Return the seconds that some work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def report(figures: Sequence[Figure]) -> None:
    """Print figures as JSON lines, which ``run.py`` collects."""
    for figure in figures:
        print(json.dumps({**asdict(figure), "good": figure.good}), flush=True)


def machine() -> dict[str, object]:
    """Return what the figures were taken on."""
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "cpus": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "load": os.getloadavg()[0],
    }
