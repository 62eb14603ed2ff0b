"""What changed between two runs as text."""

from __future__ import annotations

from collections.abc import Sequence

from scalable_core.cli.render.table import wrap
from scalable_core.cli.terminal import Look, clean
from scalable_core.records.compare import Change, Comparison
from scalable_core.records.report.words import short_id, written

_LABEL = 12


def render_comparison(comparison: Comparison, look: Look) -> list[str]:
    """Return a comparison as lines: the runs, what changed as a whole and for each task, and why."""
    before, after = (clean(short_id(run)) for run in (comparison.before, comparison.after))
    lines = [f"{before} -> {look.paint(after, 'bold')}", ""]
    names = ["run", *(clean(task.task) for task in comparison.tasks)]
    width = min(max(len(name) for name in names), 32) + 2
    lines += _changes("run", comparison.changes, width, look)
    for task in comparison.tasks:
        if task.only is not None:
            only = f"only in {clean(short_id(task.only))}"
            lines.append(f"{look.cut(clean(task.task), width - 2):{width}}{only}")
        else:
            lines += _changes(clean(task.task), task.changes, width, look)
    lines.append("")
    if not comparison.reasons:
        lines.append("nothing that is recorded differs about how they were run")
    for number, reason in enumerate(comparison.reasons):
        head = "because: " if number == 0 else " " * len("because: ")
        lines += wrap(clean(reason), look, first=head, rest=" " * len("because: "))
    return lines


def _changes(name: str, changes: Sequence[Change], width: int, look: Look) -> list[str]:
    lines: list[str] = []
    for change in changes:
        label = name if not lines else ""
        text = f"{look.cut(label, width - 2):{width}}{change.name:<{_LABEL}}  {_values(change)}"
        note = _note(change)
        lines.append(f"{text}  {look.paint(note, 'dim')}".rstrip() if note else text)
    return lines


def _values(change: Change) -> str:
    before, after = (written(value, change.unit) for value in (change.before, change.after))
    return before if before == after else f"{before} -> {after}"


def _note(change: Change) -> str:
    part = change.part
    if part is None or not change.unit or change.unit == "%" or abs(part) < 0.005:
        return ""
    usual = ", within the usual spread" if change.usual else ""
    return f"({part:+.0%}{usual})"
