"""Several drivers at once, a full disk, and secrets: what is kept is right, and holds nothing it must not."""

from __future__ import annotations

import json
import os
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest


def test_eight_drivers_that_want_the_same_compute_each_call_once(make_project) -> None:
    """They share a cache on one machine: whoever comes second waits and takes the result."""
    project = make_project(processes=False)
    drivers = [project.drive(12) for _ in range(8)]
    for driver in drivers:
        project.finish(driver, 12)

    assert dict(project.started()) == dict.fromkeys(range(12), 1)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KiB."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_costs_what_is_kept_and_no_result(make_project, small_disk: Path) -> None:
    """The run ends well and says what is not kept; so does the next, which takes what was kept."""
    project = make_project()
    said = project.finish(project.drive(60, SCALABLE_CACHE_DIR=str(small_disk)), 60)
    assert said.count("is not kept") < 10  # once for each reason, not for each call
    assert "is not kept" in said
    (table,) = project.folder.glob(".scalable/runs/*/cache.jsonl")
    events = [json.loads(line) for line in table.read_text().splitlines()]
    assert sum(row["event"] == "failed" and "No space" in row["detail"] for row in events) > 10
    before = project.started()
    said = project.finish(project.drive(60, SCALABLE_CACHE_DIR=str(small_disk)), 60)

    assert before.total() == 60
    assert 0 < (project.started() - before).total() < 60
    assert "is not kept" in said


SECRET = "hunter2-3c1e5f0b9a77"


def test_a_secret_is_in_no_file_of_a_run(make_project) -> None:
    """Neither as text nor inside a zip: records, plan, code, kept results, logs."""
    project = make_project()
    manifest = project.folder / "scalable.yaml"
    env = 'memory: 256M, env: {API_TOKEN: "${STUDY_TOKEN}"}'
    manifest.write_text(manifest.read_text().replace("memory: 256M", env))
    workflow = project.folder / "workflow.py"
    check = f'    assert os.environ["API_TOKEN"].startswith("{SECRET[:7]}")\n    time.sleep(0.03)'
    workflow.write_text(workflow.read_text().replace("    time.sleep(0.03)", check))
    project.finish(project.drive(6, STUDY_TOKEN=SECRET), 6)

    files = [path for path in (project.folder / ".scalable").rglob("*") if path.is_file()]
    names = {path.name for path in files}
    assert {"plan.json", "run.json", "tasks.jsonl"} <= names
    assert project.kept() == set(range(6))
    for path in files:
        assert SECRET.encode() not in path.read_bytes(), path
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    assert SECRET.encode() not in archive.read(name), (path, name)
