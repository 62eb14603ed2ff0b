"""Runs at a glance: what a list of them shows, without reading the rows of those that ended well."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from scalable_core.errors import UsageError
from scalable_core.records.reading import (
    list_runs,
    read_history,
    read_record,
    seconds_of,
)
from scalable_core.records.summary import summarise
from scalable_core.types import RunRecord


@frozen(kw_only=True)
class RunOverview:
    """One run in a list.

    Attributes:
        folder: Where it is; None when it is only in the project's storage.
        record: The run.
        started: Epoch seconds.
        wall: Seconds from its start to its end, or to when it was last heard of.
        ran: Calls that ran to an end, failed ones included.
        cached: Calls whose results were there already.
        failed: Calls that ended failed.
    """

    folder: Path | None
    record: RunRecord
    started: float
    wall: float
    ran: int
    cached: int
    failed: int


def list_overviews(runs: Path) -> list[RunOverview]:
    """Return all runs that can be read, the latest first.

    Args:
        runs: The folder that holds one folder for each run.
    """
    found = []
    for folder in reversed(list_runs(runs)):
        try:
            found.append(_overview(folder))
        except UsageError:
            continue
    return found


def _overview(folder: Path) -> RunOverview:
    record = read_record(folder)
    if record.ended is None:  # nobody has counted
        summary = summarise(read_history(folder))
        wall, counts = summary.wall, {"done": summary.done, "failed": summary.failed}
        counts["cached"] = summary.cached
    else:
        wall, counts = seconds_of(record.ended) - seconds_of(record.started), dict(record.tasks)
    return RunOverview(
        folder=folder,
        record=record,
        started=seconds_of(record.started),
        wall=max(wall, 0.0),
        ran=counts.get("done", 0) + counts.get("failed", 0),
        cached=counts.get("cached", 0),
        failed=counts.get("failed", 0),
    )
