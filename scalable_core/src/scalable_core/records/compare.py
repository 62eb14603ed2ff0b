"""What changed between two runs, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import frozen

from scalable_core.records.reading import RunHistory
from scalable_core.records.summary import RunSummary, Spread, TaskSummary, summarise
from scalable_core.types import to_data
from scalable_core.types.units import format_size

COMPARISON_SCHEMA = "scalable.comparison/1"


@frozen(kw_only=True)
class Change:
    """One number before and after.

    Attributes:
        name: ``wall``, ``duration p50``, ``peak memory``, ``cost``, ``cached``, ``failed``, ``lost``, ...
        unit: ``s``, ``B``, ``USD`` or empty for counts.
        before, after: None when unknown.
        usual: The difference is within what the calls of the first run differ among themselves.
    """

    name: str
    unit: str = ""
    before: float | None
    after: float | None
    usual: bool = False

    @property
    def part(self) -> float | None:
        """The change as a part of what was before, -0.07 for 7% less; None when there is none."""
        if not self.before or self.after is None:
            return None
        return (self.after - self.before) / self.before


@frozen(kw_only=True)
class TaskChange:
    """What changed for one task; ``only`` is the run that has it when the other has not."""

    task: str
    changes: tuple[Change, ...]
    only: str | None = None


@frozen(kw_only=True)
class Comparison:
    """What changed from one run to another.

    Attributes:
        before, after: The runs' ids.
        changes: Of the runs as a whole.
        tasks: Of each task, in the order of the second run.
        reasons: Sentences that may explain it: what was different about the two runs.
    """

    before: str
    after: str
    changes: tuple[Change, ...]
    tasks: tuple[TaskChange, ...]
    reasons: tuple[str, ...]


def compare(first: RunHistory, second: RunHistory) -> Comparison:
    """Return what changed from one run to another."""
    before, after = summarise(first), summarise(second)
    old = {task.task: task for task in before.tasks}
    new = {task.task: task for task in after.tasks}
    names = [*new, *(name for name in old if name not in new)]
    return Comparison(
        before=before.run,
        after=after.run,
        changes=tuple(_run_changes(before, after)),
        tasks=tuple(_task_change(n, old.get(n), new.get(n), before.run, after.run) for n in names),
        reasons=tuple(_reasons(first, second, before, after)),
    )


def comparison_document(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as plain data with ``schema`` first."""
    return {"schema": COMPARISON_SCHEMA, **to_data(comparison)}


def _run_changes(before: RunSummary, after: RunSummary) -> Iterator[Change]:
    yield Change(name="wall", unit="s", before=before.wall, after=after.wall)
    yield Change(name="busy", unit="%", before=before.utilisation, after=after.utilisation)
    for name in ("calls", "cached", "failed"):
        yield Change(name=name, before=getattr(before, name), after=getattr(after, name))
    if before.spent is not None or after.spent is not None:
        yield Change(name="cost", unit="USD", before=before.spent, after=after.spent)


def _task_change(
    name: str, old: TaskSummary | None, new: TaskSummary | None, before: str, after: str
) -> TaskChange:
    if old is None or new is None:
        return TaskChange(task=name, changes=(), only=after if old is None else before)
    changes = [
        Change(
            name="duration p50",
            unit="s",
            before=_median(old.duration),
            after=_median(new.duration),
            usual=_is_usual(old.duration, new.duration),
        ),
        Change(
            name="peak memory",
            unit="B",
            before=old.peak.largest if old.peak else None,
            after=new.peak.largest if new.peak else None,
            usual=_is_usual(old.peak, new.peak),
        ),
    ]
    changes += [
        Change(name=count, before=getattr(old, count), after=getattr(new, count))
        for count in ("calls", "cached", "failed", "retried", "lost")
        if getattr(old, count) != getattr(new, count)
    ]
    return TaskChange(task=name, changes=tuple(changes))


def _median(values: Spread | None) -> float | None:
    return None if values is None else values.p50


def _is_usual(old: Spread | None, new: Spread | None) -> bool:
    return old is not None and new is not None and old.p10 <= new.p50 <= old.p90


def _reasons(
    first: RunHistory, second: RunHistory, before: RunSummary, after: RunSummary
) -> Iterator[str]:
    a, b = first.record, second.record
    if after.cached != before.cached:
        yield f"{after.cached} results were cached, was {before.cached}"
    for what in ("project", "target", "provider", "host"):
        if getattr(a, what) != getattr(b, what):
            yield f"{what} {getattr(a, what)} -> {getattr(b, what)}"
    if a.version != b.version:
        yield f"Scalable {a.version} -> {b.version}"
    groups = list(_group_reasons(_groups(first), _groups(second)))
    yield from groups
    tasks = list(_task_reasons(first.plan.get("tasks") or {}, second.plan.get("tasks") or {}))
    yield from tasks
    if a.lock != b.lock and not groups and not tasks:
        yield f"the manifest changed: lock {a.lock[:13]}.. -> {b.lock[:13]}.."
    if before.most_workers != after.most_workers:
        yield f"most workers at one time {before.most_workers} -> {after.most_workers}"
    lost = [sum(worker.lost for worker in summary.workers) for summary in (before, after)]
    if lost[0] != lost[1]:
        yield f"workers lost {lost[0]} -> {lost[1]}"


def _groups(history: RunHistory) -> Mapping[str, Mapping[str, Any]]:
    groups = history.plan.get("groups") or ()
    return {str(group.get("name")): group for group in groups if isinstance(group, Mapping)}


def _group_reasons(
    old: Mapping[str, Mapping[str, Any]], new: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    for name in [*new, *(name for name in old if name not in new)]:
        if name not in old or name not in new:
            yield f"component {name} is only in the {'second' if name in new else 'first'} run"
            continue
        for field in ("cpus", "memory", "gpus", "threads", "minimum", "maximum", "image"):
            values = [group[name].get(field) for group in (old, new)]
            if values[0] != values[1]:
                was, now = (_written(field, value) for value in values)
                yield f"component {name}: {field} {was} -> {now}"


def _task_reasons(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for name in new:
        for field in ("component", "cache", "retries", "timeout"):
            values = [(tasks.get(name) or {}).get(field) for tasks in (old, new)]
            if name in old and values[0] != values[1]:
                yield f"task {name}: {field} {values[0]} -> {values[1]}"


def _written(field: str, value: Any) -> str:
    if value is None:
        return "none"
    return format_size(value) if field == "memory" else str(value)
