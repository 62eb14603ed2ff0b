"""A run whose driver is on another machine: all that both sides share is the project's storage."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from detached_project import MANIFEST, await_that, computed, open_gate, processes, start

sys.path.insert(0, str(Path(__file__).parents[1] / "testbed"))

from bucket import s3_bucket

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a service whose plugin is installed, with a bucket beside it."""
    home = tmp_path_factory.mktemp("elsewhere")
    site = home / "installed"
    info = site / "elsewhere_scalable-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: elsewhere-scalable\nVersion: 1.0\n"
    )
    (info / "entry_points.txt").write_text("[scalable.providers]\nelsewhere = elsewhere_provider\n")
    shutil.copy(HERE / "elsewhere_provider.py", site)
    words = {"PYTHONPATH": str(site), "ELSEWHERE": str(home / "machines")}
    with pytest.MonkeyPatch.context() as patch, s3_bucket() as bucket:
        for name, value in {**words, "STORAGE": bucket}.items():
            patch.setenv(name, value)
        yield home / "machines"


@pytest.fixture
def laptop(service: Path, project: Path) -> Path:
    """A project whose only target is the service."""
    storage = f"{os.environ['STORAGE']}/{project.parent.name}"
    text = MANIFEST.replace("{name: study}", f"{{name: study, default_storage: '{storage}'}}")
    targets = (
        "far: {provider: elsewhere}\n"
        "  short: {provider: elsewhere, max_lifetime: 12s}\n"
        "  idle: {provider: elsewhere, idle_timeout: 4s}"
    )
    text = text.replace("local: {provider: local, max_workers: 2}", targets)
    (project / "scalable.yaml").write_text(text)
    return project


@pytest.fixture
def elsewhere(laptop: Path, tmp_path: Path) -> Path:
    """A folder that has the manifest and nothing else."""
    folder = tmp_path / "other-laptop"
    folder.mkdir()
    shutil.copy(laptop / "scalable.yaml", folder)
    return folder


def members(service: Path, run: str) -> list[psutil.Process]:
    """Return what is alive of a run."""
    return processes(service / run)


def test_a_run_goes_on_in_a_machine_of_its_own(
    service: Path, laptop: Path, elsewhere: Path, marks: Path, scalable
) -> None:
    """The starter is killed at once; another folder watches it to its end, and has its words and artifacts."""
    starter = start(
        laptop, "run", "--target", "far", "--detach", "--yes", "--", "60", "60", str(marks)
    )
    assert starter.stdout is not None
    run = starter.stdout.readline().strip()
    starter.kill()
    assert run, starter.communicate()[1]

    watched = scalable("attach", run, "--json", cwd=elsewhere)

    lines = [json.loads(line) for line in watched.stdout.splitlines()]
    said = (service / run / "output").read_text()
    assert watched.returncode == 0, watched.stderr + said
    assert lines[-1]["tasks"] == {"total": 60, "done": 60, "failed": 0, "cached": 0}
    assert {"run.started", "progress", "run.ended"} <= {line.get("kind") for line in lines}
    assert computed(marks) == list(range(60))
    await_that(lambda: not members(service, run), "the end of the driver and its workers")
    for folder in (laptop, elsewhere):
        assert f"total {sum(i * i for i in range(60))}" in scalable("logs", run, cwd=folder).stdout
        assert "60 tasks" in scalable("report", run, cwd=folder).stdout
    got = scalable("artifacts", "get", "total.json", "--run", run, cwd=elsewhere)
    assert got.returncode == 0, got.stderr
    assert json.loads((elsewhere / "total.json").read_text()) == sum(i * i for i in range(60))
    for folder in (laptop, elsewhere):
        assert json.loads(scalable("status", "--json", cwd=folder).stdout)["runs"] == []


def test_a_driver_ends_by_its_limits(service: Path, laptop: Path, tmp_path: Path, scalable) -> None:
    """One whose calls do not end does so at its hard limit, and one that only waits when that is too long."""
    text = (laptop / "workflow.py").read_text()
    (laptop / "waiting.py").write_text(text.replace("\nprint(", "\n    time.sleep(600)\nprint("))
    first, second = tmp_path / "first", tmp_path / "second"
    words = ("run", "--detach", "--yes", "--target")
    short = scalable(*words, "short", "--", "9", "3", str(first)).stdout.strip()
    more = ("--workflow", "waiting.py", "--", "3", "3", str(second))
    idle = scalable(*words, "idle", *more).stdout.strip()
    events = service / short / ".scalable/runs" / short / "events.jsonl"
    await_that(lambda: events.exists() and "max_lifetime" in events.read_text(), "the hard limit")
    open_gate(first)

    for run, said in ((short, "ended by its max_lifetime of 12s"), (idle, "its idle_timeout")):
        watched = scalable("attach", run)
        assert (watched.returncode, said in watched.stderr) == (130, True), watched.stderr
        await_that(lambda run=run: not members(service, run), "the end of every process")
    assert computed(first)[:3] == computed(second) == [0, 1, 2]
    assert len(computed(first)) <= 3 + 2
