"""Running the command line as a user does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

MANIFEST = """\
version: 1
project: {name: study}
targets:
  local: {provider: local, max_workers: 2, processes: false}
components:
  model: {cpus: 1, memory: 256M}
tasks:
  simulate: {component: model}
"""

WORKFLOW = """\
import sys
from scalable import ScalableSession

def square(x):
    return x * x

with ScalableSession.from_yaml("./scalable.yaml") as client:
    squares = client.gather(client.map(square, range(10), task="simulate"))
print("squares", sum(squares), sys.argv[1:])
"""

#: What the environment of a user may hold and a test must not depend on.
_FOREIGN = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TERM", "CLICOLOR", "PYTHONIOENCODING")

Scalable = Callable[..., subprocess.CompletedProcess[str]]


def environment(**more: str) -> dict[str, str]:
    """Return an environment that says nothing to Scalable but what ``more`` says."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _FOREIGN and not name.startswith("SCALABLE_")
    }
    return {**kept, "PYTHONUTF8": "1", **more}


@pytest.fixture
def user_environment() -> dict[str, str]:
    """An environment that says nothing to Scalable."""
    return environment()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a manifest for threads and a workflow of ten calls."""
    (tmp_path / "scalable.yaml").write_text(MANIFEST)
    (tmp_path / "workflow.py").write_text(WORKFLOW)
    return tmp_path


@pytest.fixture
def scalable(tmp_path: Path) -> Scalable:
    """Run a command line in the test's folder and return what it printed and its exit code."""

    def run(
        *arguments: str, cwd: Path | None = None, **env: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "scalable", *arguments],
            cwd=cwd or tmp_path,
            env=environment(**env),
            capture_output=True,
            text=True,
            timeout=120,
            stdin=subprocess.DEVNULL,
        )

    return run
