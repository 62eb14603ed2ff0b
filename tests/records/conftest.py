"""Folders of runs as a run leaves them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from scalable_core.records import RunFolder
from scalable_core.records.reading import RunHistory, read_history
from scalable_core.types import RunRecord

sys.path.insert(0, str(Path(__file__).parent))

Made = Callable[..., RunHistory]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """The folder that holds the runs."""
    return tmp_path / "runs"


@pytest.fixture
def made(runs: Path) -> Made:
    """Make a run of 100 seconds from rows and read it back."""

    def make(
        name: str = "run-20231114-221320-brisk-otter-7f3a",
        *,
        plan: Mapping[str, Any] | None = None,
        record: Mapping[str, Any] | None = None,
        **tables: Sequence[Mapping[str, Any]],
    ) -> RunHistory:
        fields = {
            "run": name,
            "project": "study",
            "target": "local",
            "provider": "local",
            "status": "done",
            "started": "2023-11-14T22:13:20.000Z",
            "ended": "2023-11-14T22:15:00.000Z",
            "lock": "sha256:0",
            **(record or {}),
        }
        folder = RunFolder(runs / name, RunRecord(**fields))
        for table, rows in tables.items():
            folder.append(table, rows)
        if plan is not None:
            folder.write_document("plan.json", plan)
        folder.close()
        return read_history(folder.path)

    return make
