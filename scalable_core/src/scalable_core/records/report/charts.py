"""What the charts of a report draw: few enough points for a browser, however many calls a run had."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from scalable_core.records.reading import RunHistory
from scalable_core.records.summary import natural
from scalable_core.types import TaskRow

#: Points of a curve.
BINS = 240
#: Most bars of the timeline; shorter bars are joined until there are no more.
MOST_SPANS = 12_000
#: Most rows of the timeline; a worker has one for each thread while there are no more.
MOST_LANES = 120

_STATES = {"done": 0, "failed": 1, "retried": 2}
#: Stands for bars of several tasks that are too short to be told apart.
SEVERAL = -1

#: A bar: its beginning and end in seconds since the start, task, state, and how many calls it stands for.
Span = tuple[float, float, int, int, int]


def chart_data(history: RunHistory) -> dict[str, Any]:
    """Return what the charts draw. Times are seconds since the start of the run.

    Returns:
        ``wall``; ``tasks``, their names, the most frequent first; ``lanes``, each a worker's name and its
        bars in columns ``from``, ``to``, ``task``, ``state``, ``calls``; ``busy``, means over `BINS` equal
        parts of the run of ``waiting``, ``running`` and ``threads``; ``memory``, by worker name ``time``
        and ``part``, of the worker's limit or else of its own peak.
    """
    start, wall = history.started, max(history.ended - history.started, 1e-3)
    calls = Counter(row.task for row in history.tasks if row.started is not None)
    tasks = [task for task, _ in calls.most_common()]
    return {
        "wall": round(wall, 4),
        "tasks": tasks,
        "lanes": _lanes(history, tasks, start, wall),
        "busy": _busy(history, start, wall),
        "memory": _memory(history, start),
    }


def _lanes(
    history: RunHistory, tasks: list[str], start: float, wall: float
) -> list[dict[str, Any]]:
    index = {task: place for place, task in enumerate(tasks)}
    by_worker: dict[str, list[TaskRow]] = defaultdict(list)
    for row in history.tasks:
        if row.started is not None and row.worker is not None and row.state in _STATES:
            by_worker[row.worker].append(row)
    lanes: list[tuple[str, list[Span]]] = []
    for worker in sorted(by_worker, key=natural):
        rows = sorted(by_worker[worker], key=lambda row: row.started or 0.0)
        lanes += ((worker, lane) for lane in _stack(rows, index, start))
    if len(lanes) > MOST_LANES:
        lanes = _one_for_each_worker(lanes)
    resolution = wall / 4000
    joined = [(worker, join(spans, resolution)) for worker, spans in lanes]
    while sum(len(spans) for _, spans in joined) > MOST_SPANS and resolution < wall:
        resolution *= 2
        joined = [(worker, join(spans, resolution, mixed=True)) for worker, spans in lanes]
    return [_columns(worker, spans) for worker, spans in joined]


def _stack(rows: Sequence[TaskRow], index: dict[str, int], start: float) -> list[list[Span]]:
    """Put calls that overlap into lanes of their own: one for each thread that was in use."""
    lanes: list[list[Span]] = []
    for row in rows:
        begin, end = (row.started or start) - start, row.finished - start
        span = (begin, max(end, begin), index[row.task], _STATES[row.state], 1)
        free = next((lane for lane in lanes if lane[-1][1] <= begin + 1e-3), None)
        if free is None:
            lanes.append([span])
        else:
            free.append(span)
    return lanes


def _one_for_each_worker(lanes: Iterable[tuple[str, list[Span]]]) -> list[tuple[str, list[Span]]]:
    together: dict[str, list[Span]] = defaultdict(list)
    for worker, spans in lanes:
        together[worker] += spans
    return [(worker, sorted(spans)) for worker, spans in together.items()]


def join(spans: Iterable[Span], resolution: float, *, mixed: bool = False) -> list[Span]:
    """Join neighbours that could not be told apart, failed calls only with failed ones.

    Args:
        spans: In the order of their beginnings.
        resolution: Seconds that can be told apart.
        mixed: Join bars of different tasks too.
    """
    joined: list[Span] = []
    for begin, end, task, state, calls in spans:
        if joined:
            first, last, other, its_state, before = joined[-1]
            near = begin - last <= resolution and end - begin <= resolution
            if near and state == its_state and (task == other or mixed):
                one = task if task == other else SEVERAL
                joined[-1] = (first, max(last, end), one, state, before + calls)
                continue
        joined.append((begin, end, task, state, calls))
    return joined


def _columns(worker: str, spans: Sequence[Span]) -> dict[str, Any]:
    begins, ends, tasks, states, calls = zip(*spans, strict=True)
    return {
        "worker": worker,
        "from": [round(begin, 4) for begin in begins],
        "to": [round(end, 4) for end in ends],
        "task": tasks,
        "state": states,
        "calls": calls,
    }


def _busy(history: RunHistory, start: float, wall: float) -> dict[str, list[float]]:
    return {
        "waiting": means(_waits(history.tasks), start, wall),
        "running": means(
            ((r.started, r.finished, 1) for r in history.tasks if r.started), start, wall
        ),
        "threads": means(_presence(history), start, wall),
    }


def _waits(rows: Iterable[TaskRow]) -> Iterator[tuple[float, float, int]]:
    """Yield when calls waited: before their first attempt, and between two of them."""
    ready: dict[str, float] = {}
    for row in rows:
        since = ready.get(row.key, row.submitted)
        if since is not None and row.state != "cached":
            yield since, row.started or row.finished, 1
        ready[row.key] = row.finished


def _presence(history: RunHistory) -> Iterator[tuple[float, float, int]]:
    there: dict[str, tuple[float, int]] = {}
    for row in history.workers:
        if row.event == "added":
            there[row.name] = (row.time, row.threads)
        elif row.name in there:
            since, threads = there.pop(row.name)
            yield since, row.time, threads
    for since, threads in there.values():
        yield since, history.ended, threads


def means(spans: Iterable[tuple[float, float, int]], start: float, wall: float) -> list[float]:
    """Return how many spans there were on average in each of `BINS` equal parts of a run.

    Args:
        spans: Beginning and end in epoch seconds, and how much each counts.
        start: Of the run.
        wall: Its seconds.
    """
    width = wall / BINS
    steps = []
    for begin, end, weight in spans:
        begin, end = max(begin - start, 0.0), min(end - start, wall)
        if end > begin:
            steps += [(begin, weight), (end, -weight)]
    steps.sort()
    sums = [0.0] * BINS
    level, at, place = 0, 0.0, 0
    for moment, change in [*steps, (wall, 0)]:
        while place < BINS - 1 and (place + 1) * width <= moment:
            edge = (place + 1) * width
            sums[place] += level * (edge - at)
            at, place = edge, place + 1
        sums[place] += level * (moment - at)
        at = moment
        level += change
    return [round(total / width, 3) for total in sums]


def _memory(history: RunHistory, start: float) -> dict[str, dict[str, list[float]]]:
    limits = {row.name: row.memory for row in history.workers if row.memory}
    seen: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for sample in history.resources:
        for worker, held in sample.memory.items():
            seen[worker].append((sample.time - start, held))
    curves = {}
    for worker, points in seen.items():
        top = limits.get(worker) or max(held for _, held in points) or 1
        thin = _thin(points)
        curves[worker] = {
            "time": [round(moment, 2) for moment, _ in thin],
            "part": [round(held / top, 3) for _, held in thin],
        }
    return curves


def _thin(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Keep the highest of every few points."""
    step = -(-len(points) // BINS)
    return [
        max(points[place : place + step], key=lambda point: point[1])
        for place in range(0, len(points), step)
    ]
