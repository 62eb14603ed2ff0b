"""The crash matrix: whenever a driver dies, `scalable down` leaves nothing, and without it what runs ends."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scalable_core.plugins import PluginHost
from scalable_core.session.running import end_run, find_running, open_project

MANIFEST = """\
version: 1
project: {{name: {project}}}
targets:
  there:
    provider: kubernetes
    kubeconfig: {config}
    namespace: {namespace}
    image: {image}
    n_workers: 2
    annotations: {{testbed/in-process: "yes"}}
components:
  work: {{cpus: 1, memory: 1G}}
tasks:
  add: {{component: work}}
"""
#: More requests than a whole run makes.
MOST = 200
#: Everything that a run may have.
KINDS = (
    "api/v1 pods", "api/v1 configmaps", "api/v1 secrets", "api/v1 services",
    "apis/networking.k8s.io/v1 networkpolicies", "apis/policy/v1 poddisruptionbudgets",
    "apis/policy/v1beta1 poddisruptionbudgets",
)  # fmt: skip


#: Drivers at one time.
AT_ONCE = 2


class Drivers:
    """Forks drivers and says how they ended. Safe from any thread."""

    def __init__(self, kubernetes, image, folder):
        self.folder = folder
        self._names = {"config": kubernetes.kubeconfig(), "image": image}
        self._log = (folder / "drivers.log").open("wb")
        self._processes = [self._start() for _ in range(AT_ONCE)]
        self._free = queue.SimpleQueue()
        for process in self._processes:
            self._free.put(process)

    def run(self, project, namespace, *, after=None, grown=False, limits=None):
        """Run one driver, killed after so many requests, or once its three workers have joined.

        Return folder and exit code (-9: killed).
        """
        folder = self.folder / project
        folder.mkdir()
        names = {"project": project, "namespace": namespace, **self._names}
        (folder / "scalable.yaml").write_text(MANIFEST.format(**names))
        order = {"folder": str(folder), "limits": limits, "after": after, "grown": grown}
        process = self._free.get()
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
        code = int(process.stdout.readline())
        self._free.put(process)
        assert code in (-9, 0), (folder / "driver.error").read_text()
        return folder, code

    def close(self):
        for process in self._processes:
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()
        self._log.close()

    def _start(self):
        return subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "crash_driver.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )


@pytest.fixture
def drivers(kubernetes, image, tmp_path):
    """Drivers, and this process as somebody else who looks after them."""
    drivers = Drivers(kubernetes, image, tmp_path)
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


def left_of(kubernetes, namespace, project):
    """Return what is there of a project's runs, as somebody sees it who asks the API server."""
    query = f"labelSelector=scalable-project={project}"
    found = []
    for group, plural in map(str.split, KINDS):
        path = f"/{group}/namespaces/{namespace}/{plural}?{query}"
        items = kubernetes.ask("GET", path, ok=False).get("items") or []
        found += [f"{plural} {item['metadata']['name']}" for item in items]
    return found


@pytest.mark.timeout(900)
def test_whenever_a_driver_is_killed_down_leaves_nothing(drivers, kubernetes, namespace):
    """After each request of a whole run, carried out and not answered, until one lives to its end.

    While its objects are made, while pods come and go, and in the middle of the end.
    """
    moments, killed = iter(range(1, MOST)), []

    def crash(_):
        for after in moments:
            project = f"crash-{after}-{uuid.uuid4().hex[:4]}"
            folder, code = drivers.run(project, namespace, after=after)
            assert down(folder) == [], project
            assert left_of(kubernetes, namespace, project) == [], project
            if code == 0:
                return
            killed.append(after)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(crash, range(AT_ONCE)))
    assert len(killed) >= 30


def test_without_anybody_the_limits_in_the_pods_end_what_runs(
    drivers, kubernetes, namespace, wait_until
):
    """The scheduler ends when nobody drives it, and the workers with it; no pod holds a node any longer."""
    limits = {"no_driver": 10.0}  # which a slow machine does not reach with a driver
    _, code = drivers.run("alone", namespace, limits=limits, grown=True)
    assert code == -9

    def phases():
        query = "labelSelector=scalable-project=alone"
        pods = kubernetes.ask("GET", f"/api/v1/namespaces/{namespace}/pods?{query}")["items"]
        return [pod["status"]["phase"] for pod in pods]

    assert len(phases()) == 4  # who has ended is still there, as nobody deletes it
    wait_until(lambda: not {"Pending", "Running"} & set(phases()), timeout=200)
