"""A project whose runs go on without the process that has started them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from detached_project import MANIFEST, WORKFLOW, environment, processes

Scalable = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A folder with a manifest and a workflow; nothing that was started in it is left at the end."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "scalable.yaml").write_text(MANIFEST)
    (folder / "workflow.py").write_text(WORKFLOW)
    yield folder
    for process in processes(tmp_path):
        process.kill()


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    """Where calls leave a line."""
    return tmp_path / "marks"


@pytest.fixture
def scalable(project: Path) -> Scalable:
    """Run a command line in the project, or elsewhere, and return what it printed and its exit code."""

    def run(
        *arguments: str, cwd: Path | None = None, **env: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "scalable", *arguments],
            cwd=cwd or project,
            env=environment(**env),
            capture_output=True,
            text=True,
            timeout=180,
            stdin=subprocess.DEVNULL,
        )

    return run
