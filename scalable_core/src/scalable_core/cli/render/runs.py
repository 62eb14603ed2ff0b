"""Runs as a table."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from scalable_core.cli.render.table import Cell, table
from scalable_core.cli.terminal import Look, clean
from scalable_core.records.overview import RunOverview
from scalable_core.records.report.words import short_id
from scalable_core.types import RunCost, to_data
from scalable_core.types.units import format_duration, format_usd

RUNS_SCHEMA = "scalable.runs/1"

_STYLES = {
    "done": "green",
    "failed": "red",
    "interrupted": "yellow",
    "stopped": "yellow",
    "running": "cyan",
}
_HEADS = ("RUN", "WHEN", "TARGET", "STATUS", "TASKS run/cached/failed", "WALL")


def render_runs(runs: Sequence[RunOverview], look: Look, *, now: float | None = None) -> list[str]:
    """Return runs as lines that line up.

    Args:
        runs: The latest first.
        look: Of the stream.
        now: Epoch seconds; the present when None.
    """
    moment = time.time() if now is None else now
    paid = any(run.record.cost is not None for run in runs)
    heads = (*_HEADS, "EST", "SPENT") if paid else _HEADS
    rows: list[Sequence[Cell]] = [[(head, "dim") for head in heads]]
    for run in runs:
        record = run.record
        wall = moment - run.started if record.status == "running" else run.wall
        rows.append([
            clean(short_id(record.run)),
            ago(moment - run.started),
            clean(record.target),
            (record.status, _STYLES[record.status]),
            f"{run.ran} / {run.cached} / {run.failed}",
            format_duration(wall),
            *(_money(record.cost) if paid else ()),
        ])  # fmt: skip
    return table(rows, look, align="llllrr" + "rr" * paid, shrink=0, spare=[2])


def _money(cost: RunCost | None) -> tuple[str, str]:
    if cost is None:
        return "-", "-"
    return "?" if cost.estimate is None else format_usd(cost.estimate), format_usd(cost.spent)


def runs_document(runs: Sequence[RunOverview]) -> dict[str, Any]:
    """Return runs as plain data with ``schema`` first."""
    listed = [
        {
            **to_data(run.record),
            "run_dir": None if run.folder is None else str(run.folder),
            "wall": round(run.wall, 3),
            "counts": {"run": run.ran, "cached": run.cached, "failed": run.failed},
        }
        for run in runs
    ]
    return {"schema": RUNS_SCHEMA, "runs": listed}


def ago(seconds: float) -> str:
    """Return how long ago something was, as people say it."""
    if seconds < 90:
        return "just now" if seconds < 10 else f"{seconds:.0f} s ago"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min ago"
    if seconds < 36 * 3600:
        return f"{seconds / 3600:.0f} h ago"
    return f"{seconds / 86400:.0f} days ago"
