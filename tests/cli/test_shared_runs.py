"""Runs of another machine are listed and reported here, from the project's storage."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

MANIFEST = """\
version: 1
project: {{name: study, mirror: true, default_storage: {storage}}}
targets:
  local: {{provider: local, max_workers: 1, processes: false}}
components:
  model: {{cpus: 1, memory: 256M}}
tasks:
  simulate: {{component: model}}
"""


@pytest.fixture
def elsewhere(project: Path, scalable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the same project on a machine on which nothing has run yet."""
    storage = project / "storage"
    (project / "scalable.yaml").write_text(MANIFEST.format(storage=storage))
    done = scalable("run", "--quiet")
    assert done.returncode == 0, done.stderr
    other = tmp_path_factory.mktemp("other")
    (other / "scalable.yaml").write_text(MANIFEST.format(storage=storage))
    return other


def test_a_run_of_another_machine_is_reported(elsewhere: Path, scalable, project: Path) -> None:
    """Its records are fetched once, and the report is the same as there."""
    (run,) = (project / ".scalable" / "runs").iterdir()
    there = scalable("report", "--json")
    first = scalable("report", run.name[-4:], "--json", cwd=elsewhere)
    second = scalable("report", "--json", cwd=elsewhere)

    assert first.returncode == 0, first.stderr
    assert f"Fetching the records of {run.name}" in first.stderr
    assert json.loads(first.stdout) == json.loads(there.stdout)
    assert second.stdout == first.stdout
    assert "Fetching" not in second.stderr


def test_without_a_run_here_the_latest_of_the_project_is_meant(elsewhere: Path, scalable) -> None:
    """As on the machine that has made it."""
    done = scalable("report", cwd=elsewhere)

    assert done.returncode == 0, done.stderr
    assert "10 tasks" in done.stdout


def test_runs_of_other_machines_are_listed_when_asked_for(
    elsewhere: Path, scalable, project: Path
) -> None:
    """And nothing is kept of them here."""
    (run,) = (project / ".scalable" / "runs").iterdir()
    alone = scalable("runs", cwd=elsewhere)
    shared = scalable("runs", "--shared", "--json", cwd=elsewhere)

    assert "no runs" in alone.stderr
    (listed,) = json.loads(shared.stdout)["runs"]
    assert listed["run"] == run.name
    assert listed["run_dir"] is None
    assert listed["counts"] == {"run": 10, "cached": 0, "failed": 0}
    assert not (elsewhere / ".scalable" / "runs").exists()


def test_a_run_that_nobody_has_is_said(elsewhere: Path, scalable) -> None:
    """As ever."""
    done = scalable("report", "no-such-run", cwd=elsewhere)

    assert done.returncode == 2
    assert "'no-such-run'" in done.stderr


def test_a_storage_that_cannot_be_asked_is_said_with_it(project: Path, scalable) -> None:
    """The run may be there."""
    manifest = (project / "scalable.yaml").read_text()
    named = "{name: study, default_storage: 'nosuch://bucket'}"
    (project / "scalable.yaml").write_text(manifest.replace("{name: study}", named))
    done = scalable("report", "brisk-otter")

    assert done.returncode == 2
    assert "cannot be asked" in done.stderr


def test_a_project_without_storage_has_no_shared_runs(project: Path, scalable) -> None:
    """With the line that gives it one."""
    done = scalable("runs", "--shared")

    assert done.returncode == 2
    assert "default_storage" in done.stderr
