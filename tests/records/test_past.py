"""Earlier runs say what the next one will do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from scalable_core.records.past import PastRuns
from scalable_core.types import History, PastRun


def write_run(runs: Path, name: str, *, target: str = "local", status: str = "done") -> Path:
    """A run's folder with no more than its record."""
    folder = runs / name
    folder.mkdir(parents=True)
    document = {"schema": "scalable.run/1", "run": name, "target": target, "status": status}
    (folder / "run.json").write_text(json.dumps(document))
    return folder


def row(key: str, seconds: float, state: str = "done", **more: Any) -> str:
    """A line of tasks.jsonl."""
    line = {"key": key, "task": "run", "component": "model", "state": state, "started": 100.0}
    return json.dumps({**line, "finished": 100.0 + seconds, "nbytes": 50, **more}) + "\n"


def test_the_newest_runs_that_ended_well_come_first(tmp_path: Path) -> None:
    """Failed, damaged and running ones are left out."""
    write_run(tmp_path, "run-1")
    write_run(tmp_path, "run-2", status="failed")
    write_run(tmp_path, "run-3", target="aws")
    write_run(tmp_path, "run-4", status="running")
    (write_run(tmp_path, "run-5") / "run.json").write_text("{")

    past: History = PastRuns(tmp_path)
    assert past.runs() == [
        PastRun(run="run-3", target="aws"),
        PastRun(run="run-1", target="local"),
    ]


def test_a_project_that_never_ran_has_no_runs(tmp_path: Path) -> None:
    """The folder need not be there."""
    assert PastRuns(tmp_path / "none").runs() == []


def test_the_table_of_calls_is_read_where_there_is_no_summary(tmp_path: Path) -> None:
    """3 calls: 10 s, 20 s after one more attempt, and one from the cache."""
    folder = write_run(tmp_path, "run-1")
    rows = [row("a", 10), row("b", 1, "retried"), row("b", 20), row("c", 0, "cached", started=None)]
    (folder / "tasks.jsonl").write_text("".join(rows))

    (task,) = PastRuns(tmp_path).tasks(PastRun(run="run-1", target="local"))

    assert (task.task, task.component, task.calls, task.attempts) == ("run", "model", 3, 1)
    assert (task.measured, task.mean, task.p50, task.longest) == (2, 15.0, 15.0, 20.0)
    assert task.nbytes == 100


def test_a_summary_is_enough(tmp_path: Path) -> None:
    """What it says is taken, and what in it makes no sense is left out."""
    folder = write_run(tmp_path, "run-1")
    spread = {"count": 2, "p10": 1.0, "p50": 2.0, "p90": 3.0, "largest": 3.5, "total": 4.0}
    whole = {
        "task": "run", "component": None, "calls": 4, "retried": 0, "duration": spread, "result": None,
    }  # fmt: skip
    tasks = [whole, {"task": "odd"}, 7, {**whole, "task": "cached", "duration": None}]
    (folder / "summary.json").write_text(json.dumps({"tasks": tasks}))
    (folder / "tasks.jsonl").write_text(row("a", 999))

    first, second = PastRuns(tmp_path).tasks(PastRun(run="run-1", target="local"))

    assert (first.calls, first.measured, first.mean, first.nbytes) == (4, 2, 2.0, None)
    assert (second.task, second.measured, second.mean) == ("cached", 0, 0.0)


def test_what_a_run_stored_is_summed(tmp_path: Path) -> None:
    """Sizes of its artifacts, of overwritten ones only the last; a run without any says so."""
    folder = write_run(tmp_path, "run-1")
    ref = {
        "uri": "file:///a", "digest": "", "size": 30, "media_type": "", "run": "run-1", "created": "",
        "provider": "local",
    }  # fmt: skip
    rows = [{**ref, "size": 999}, ref, {**ref, "uri": "file:///b"}]
    (folder / "artifacts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_run(tmp_path, "run-2")
    past = PastRuns(tmp_path)

    assert past.stored(PastRun(run="run-1", target="local")) == 60
    assert past.stored(PastRun(run="run-2", target="local")) is None
