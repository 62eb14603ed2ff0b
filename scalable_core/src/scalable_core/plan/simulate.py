"""What a run would do, played through many times: how long it takes, and how long workers are there.

A discrete-event simulation of a list scheduler. A run is a sequence of stages, one for each task: a stage's
calls are all ready when it begins, and it begins when the one before has ended. Workers boot, run as many calls
at once as they have threads, and may be taken away by the service, which loses the calls they run. The same
question has the same answer everywhere: the seed is fixed. No clock, no Dask.
"""

from __future__ import annotations

import functools
import heapq
import math
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import pairwise
from random import Random
from statistics import NormalDist, fmean

from attrs import frozen

from scalable_core.types import ServiceProfile

#: How often a run is played through, and how many calls one play has at most; more are merged.
PLAYS = 16
CALLS = 500

#: After being lost this often a call is left alone, so that calls longer than any worker's life end too.
_LOSSES = 3

#: Seconds in which queued work should be done: less work asks for fewer workers, as when a run really adapts.
_TARGET_DURATION = 5.0


@frozen(kw_only=True)
class Durations:
    """How long the calls of a task take, in seconds: quantiles, and the mean that all together have."""

    mean: float
    p10: float
    p50: float
    p90: float
    longest: float

    def at(self, part: float) -> float:
        """Return a quantile, linear between those that are known."""
        known = ((0.0, self.p10), (0.1, self.p10), (0.5, self.p50), (0.9, self.p90))
        points = (*known, (1.0, max(self.longest, self.p90)))
        for (left, low), (right, high) in pairwise(points):
            if part <= right:
                return low + (high - low) * (part - left) / (right - left)
        return self.longest


@frozen(kw_only=True)
class Stage:
    """The calls of one task.

    Attributes:
        group: Whose workers run them.
        calls: How many there are.
        durations: One for each thing that is known of them; each play takes one, the first the most likely.
    """

    group: str
    calls: int
    durations: tuple[Durations, ...]


@frozen(kw_only=True)
class GroupBounds:
    """A worker group as far as its workers' number goes."""

    name: str
    threads: int
    minimum: int
    maximum: int


@frozen(kw_only=True)
class Band:
    """What is expected of a quantity, and what it is at the tenth and ninetieth percentile."""

    expected: float
    low: float
    high: float


@frozen(kw_only=True)
class Outcome:
    """What the plays come to.

    Attributes:
        wall: Seconds from start to end.
        workers: Worker-seconds of each group, as they are billed.
        most: Most workers of each group at one time.
    """

    wall: Band
    workers: Mapping[str, Band]
    most: Mapping[str, int]


def simulate(
    stages: Sequence[Stage],
    groups: Sequence[GroupBounds],
    *,
    adaptive: bool,
    maximum: int,
    profile: ServiceProfile,
    uncertainty: float = 0.1,
) -> Outcome:
    """Play a run through and return how long it takes and how long its workers are there.

    Args:
        stages: In the order in which they run.
        groups: All groups of the plan.
        adaptive: Workers come when a stage has calls for them and go when it has none; without it all are there
            from the start to the end.
        maximum: Most workers over all groups.
        profile: How the service behaves.
        uncertainty: Standard deviation, as a fraction, of a whole task's durations from one run to the next.
    """
    bounds = {group.name: group for group in groups}
    total = sum(stage.calls for stage in stages)
    sizes = [
        _size(stage, bounds, adaptive=adaptive, maximum=maximum, share=stage.calls / max(total, 1))
        for stage in stages
    ]
    plays = [
        _play(stages, sizes, bounds, adaptive, profile, uncertainty, number)
        for number in range(PLAYS)
    ]
    used: dict[str, int] = {g.name: g.minimum if adaptive else g.maximum for g in groups}
    for stage, size in zip(stages, sizes, strict=True):
        used[stage.group] = max(used[stage.group], size.workers)
    return Outcome(
        wall=_band([wall for wall, _ in plays]),
        workers={name: _band([spent[name] for _, spent in plays]) for name in bounds},
        most=used,
    )


@frozen(kw_only=True)
class _Size:
    """How a stage is played: its workers, how many of them one stands for, how many calls one stands for."""

    workers: int
    scale: float
    merge: int


