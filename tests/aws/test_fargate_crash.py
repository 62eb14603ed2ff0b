"""The crash matrix: whenever a driver dies, `scalable down` leaves nothing, and without it what bills ends."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scalable_aws import release
from scalable_aws.standing import standing_name
from scalable_core.plugins import PluginHost
from scalable_core.session.running import end_run, find_running, open_project

MANIFEST = """\
version: 1
project: {{name: {project}}}
targets:
  aws: {{provider: aws, region: us-east-1, image: {image}, n_workers: 2}}
components:
  work: {{cpus: 1, memory: 2G}}
tasks:
  add: {{component: work}}
"""
#: More calls than a whole run makes.
MOST = 150


class Drivers:
    """Forks drivers and says how they ended."""

    def __init__(self, bed, folder):
        self.bed, self.folder = bed, folder
        self._log = (folder / "drivers.log").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "crash_driver.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={k: v for k, v in os.environ.items() if not k.startswith("AWS_")},
        )

    def run(self, project, *, limits=None, **assassin):
        """Run one driver, killed as the assassin is told; return folder, user and exit code (-9: killed)."""
        folder = self.folder / project
        folder.mkdir()
        image = self.bed.environment["SOLAR_IMAGE"]
        text = MANIFEST.format(project=project, image=image)
        (folder / "scalable.yaml").write_text(text)
        key = f"AKIA{uuid.uuid4().hex[:12].upper()}"
        environment = {**self.bed.environment, "AWS_ACCESS_KEY_ID": key}
        order = {"folder": str(folder), "environment": environment, "limits": limits}
        order["assassin"] = assassin
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return folder, key, int(self._process.stdout.readline())

    def close(self):
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()
        self._log.close()


@pytest.fixture
def members(request):
    """The local AWS; its members are processes for ``nox -s crash-full``, and share one otherwise."""
    processes = os.environ.get("SCALABLE_CRASH") == "processes"
    return request.getfixturevalue("real_bed" if processes else "bed")


@pytest.fixture
def drivers(members, become, tmp_path, monkeypatch) -> Iterator[Drivers]:
    """Drivers, and this process as somebody else who looks after them."""
    become(members)
    monkeypatch.setattr(release, "LOOK_EVERY", 0.3)
    monkeypatch.setattr(release, "SETTLING", 1.0)
    drivers = Drivers(members, tmp_path)
    yield drivers
    drivers.close()


def down(folder):
    """Do what ``scalable down --all --yes`` does, and return what it could not remove."""
    host = PluginHost()
    project = open_project(folder / "scalable.yaml", None, host=host)
    found = find_running(project, host=host)
    assert found.unasked == ()
    reports = [end_run(each, project, host=host) for each in found.runs]
    assert find_running(project, host=host).runs == ()
    return [each for report in reports for each in report.remaining]


def left_of(bed, project):
    """Return what is there of a project's runs, as somebody sees it who asks AWS."""
    path = f"/scalable/{standing_name(project)}/"
    tags = [{"Name": "tag:scalable-project", "Values": [project]}]
    tags += [{"Name": "tag-key", "Values": ["scalable-run"]}]
    names = bed.client("ssm").get_parameters_by_path(Path=path, Recursive=True)["Parameters"]
    groups = bed.client("ec2").describe_security_groups(Filters=tags)["SecurityGroups"]
    clusters = bed.client("ecs").describe_clusters(clusters=[standing_name(project)])["clusters"]
    tasks = bed.tasks(standing_name(project)) if clusters else []
    return [
        *(task["taskArn"] for task in tasks),
        *(group["GroupName"] for group in groups),
        *(each["Name"] for each in names),
    ]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_whenever_a_driver_is_killed_down_leaves_nothing(members, drivers):
    """After each call of a whole run in an empty account, carried out but not answered; of every kind."""
    names = (f"crash-{number}-{uuid.uuid4().hex[:4]}" for number in itertools.count())
    ends, code = {}, -9
    with ThreadPoolExecutor(3) as pool:

        def crash(**assassin):
            folder, key, code = drivers.run(next(names), **assassin)
            assert code in (-9, 0), (folder / "driver.error").read_text()
            if code == -9:
                ends[folder.name, members.get("victims")[key]] = pool.submit(down, folder)
            return key, code

        for after in range(1, MOST):
            key, code = crash(after=after)
            if code == 0:
                break
        assert code == 0
        kinds = set(members.count(key))
        for kind in kinds - {kind for _, kind in ends}:
            crash(after=1, at=kind)  # calls that go out together come in any order
        for crashed, end in ends.items():
            assert end.result(timeout=120) == [], crashed
            assert left_of(members, crashed[0]) == [], crashed

    assert {kind for _, kind in ends} == kinds
    assert len(ends) >= 40


def test_without_anybody_the_limits_in_the_cluster_end_what_bills(members, drivers):
    """The scheduler ends when nobody drives it, the workers with it; those that never saw it, in time."""
    project = f"alone-{uuid.uuid4().hex[:6]}"
    limits = {"no_driver": 2.0, "join": 10.0}
    _, _, code = drivers.run(project, limits=limits, after=1, at="ecs:StopTask")
    assert code == -9
    assert members.tasks(standing_name(project))

    end = time.monotonic() + 90
    while members.tasks(standing_name(project)) and time.monotonic() < end:
        time.sleep(0.2)

    assert members.tasks(standing_name(project)) == []
