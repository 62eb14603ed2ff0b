"""The crash matrix: whenever a driver dies, `scalable down` leaves nothing, and without it what bills ends."""

from __future__ import annotations

import itertools
import json
import os
import queue
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from aws.testbed import Testbed
from botocore.httpsession import where

from scalable_aws import release
from scalable_aws.standing import standing_name
from scalable_core.plugins import PluginHost
from scalable_core.session.running import end_run, find_running, open_project

MANIFEST = """\
version: 1
project: {{name: {project}, default_storage: "s3://crashes/{project}"}}
targets:
  aws: {{provider: aws, region: us-east-1, image: {image}, n_workers: 2}}
components:
  work: {{cpus: 1, memory: 2G}}
tasks:
  add: {{component: work}}
"""
#: Drivers that live at one time.
AT_ONCE = 4
#: Members are processes, which takes a while.
PROCESSES = os.environ.get("SCALABLE_CRASH") == "processes"
#: Calls of which a run makes as many as it needs: they keep records, and end what has not ended yet.
VARYING = {"ecs:StopTask", "s3:PUT"}
#: How calls begin that only look; they are made again where a machine or a service is slow.
LOOKS = ("Describe", "GET", "Get", "HEAD", "List", "Simulate")


class Drivers:
    """Forks drivers and says how they ended; many at one time."""

    def __init__(self, bed, folder):
        self.bed, self.folder = bed, folder
        self._log = (folder / "drivers.log").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "crash_driver.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
            | {"AWS_CA_BUNDLE": str(one_authority(folder))},
        )
        self._names = (f"crash-{n}-{uuid.uuid4().hex[:4]}" for n in itertools.count())
        self._turn = threading.Lock()
        self._ends = {}
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def run(self, *, limits=None, **assassin):
        """Run one driver, killed as the assassin is told; return folder, user and exit code (-9: killed)."""
        with self._turn:
            folder = self.folder / next(self._names)
            end = self._ends[str(folder)] = queue.Queue()
        write_manifest(self.bed, folder, folder.name)
        key = f"AKIA{uuid.uuid4().hex[:12].upper()}"
        environment = {**self.bed.environment, "AWS_ACCESS_KEY_ID": key}
        order = {"folder": str(folder), "environment": environment, "limits": limits}
        order["assassin"] = assassin
        with self._turn:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
        code = end.get(timeout=240)
        assert code in (-9, 0), (folder / "driver.error").read_text()
        return folder, key, code

    def close(self):
        self._process.kill()
        self._process.wait()
        self._reader.join()
        self._process.stdin.close()
        self._process.stdout.close()
        self._log.close()

    def _read(self):
        for line in self._process.stdout:
            folder, code = json.loads(line)
            self._ends[folder].put(code)


def one_authority(folder):
    """Return a file with one of all the world's authorities: to read them all takes each client a while."""
    text = Path(where()).read_text()
    path = folder / "authority.pem"
    path.write_text(text[: text.index("-----END CERTIFICATE-----") + 26])
    return path


def write_manifest(bed, folder, project):
    """Make a folder with the manifest of a project."""
    folder.mkdir()
    text = MANIFEST.format(project=project, image=bed.environment["SOLAR_IMAGE"])
    (folder / "scalable.yaml").write_text(text)


@pytest.fixture
def members(request):
    """The local AWS; its members are processes for ``nox -s crash-full``, and share one otherwise."""
    bed = request.getfixturevalue("real_bed" if PROCESSES else "bed")
    usual = bed.get("clock")
    bed.tell("clock", dict.fromkeys(usual, 0.0))
    yield bed
    bed.tell("clock", usual)


@pytest.fixture
def drive_on(become, tmp_path, monkeypatch) -> Iterator[Callable[[Testbed], Drivers]]:
    """Starts drivers on a local AWS, and makes this process somebody else who looks after them."""
    monkeypatch.setattr(release, "LOOK_EVERY", 0.3)
    monkeypatch.setattr(release, "SETTLING", 1.0)
    opened = []

    def drive_on(bed):
        become(bed)
        bed.client("s3").create_bucket(Bucket="crashes")
        opened.append(Drivers(bed, tmp_path))
        return opened[-1]

    yield drive_on
    for drivers in opened:
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


