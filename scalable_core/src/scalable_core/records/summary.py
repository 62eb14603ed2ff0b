"""What a run's rows come to: counts, quantiles, and how busy the workers were. Pure arithmetic."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import frozen

from scalable_core.records.cost import CostSummary, summarise_cost
from scalable_core.records.reading import RunHistory, last_of_each_call
from scalable_core.types import CacheRow, TaskRow, to_data

SUMMARY_SCHEMA = "scalable.summary/1"


@frozen(kw_only=True)
class Spread:
    """How a quantity is spread over calls.

    Attributes:
        count: How many calls it is known of.
        p10, p50, p90: Quantiles, linear between the values.
        largest: The largest value.
        total: The sum.
    """

    count: int
    p10: float
    p50: float
    p90: float
    largest: float
    total: float


@frozen(kw_only=True)
class TaskSummary:
    """What the calls of one task come to.

    Attributes:
        task: The task's name, or the function's.
        component: Where its last call ran.
        calls: How many calls ended, each counted once however often it was tried.
        done, failed, cached: How they ended; ``cached`` had their results before.
        retried: Attempts that failed and were tried again.
        lost: Attempts whose worker went away.
        duration: Seconds of the attempts that gave a result.
        queue: Seconds between being submitted and starting to run.
        cpu: CPU seconds.
        peak: Bytes: the most that the worker process held meanwhile.
        result: Bytes of the results.
    """

    task: str
    component: str | None = None
    calls: int = 0
    done: int = 0
    failed: int = 0
    cached: int = 0
    retried: int = 0
    lost: int = 0
    duration: Spread | None = None
    queue: Spread | None = None
    cpu: Spread | None = None
    peak: Spread | None = None
    result: Spread | None = None


@frozen(kw_only=True)
class WorkerSummary:
    """What one worker did; a replacement of a lost worker has its name and is counted with it.

    Attributes:
        name: The worker's name.
        component: Its group.
        calls: Attempts that ended on it.
        busy: Seconds that its threads ran calls.
        present: Seconds that its threads were there.
        peak: Bytes: the most that it was seen to hold; None when nobody looked.
        limit: Bytes it may hold; None without a limit.
        lost: How often it went away before the run was over.
    """

    name: str
    component: str | None = None
    calls: int = 0
    busy: float = 0.0
    present: float = 0.0
    peak: float | None = None
    limit: float | None = None
    lost: int = 0


@frozen(kw_only=True)
class CacheSummary:
    """What the cache did.

    Attributes:
        events: How often each `CacheRow.event` happened.
        saved: Seconds of work that hits saved; of those hits whose cost is known.
        nbytes: Bytes read for hits.
        sources: How many cached results each earlier run had made, where that is known.
        problems: Sentences about results that could not be cached, each once.
    """

    events: Mapping[str, int] = {}
    saved: float = 0.0
    nbytes: int = 0
    sources: Mapping[str, int] = {}
    problems: tuple[str, ...] = ()


@frozen(kw_only=True)
class RunSummary:
    """What ``summary.json`` holds.

    Attributes:
        run: The run's id.
        status: How it ended.
        wall: Seconds from its start to its end.
        calls, done, failed, cached: Over all tasks.
        utilisation: The part of the workers' thread time that ran calls, from 0 to 1; None without workers.
        most_workers: Most workers at one time, where it was looked.
        spent: What was paid, in the plan's currency; None when unknown.
        expected: What the plan expected it to cost; None when unknown.
        cost: The two side by side.
    """

    run: str
    status: str
    wall: float
    calls: int
    done: int
    failed: int
    cached: int
    utilisation: float | None
    most_workers: int
    spent: float | None
    expected: float | None
    cost: CostSummary
    tasks: tuple[TaskSummary, ...]
    workers: tuple[WorkerSummary, ...]
    cache: CacheSummary


def summarise(history: RunHistory) -> RunSummary:
    """Return what the rows of a run come to."""
    tasks = summarise_tasks(history.tasks)
    workers = _summarise_workers(history)
    present = sum(worker.present for worker in workers)
    busy = sum(worker.busy for worker in workers)
    cost = summarise_cost(history)
    return RunSummary(
        run=history.record.run,
        status=history.record.status,
        wall=max(history.ended - history.started, 0.0),
        calls=max(sum(task.calls for task in tasks), history.record.tasks.get("total", 0)),
        done=sum(task.done for task in tasks),
        failed=sum(task.failed for task in tasks),
        cached=sum(task.cached for task in tasks),
        utilisation=min(busy / present, 1.0) if present else None,
        most_workers=max((row.workers for row in history.resources), default=len(workers)),
        spent=cost.spent,
        expected=cost.expected,
        cost=cost,
        tasks=tasks,
        workers=workers,
        cache=summarise_cache(history.cache, history.tasks),
    )


def summary_document(summary: RunSummary) -> dict[str, Any]:
    """Return a summary as plain data with ``schema`` first."""
    return {"schema": SUMMARY_SCHEMA, **to_data(summary)}


def spread(values: Iterable[float | None]) -> Spread | None:
    """Return how values are spread; None when there is none."""
    known = sorted(value for value in values if value is not None)
    if not known:
        return None
    return Spread(
        count=len(known),
        p10=quantile(known, 0.1),
        p50=quantile(known, 0.5),
        p90=quantile(known, 0.9),
        largest=known[-1],
        total=sum(known),
    )


def quantile(ordered: Sequence[float], part: float) -> float:
    """Return a quantile of ascending values, linear between the two nearest."""
    place = part * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def summarise_cache(rows: Sequence[CacheRow], tasks: Sequence[TaskRow] = ()) -> CacheSummary:
    """Return what the cache did.

    Args:
        rows: Of ``cache.jsonl``.
        tasks: Of ``tasks.jsonl``; cached ones may say which run made their results.
    """
    events: dict[str, int] = defaultdict(int)
    for row in rows:
        events[row.event] += 1
    hits = [row for row in rows if row.event == "hit"]
    cached = (row for row in last_of_each_call(tasks).values() if row.state == "cached")
    problems = dict.fromkeys(row.detail for row in rows if row.event in _PROBLEMS and row.detail)
    return CacheSummary(
        events=dict(events),
        saved=sum(row.seconds or 0.0 for row in hits),
        nbytes=sum(row.nbytes or 0 for row in hits),
        sources=Counter(row.source for row in cached if row.source),
        problems=tuple(problems),
    )


_PROBLEMS = frozenset({"uncacheable", "damaged", "failed"})


def summarise_tasks(rows: Sequence[TaskRow]) -> tuple[TaskSummary, ...]:
    """Return what the calls of each task come to, in the order in which the first of each ended."""
    by_task: dict[str, list[TaskRow]] = defaultdict(list)
    for row in rows:
        by_task[row.task].append(row)
    return tuple(_summarise_task(task, its) for task, its in by_task.items())


def _summarise_task(task: str, rows: Sequence[TaskRow]) -> TaskSummary:
    ends = [row.state for row in last_of_each_call(rows).values()]
    states = [row.state for row in rows]
    done = [row for row in rows if row.state == "done"]
    ran = [row for row in rows if row.started is not None and row.state != "cached"]
    return TaskSummary(
        task=task,
        component=next((row.component for row in reversed(rows) if row.component), None),
        calls=len(ends),
        done=ends.count("done"),
        failed=ends.count("failed"),
        cached=ends.count("cached"),
        retried=states.count("retried"),
        lost=states.count("lost"),
        duration=spread(seconds_of_call(row) for row in done),
        queue=spread(row.started - row.submitted for row in ran if row.started and row.submitted),
        cpu=spread(row.cpu for row in done),
        peak=spread(row.peak for row in ran),
        result=spread(row.nbytes for row in done),
    )


def seconds_of_call(row: TaskRow) -> float | None:
    """Return how long an attempt ran; None when it never started."""
    return None if row.started is None else max(row.finished - row.started, 0.0)


def _summarise_workers(history: RunHistory) -> tuple[WorkerSummary, ...]:
    limits: dict[str, float | None] = {}
    components: dict[str, str | None] = {}
    present: dict[str, float] = defaultdict(float)
    lost: dict[str, int] = defaultdict(int)
    there: dict[str, tuple[float, int]] = {}
    for row in history.workers:
        if row.event == "added":
            limits[row.name], components[row.name] = row.memory, row.component
            there[row.name] = (row.time, row.threads)
            continue
        lost[row.name] += row.event == "lost"
        since, threads = there.pop(row.name, (row.time, 0))
        present[row.name] += (row.time - since) * threads
    for name, (since, threads) in there.items():
        present[name] += max(history.ended - since, 0.0) * threads
    peaks: dict[str, float] = defaultdict(float)
    for sample in history.resources:
        for name, held in sample.memory.items():
            peaks[name] = max(peaks[name], held)
    calls: dict[str, int] = defaultdict(int)
    busy: dict[str, float] = defaultdict(float)
    for task in history.tasks:
        if task.worker is not None and task.state != "cached":
            calls[task.worker] += 1
            busy[task.worker] += seconds_of_call(task) or 0.0
            peaks[task.worker] = max(peaks[task.worker], task.peak or 0.0)
    return tuple(
        WorkerSummary(
            name=name,
            component=components[name],
            calls=calls[name],
            busy=busy[name],
            present=present[name],
            peak=peaks[name] or None,
            limit=limits[name],
            lost=lost[name],
        )
        for name in sorted(limits, key=natural)
    )


def natural(name: str) -> list[tuple[int, int, str]]:
    """Return a key that sorts ``model-2`` before ``model-10``."""
    parts: list[tuple[int, int, str]] = []
    digits = ""
    for character in f"{name}\0":
        if character.isascii() and character.isdigit():
            digits += character
            continue
        if digits:
            parts.append((0, int(digits), ""))
            digits = ""
        parts.append((1, 0, character))
    return parts
