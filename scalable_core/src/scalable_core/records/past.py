"""What a project's earlier runs say of the next one: the `History` that a forecast is made from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scalable_core.types import PastRun, PastTask, TaskRow

#: How many of the newest runs are looked at, and how large a table of calls is read when a run has no summary.
_RUNS = 100
_TABLE_LIMIT = 16 * 1024 * 1024


class PastRuns:
    """The runs below a folder, as `History`. What is damaged or not there is left out.

    Args:
        folder: The folder that holds one folder for each run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def runs(self) -> Sequence[PastRun]:
        """Return the runs that ended well, newest first."""
        newest = sorted(self._folder.glob("*/run.json"), reverse=True)[:_RUNS]
        documents = [(path.parent.name, _read(path)) for path in newest]
        return [
            PastRun(run=name, target=str(document.get("target")), ratio=_ratio(document))
            for name, document in documents
            if document.get("status") == "done"
        ]

    def tasks(self, run: PastRun) -> Sequence[PastTask]:
        """Return what a run computed, from its summary or else from its table of calls."""
        folder = self._folder / run.run
        tasks = _read(folder / "summary.json").get("tasks")
        if not isinstance(tasks, list):
            tasks = _summarise(folder / "tasks.jsonl")
        found = []
        for task in tasks:
            try:
                found.append(_past_task(task))
            except (KeyError, TypeError, AttributeError):
                continue
        return found

    def stored(self, run: PastRun) -> int | None:
        """Return the bytes of the artifacts that a run stored; None when it stored none."""
        from scalable_core.records.reading import read_artifacts

        artifacts = read_artifacts(self._folder / run.run)
        return sum(artifact.size for artifact in artifacts) if artifacts else None


def _ratio(document: Mapping[str, Any]) -> float | None:
    """What a run cost by what it was expected to cost, where the difference is the estimate's error."""
    cost = document.get("cost")
    if not isinstance(cost, dict) or not cost.get("comparable"):
        return None
    spent, estimate = cost.get("spent"), cost.get("estimate")
    if not isinstance(spent, (int, float)) or not isinstance(estimate, (int, float)):
        return None
    return spent / estimate if estimate > 0 else None


def _past_task(task: Mapping[str, Any]) -> PastTask:
    duration = task["duration"] or {
        "count": 0, "total": 0.0, "p10": 0.0, "p50": 0.0, "p90": 0.0, "largest": 0.0,
    }  # fmt: skip
    return PastTask(
        task=str(task["task"]),
        component=task["component"],
        calls=int(task["calls"]),
        attempts=int(task["retried"]),
        measured=int(duration["count"]),
        mean=duration["total"] / max(duration["count"], 1),
        p10=duration["p10"] + 0.0,
        p50=duration["p50"] + 0.0,
        p90=duration["p90"] + 0.0,
        longest=duration["largest"] + 0.0,
        nbytes=round(task["result"]["total"]) if task["result"] else None,
    )


def _summarise(path: Path) -> list[Mapping[str, Any]]:
    from scalable_core.records.reading import read_rows
    from scalable_core.records.summary import summarise_tasks
    from scalable_core.types import to_data

    try:
        if path.stat().st_size > _TABLE_LIMIT:
            return []
    except OSError:
        return []
    return [to_data(task) for task in summarise_tasks(read_rows(path, TaskRow))]


def _read(path: Path) -> Mapping[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}