def calls_of(bed, key):
    """Return the calls of a user in their order, those of S3 too."""
    calls = bed.get("calls")
    return [f"{call['service']}:{call['action']}" for call in calls if call["key"] == key]


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


@pytest.mark.timeout(3600 if PROCESSES else 900)
def test_whenever_a_driver_is_killed_down_leaves_nothing(members, drive_on):
    """After each call of a whole run in an empty account, carried out but not answered.

    Half of the ends come from the driver's own folder, the others from another machine, which has the manifest
    alone: there the ledger in the project's storage and the tags must be enough.
    """
    drivers = drive_on(members)
    _, key, code = drivers.run(after=0)
    assert code == 0
    whole = calls_of(members, key)
    assert len(whole) >= 80

    def crash(number, **assassin):
        """Return the call, and its number among its like, after which a driver was killed; None for none."""
        folder, key, code = drivers.run(**assassin)
        if code == 0:  # it looked less often than the whole run did, and ended before
            calls = [kind for kind in calls_of(members, key) if assassin.get("at") in (None, kind)]
            assert assassin["after"] > len(calls), assassin
            return None
        project = folder.name
        if number % 2:
            folder = folder.with_name(f"{project}-elsewhere")
            write_manifest(members, folder, project)
        kind, nth = members.get("victims")[key]
        for _ in range(600):  # what was on its way when its driver died is carried out
            if not members.get(f"unanswered/{key}"):
                break
            time.sleep(0.1)
        assert down(folder) == [], (project, kind, nth)
        assert left_of(members, project) == [], (project, kind, nth)
        return kind, nth

    def crashes(orders):
        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = [pool.submit(crash, n, **order) for n, order in enumerate(orders)]
            return [each.result() for each in found]

    ends = crashes({"after": number} for number in range(1, len(whole) + 1))
    # Calls that go out together come in any order, so some have not been the k-th one yet.
    of_whole = {(kind, nth) for kind, n in Counter(whole).items() for nth in range(1, n + 1)}
    missed = sorted(of_whole - set(ends))
    more = crashes({"at": kind, "after": nth} for kind, nth in missed)
    killed = [each for each in (*ends, *more) if each is not None]
    print(len(whole), "calls;", len(killed), "drivers killed")
    spared = {kind for kind, _ in set(missed) - set(more)}
    assert {kind for kind in spared if not kind.partition(":")[2].startswith(LOOKS)} <= VARYING
    assert {kind for kind, _ in killed} == set(whole)


def test_without_anybody_the_limits_in_the_cluster_end_what_bills(members, drive_on):
    """The scheduler ends when nobody drives it, and the workers with it."""
    limits = {"no_driver": 2.0, "join": 10.0}
    folder, _, code = drive_on(members).run(limits=limits, after=1, at="ecs:StopTask")
    assert code == -9

    assert_all_end(members, standing_name(folder.name))


def test_members_that_were_never_told_where_to_go_end_by_themselves(real_bed, drive_on):
    """The driver dies once they are asked for: nobody has their code, and nobody tells them an address."""
    limits = {"no_driver": 3.0, "join": 10.0}
    folder, _, code = drive_on(real_bed).run(limits=limits, after=2, at="ecs:RunTask")
    assert code == -9

    assert_all_end(real_bed, standing_name(folder.name), least=3)


def assert_all_end(bed, cluster, least=1):
    """Wait until tasks that are there have ended, without a word from anybody."""
    assert len(bed.tasks(cluster)) >= least
    end = time.monotonic() + 120
    while bed.tasks(cluster) and time.monotonic() < end:
        time.sleep(0.2)
    assert bed.tasks(cluster) == []
