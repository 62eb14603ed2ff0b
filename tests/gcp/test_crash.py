"""The crash matrix: whenever a driver dies, `scalable down` leaves nothing."""

from __future__ import annotations

import itertools
import json
import os
import queue
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from gcp.testbed import Testbed, permission_of

from scalable_core.plugins import PluginHost
from scalable_core.session.running import end_run, find_running, open_project
from scalable_gcp import release
from scalable_gcp.policy import driver_permissions

MANIFEST = """\
version: 1
project: {{name: {project}, default_storage: "gs://bucket/{project}"}}
targets:
  gcp:
    provider: gcp
    region: us-central1
    transport: {transport}
    n_workers: 2
    image: us-central1-docker.pkg.dev/study-project/models/demeter:2
components:
  work: {{cpus: 1, memory: 2G}}
tasks:
  add: {{component: work}}
"""
WORKFLOW = """\
import time
from scalable import ScalableSession

with ScalableSession.from_yaml("scalable.yaml") as client:
    client.submit(abs, -1, task="add").result()
    time.sleep(300)
"""
#: Drivers that live at one time.
AT_ONCE = 4


class Drivers:
    """Forks drivers and says how they ended; many at one time."""

    def __init__(self, bed: Testbed, folder: Path) -> None:
        self.bed, self.folder = bed, folder
        self._log = (folder / "drivers.log").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "crash_driver.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self._numbers, self._turn = itertools.count(), threading.Lock()
        self._ends: dict[str, queue.Queue[int]] = {}
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def run(
        self, after: int | None = None, *, transport: str = "vpc", detached: bool = False
    ) -> tuple[str, int]:
        """Run one driver, killed after so many calls; return its project and exit code (-9: killed)."""
        with self._turn:
            name = f"crash-{os.getpid()}-{next(self._numbers)}"
            folder = self.folder / name
            end = self._ends[str(folder)] = queue.Queue()
        write_manifest(folder, name, transport)
        key = json.loads(Path(self.bed.environment["GOOGLE_APPLICATION_CREDENTIALS"]).read_text())
        key["client_email"] = f"{name}@{key['project_id']}.iam.gserviceaccount.com"
        (folder / "key.json").write_text(json.dumps(key))
        environment = {
            **self.bed.environment,
            "GOOGLE_APPLICATION_CREDENTIALS": str(folder / "key.json"),
        }
        assassin = {} if after is None else {"who": f"driver:{name}", "after": after}
        order = {"folder": str(folder), "environment": environment, "assassin": assassin}
        order["detached"] = detached
        with self._turn:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
        code = end.get(timeout=200)
        assert code in (-9, 0), (folder / "driver.error").read_text()
        return name, code

    def calls(self, name: str) -> list[str]:
        """The calls of a driver, in order."""
        return [call["id"] for call in self.bed.get("calls") if call["who"] == f"driver:{name}"]

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for file in (self._process.stdin, self._process.stdout, self._log):
            assert file is not None
            file.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            folder, code = json.loads(line)
            self._ends[folder].put(code)


def write_manifest(folder: Path, project: str, transport: str = "vpc") -> None:
    """Make a folder with the manifest of a project, and a workflow that lasts."""
    folder.mkdir()
    text = MANIFEST.format(project=project, transport=transport)
    (folder / "scalable.yaml").write_text(text)
    (folder / "workflow.py").write_text(WORKFLOW)


@pytest.fixture
def drivers(gcs, tmp_path, monkeypatch):
    """Drivers in a Google Cloud whose members share one process."""
    monkeypatch.setattr(release, "SETTLING", 0.5)
    monkeypatch.setattr("scalable_gcp.cloud.FIRST_PAUSE", 0.05)
    with Testbed(tmp_path, hive=True, STORAGE_EMULATOR_HOST=gcs.url) as bed:
        bed.tell("settings", delay=0.0)
        bed.tell("images", **{"models/demeter:2": f"sha256:{'1' * 64}"})
        for name, value in bed.environment.items():
            monkeypatch.setenv(name, value)
        made = Drivers(bed, tmp_path)
        yield made
        made.close()


def down(folder: Path) -> list:
    """Do what ``scalable down --all --yes`` does, and return what it could not remove."""
    host = PluginHost()
    project = open_project(folder / "scalable.yaml", None, host=host)
    found = find_running(project, host=host)
    assert found.unasked == ()
    reports = [end_run(each, project, host=host) for each in found.runs]
    return [each for report in reports for each in report.remaining]


def left_of(bed: Testbed, project: str) -> list[str]:
    """What there is of a project's runs, as somebody sees it who asks Google."""
    state = bed.state
    labelled = [
        name
        for kind in ("pools", "machines", "jobs", "secrets")
        for name, body in state[kind].items()
        if body.get("labels", {}).get("scalable-project") == project
    ]
    rules = state["rules"].values()
    return labelled + [r["name"] for r in rules if r["description"].startswith(f"{project}/")]


def crash(drivers: Drivers, number: int, **how) -> None:
    """Kill a driver after so many calls; `down` then leaves nothing, here or on another machine."""
    project, code = drivers.run(after=number, **how)
    folder = drivers.folder / project
    if number % 2:  # another machine has the manifest alone, so bucket and labels must be enough
        folder = folder.with_name(f"{project}-elsewhere")
        write_manifest(folder, project, how.get("transport", "vpc"))
    calls = drivers.calls(project)
    if code == -9:
        assert len(calls) >= number + 1
    assert down(folder) == [], (number, calls[-3:])
    assert left_of(drivers.bed, project) == [], (number, calls[-3:])


def crash_after_each(drivers: Drivers, project: str, least: int, **how) -> None:
    """Kill a driver after each call that one of its kind has made."""
    whole = len(drivers.calls(project))
    assert whole >= least
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for done in [pool.submit(crash, drivers, number, **how) for number in range(whole)]:
            done.result()


@pytest.mark.timeout(400)
def test_whenever_a_driver_is_killed_down_leaves_nothing(drivers):
    """After each call of a whole run, carried out but not answered."""
    project, code = drivers.run()
    assert code == 0
    assert left_of(drivers.bed, project) == []
    crash_after_each(drivers, project, least=40)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("transport", ["single", "vpc"])
def test_whenever_who_hands_a_run_over_is_killed_down_leaves_nothing(drivers, transport):
    """Whether its driver has begun by then or not."""
    project, code = drivers.run(transport=transport, detached=True)
    assert code == 0
    assert down(drivers.folder / project) == []
    assert left_of(drivers.bed, project) == []
    crash_after_each(drivers, project, least=10, transport=transport, detached=True)


@pytest.mark.timeout(120)
def test_a_run_asks_for_nothing_that_the_printed_role_lacks(drivers):
    """From the preflight to the last look."""
    project, _ = drivers.run()
    asked = {permission_of(method) for method in drivers.calls(project)} - {None}

    assert len(asked) > 15
    assert asked <= set(driver_permissions(public=False))