def _size(
    stage: Stage,
    bounds: Mapping[str, GroupBounds],
    *,
    adaptive: bool,
    maximum: int,
    share: float,
) -> _Size:
    group = bounds[stage.group]
    workers = group.maximum
    if adaptive:
        others = sum(other.minimum for other in bounds.values() if other is not group)
        occupancy = stage.calls * stage.durations[0].mean
        wanted = math.ceil(min(stage.calls, occupancy / _TARGET_DURATION) / group.threads)
        workers = max(min(wanted, group.maximum, maximum - others), group.minimum, 1)
    limit = max(CALLS * share, 20.0)
    scale = workers / (workers // max(min(math.ceil(stage.calls / limit), workers // 8), 1))
    slots = workers * group.threads / scale
    merge = max(int(stage.calls / scale / max(limit, 4 * slots)), 1)
    return _Size(workers=workers, scale=scale, merge=merge)


def _play(
    stages: Sequence[Stage],
    sizes: Sequence[_Size],
    bounds: Mapping[str, GroupBounds],
    adaptive: bool,
    profile: ServiceProfile,
    uncertainty: float,
    number: int,
) -> tuple[float, dict[str, float]]:
    """Play one run; return its seconds and each group's worker-seconds."""
    rng = Random(number)
    # One run is faster or slower than another as a whole: spread evenly over the plays, not drawn.
    pace = math.exp(uncertainty * NormalDist().inv_cdf((number + 0.5) / PLAYS))
    spent = dict.fromkeys(bounds, 0.0)
    now = first = _boot(profile, rng)
    if adaptive and not any(group.minimum for group in bounds.values()):
        now = first = 0.0
    for stage, size in zip(stages, sizes, strict=True):
        if not stage.calls:
            continue
        group = bounds[stage.group]
        kept = min(group.minimum if adaptive else group.maximum, size.workers)
        played = max(round(size.workers / size.scale), 1)
        at_hand = min(max(round(kept / size.scale), min(kept, 1)), played)
        calls = _draw(stage, size, pace, number, rng)
        # Workers that get no call need not be played: those of a fixed number are counted at the end.
        busy = played if adaptive else min(played, math.ceil(len(calls) / group.threads))
        ready = [0.0 if i < at_hand else _boot(profile, rng) for i in range(busy)]
        took, there = _work(calls, ready, size.merge, group.threads, profile, rng)
        now += took
        if adaptive and played > at_hand:
            stands_for = (size.workers - kept) / (played - at_hand)
            billed = sum(_billed(seconds, profile) for seconds in there[at_hand:])
            spent[stage.group] += stands_for * billed
    for group in bounds.values():
        kept = group.minimum if adaptive else group.maximum
        spent[group.name] += kept * _billed(max(now, first), profile)
    return now, spent


def _draw(stage: Stage, size: _Size, pace: float, number: int, rng: Random) -> list[float]:
    """Seconds of each call of a stage, in the order in which they are given out."""
    known = stage.durations[number % len(stage.durations)]
    drawn = [pace * seconds for seconds in _spread(known, stage.calls, size.scale, size.merge)]
    rng.shuffle(drawn)
    return drawn


# Every play asks for the same again, and so do most numbers of workers.
@functools.lru_cache(maxsize=1024)
def _spread(known: Durations, calls: int, scale: float, merge: int) -> Sequence[float]:
    """Seconds of each call that is played, evenly spread over the quantiles; their mean is kept."""
    count = max(math.ceil(calls / (scale * merge)), 1)
    drawn = [known.at((i + 0.5) / count) for i in range(count)]
    mean = fmean(drawn)
    # The mean of several calls together is nearer to the mean of all.
    spread = 1 / math.sqrt(merge)
    each = calls / (scale * count)
    drawn = [each * max(mean + (seconds - mean) * spread, 0.0) for seconds in drawn]
    whole = sum(drawn)
    factor = known.mean * calls / scale / whole if whole > 0 else 1.0
    return [factor * seconds for seconds in drawn]


def _work(
    calls: Sequence[float],
    ready: Sequence[float],
    merge: int,
    threads: int,
    profile: ServiceProfile,
    rng: Random,
) -> tuple[float, list[float]]:
    """Run calls on workers; return when the last ends, and how long each worker or its successors were there.

    Args:
        calls: Seconds of each.
        ready: When each worker is.
        merge: How many real calls each stands for; what a lost worker had done of them is not lost.
        threads: Calls that a worker runs at once.
        profile: How often workers are taken away.
        rng: Where chance comes from.
    """
    rate = profile.interruptions / 3600
    ends = [_life(rate, at, rng) for at in ready]
    again = list(ready)
    there = list(ready)
    generation = [0] * len(ready)
    free = [(at, worker, 0) for worker, at in enumerate(ready) for _ in range(threads)]
    heapq.heapify(free)
    waiting = deque((seconds, seconds / merge, 0.0, 0) for seconds in calls)
    end = 0.0
    while waiting:
        at, worker, its = heapq.heappop(free)
        if its < generation[worker]:
            heapq.heappush(free, (max(at, again[worker]), worker, generation[worker]))
            continue
        seconds, unit, since, losses = waiting[0]
        start = max(at, since)
        if start + seconds <= ends[worker] or losses >= _LOSSES:
            waiting.popleft()
            there[worker] = max(there[worker], start + seconds)
            end = max(end, start + seconds)
            heapq.heappush(free, (start + seconds, worker, its))
            continue
        lost = ends[worker]
        if start < lost:
            waiting.popleft()
            done = math.floor((lost - start) / unit)
            rest = max(seconds - done * unit, unit)
            waiting.append((rest, unit, lost, losses if done else losses + 1))
        there[worker] = max(there[worker], lost)
        generation[worker] += 1
        again[worker] = lost + _boot(profile, rng)
        ends[worker] = _life(rate, again[worker], rng)
        heapq.heappush(free, (again[worker], worker, generation[worker]))
    # Workers that come when all is done are not waited for, and are sent away.
    return end, [min(seconds, end) for seconds in there]


def _life(rate: float, since: float, rng: Random) -> float:
    """When a worker that is ready at ``since`` is taken away."""
    return since + rng.expovariate(rate) if rate > 0 else math.inf


def _boot(profile: ServiceProfile, rng: Random) -> float:
    """Seconds until a worker is ready: half of them take the usual, one in ten the high or longer."""
    part = rng.random()
    low, high = profile.boot, max(profile.boot_high, profile.boot)
    return low * (0.8 + 0.4 * part) if part < 0.5 else low + (high - low) * (part - 0.5) / 0.4


def _billed(seconds: float, profile: ServiceProfile) -> float:
    step = profile.billed_step
    seconds = math.ceil(seconds / step) * step if step > 0 else seconds
    return max(seconds, profile.billed_minimum)


def _band(values: Sequence[float]) -> Band:
    ordered = sorted(values)
    low, high = _quantile(ordered, 0.1), _quantile(ordered, 0.9)
    return Band(expected=min(max(fmean(ordered), low), high), low=low, high=high)


def _quantile(ordered: Sequence[float], part: float) -> float:
    place = part * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
