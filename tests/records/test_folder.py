"""A run's folder says what happened, also after a kill."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from scalable_core.records import RunFolder, new_run_id, read_run
from scalable_core.types import Event, RunRecord


def record(**changes: object) -> RunRecord:
    """A run of this process that has just started."""
    fields = {
        "run": "run-1",
        "project": "p",
        "target": "local",
        "provider": "local",
        "status": "running",
        "started": "2026-11-24T00:00:00.000Z",
        "lock": "sha256:0",
        "host": socket.gethostname(),
        "pid": os.getpid(),
    }
    return RunRecord(**{**fields, **changes})  # type: ignore[arg-type]


def test_run_ids_sort_by_time_and_can_be_said() -> None:
    """Date, time, two words and four hex digits, in UTC."""
    moment = datetime(2026, 11, 23, 2, 18, 4, tzinfo=UTC)

    assert re.fullmatch(r"run-20261123-021804-[a-z]+-[a-z]+-[0-9a-f]{4}", new_run_id(moment))
    assert len({new_run_id(moment) for _ in range(200)}) > 190


def test_a_run_reads_back_as_it_was_written(tmp_path: Path) -> None:
    """The record is versioned JSON and is replaced whole."""
    folder = RunFolder(tmp_path, record())
    folder.update(status="done", tasks={"total": 3, "done": 3, "failed": 0})
    folder.close()

    assert json.loads((tmp_path / "run.json").read_text())["schema"] == "scalable.run/1"
    assert read_run(tmp_path).status == "done"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.json"]


def test_events_are_appended_one_a_line(tmp_path: Path) -> None:
    """Each line is one JSON object, readable while the run goes on."""
    folder = RunFolder(tmp_path, record())
    folder.emit(Event(time=1.5, kind="cluster.ready", message="ready", data={"n": 2}))

    lines = (tmp_path / "events.jsonl").read_text().splitlines()
    folder.close()
    folder.emit(Event(time=2, kind="late"))

    assert [json.loads(line)["kind"] for line in lines] == ["cluster.ready"]


def test_a_run_whose_process_is_gone_reads_interrupted(tmp_path: Path) -> None:
    """A killed run does not stay 'running' for ever."""
    child = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"],
        capture_output=True,
        text=True,
        check=True,
    )
    RunFolder(tmp_path, record(pid=int(child.stdout))).close()

    assert read_run(tmp_path).status == "interrupted"


def test_a_run_of_a_living_process_reads_running(tmp_path: Path) -> None:
    """Only a process that is gone is called interrupted."""
    RunFolder(tmp_path, record()).close()

    assert read_run(tmp_path).status == "running"
