"""What to ask for next time, from what calls needed before, and how sure that is.

Bounds are order statistics: the r-th smallest of n values is above the q-quantile of all calls with a
probability that depends on n, q and r alone, whatever the values are spread like.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence

from attrs import frozen

from scalable_core.records.reading import RunHistory
from scalable_core.records.summary import Spread, seconds_of_call, spread
from scalable_core.types.units import GIB, MIB

#: The part of all calls that a bound is for.
COVERAGE = 0.95
#: Workers are paused when they hold this part of their memory, so more than it is of no use.
USABLE = 0.8


@frozen(kw_only=True)
class Bound:
    """What `COVERAGE` of all calls need at most, as sure as was asked.

    Attributes:
        value: The bound; None when it cannot be given.
        count: Calls that it is known of.
        needed: Calls that must be known for such a bound.
        beyond: Calls that were stopped because they wanted more; what they need is not known.
        reached: How sure the largest value seen would be as a bound.
        seen: How the values are spread; None when there is none.
    """

    value: float | None
    count: int
    needed: int
    beyond: int
    reached: float
    seen: Spread | None


@frozen(kw_only=True)
class WorkerChoice:
    """How long the calls of the last run would take on some workers, starting them not included."""

    workers: int
    wall: float


@frozen(kw_only=True)
class Advice:
    """What to ask for, for one task.

    Attributes:
        task: The task's name.
        component: Where it ran.
        target: The target whose runs were looked at.
        runs: How many of them had calls of it.
        calls: How many calls gave a result.
        confidence: How sure the bounds are, from 0 to 1.
        coverage: The part of all calls that the bounds are for.
        memory: Bytes that the worker of a call held at most, other calls of that worker included.
        duration: Seconds.
        limit: Bytes that a worker may hold now; None when unknown.
        ask_memory: Bytes to give the component: the bound is `USABLE` of it. None without a bound.
        workers_now: Workers of that component in the last run; 0 when unknown.
        enough_workers: More would not help: the longest call takes as long as all of them together then.
        choices: Numbers of workers to choose from.
    """

    task: str
    component: str | None
    target: str
    runs: int
    calls: int
    confidence: float
    coverage: float = COVERAGE
    memory: Bound
    duration: Bound
    limit: float | None
    ask_memory: int | None
    workers_now: int
    enough_workers: int
    choices: tuple[WorkerChoice, ...]


def advise(
    histories: Sequence[RunHistory], task: str, *, confidence: float = 0.95
) -> Advice | None:
    """Return what to ask for, from the runs that had calls of a task; None when no call gave a result.

    Args:
        histories: Runs, the latest last; those on another target than the latest are left out.
        task: The task's name.
        confidence: How sure the bounds must be, above 0 and below 1.
    """
    used = [history for history in histories if any(row.task == task for row in history.tasks)]
    if not used:
        return None
    last = used[-1]
    target = last.record.target
    used = [history for history in used if history.record.target == target]
    peaks: list[float] = []
    durations: list[float] = []
    for history in used:
        ends = {r.key: r for r in history.tasks if r.task == task and r.state == "done"}
        peaks += (row.peak for row in ends.values() if row.peak is not None)
        durations += (s for s in map(seconds_of_call, ends.values()) if s is not None)
    if not durations:
        return None
    memory = bound(peaks, confidence=confidence, beyond=_stopped(used, task, "memory"))
    duration = bound(durations, confidence=confidence, beyond=_stopped(used, task, "timeout"))
    rows = list({r.key: r for r in last.tasks if r.task == task and r.state == "done"}.values())
    component = next((row.component for row in reversed(rows) if row.component), None)
    limits = [row.memory for row in last.workers if row.component == component and row.memory]
    spans = [s for s in map(seconds_of_call, rows) if s is not None]
    threads = max((row.threads for row in last.workers if row.component == component), default=1)
    now = len({row.name for row in last.workers if row.component == component})
    enough = _enough(spans, threads)
    return Advice(
        task=task,
        component=component,
        target=target,
        runs=len(used),
        calls=len(durations),
        confidence=confidence,
        memory=memory,
        duration=duration,
        limit=max(limits, default=None),
        ask_memory=None if memory.value is None else roomy(memory.value / USABLE),
        workers_now=now,
        enough_workers=enough,
        choices=tuple(
            WorkerChoice(workers=workers, wall=wall_of(spans, workers * threads))
            for workers in sorted({max(now // 2, 1), max(now, 1), 2 * max(now, 1), enough})
            if spans
        ),
    )


def bound(values: Sequence[float], *, confidence: float, beyond: int = 0) -> Bound:
    """Return what `COVERAGE` of all calls need at most.

    Args:
        values: What calls needed.
        confidence: How sure it must be.
        beyond: Calls that needed more than they could have; they count as the largest values.
    """
    ordered = sorted(values)
    count = len(ordered) + beyond
    rank = rank_of_bound(count, confidence=confidence)
    return Bound(
        value=None if rank is None or rank > len(ordered) else ordered[rank - 1],
        count=count,
        needed=math.ceil(math.log(1 - confidence) / math.log(COVERAGE) - 1e-9),
        beyond=beyond,
        reached=0.0 if beyond or not count else 1 - COVERAGE**count,
        seen=spread(ordered),
    )


def rank_of_bound(count: int, *, confidence: float, coverage: float = COVERAGE) -> int | None:
    """Return the smallest rank, from 1, whose value is above the quantile with that confidence.

    The r-th smallest of n values is at or above the q-quantile unless r or more of them are below it, and how
    many are below it is binomial with n and q.

    Returns:
        None when even the largest of so few values is not.
    """
    below = 0.0  # the probability that `rank` or more values are below the quantile
    found = None
    for rank in range(count, 0, -1):
        below += math.exp(_log_binomial(count, rank, coverage))
        if below > 1 - confidence:
            break
        found = rank
    return found


def _log_binomial(count: int, hits: int, part: float) -> float:
    choose = math.lgamma(count + 1) - math.lgamma(hits + 1) - math.lgamma(count - hits + 1)
    return choose + hits * math.log(part) + (count - hits) * math.log(1 - part)


def roomy(size: float) -> int:
    """Return a size that people would write, at or above the one given: whole 64M, 256M or G."""
    step: int = 64 * MIB if size <= GIB else 256 * MIB if size <= 8 * GIB else GIB
    return math.ceil(size / step) * step


def wall_of(seconds: Iterable[float], threads: int) -> float:
    """Return how long calls take one after the other, each on the thread that is free first."""
    free = [0.0] * threads
    for duration in seconds:
        heapq.heapreplace(free, free[0] + duration)
    return max(free)


def _enough(seconds: Sequence[float], threads: int) -> int:
    longest = max(seconds, default=0.0)
    return math.ceil(sum(seconds) / (longest * threads)) if longest else 1


def _stopped(histories: Iterable[RunHistory], task: str, kind: str) -> int:
    """Count the calls of a task that were given up because they wanted more than there was."""
    return sum(
        len({f.key for f in history.failures if (f.task, f.kind, f.final) == (task, kind, True)})
        for history in histories
    )
