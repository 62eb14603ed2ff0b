"""Projects whose workers on this machine have a price."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with two worker processes at a cent a second, and a workflow of as many calls as it is told."""
    from paid_project import MANIFEST, WORKFLOW

    (tmp_path / "scalable.yaml").write_text(MANIFEST % "max_workers: 2")
    (tmp_path / "workflow.py").write_text(WORKFLOW)
    return tmp_path


@pytest.fixture
def scalable(tmp_path: Path) -> Run:
    """Run a command line in the project and return what it printed and its exit code."""

    from paid_project import user_environment

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "scalable", *arguments],
            cwd=tmp_path,
            env=user_environment(),
            capture_output=True,
            text=True,
            timeout=180,
            stdin=subprocess.DEVNULL,
        )

    return run
