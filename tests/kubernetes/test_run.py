"""The command line on a real Kubernetes: from the look before a run to what is left after a crash."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

SCALABLE = Path(sys.executable).with_name("scalable")
SOLAR = Path(__file__).parents[2] / "examples" / "solar"
TARGET = """\
  there:
    provider: kubernetes
    kubeconfig: {config}
    namespace: {namespace}
    image: {image}
    price: {{vcpu_hour: 0.04, gib_hour: 0.005}}
    {more}
"""
MANIFEST = """\
version: 1
project: {name: study}
targets:
"""
TASKS = """\
components:
  small: {cpus: 1, memory: 1G, env: {TOKEN: "${TOKEN}"}}
  large: {cpus: 2, memory: 4G}
tasks:
  prepare: {component: small}
  solve: {component: large}
"""
WORKFLOW = """\
import os, sys, time
from pathlib import Path
from beside import double
from scalable import ScalableSession

def prepare(x):
    print("preparing", x, len(os.environ["TOKEN"]))
    return double(x)

if __name__ == "__main__":
    with ScalableSession.from_yaml(Path(__file__).parent / "scalable.yaml") as client:
        first = client.map(prepare, range(6), task="prepare")
        print("RESULT", client.submit(sum, first, task="solve").result())
        if Path("stay").exists():
            Path("here").touch()
            time.sleep(600)
"""


@pytest.fixture
def target(kubernetes, namespace, image):
    """Makes the lines of a target: target(more="n_workers: 2")."""
    config = kubernetes.kubeconfig()

    def target(more=""):
        return TARGET.format(config=config, namespace=namespace, image=image, more=more)

    return target


@pytest.fixture
def folder(target, tmp_path, monkeypatch):
    """A project with two components, a workflow and a module beside it."""
    monkeypatch.setenv("TOKEN", "swordfish-0815")
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "scalable.yaml").write_text(MANIFEST + target("n_workers: 2") + TASKS)
    (folder / "workflow.py").write_text(WORKFLOW)
    (folder / "beside.py").write_text("def double(x):\n    return 2 * x\n")
    return folder


def scalable(*words, cwd, code=0):
    """Run the command and return what it says."""
    done = subprocess.run(
        [SCALABLE, *words], cwd=cwd, capture_output=True, text=True, env=os.environ, timeout=200
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


#: For the example's own workflow: a second, larger component gathers; then it waits until nobody is left.
GATHER = """\
        parts = [client.submit(pd.DataFrame, futures[i::8], task="gather") for i in range(8)]
        table = pd.concat(client.gather(parts))
        del futures, parts
        while client.scheduler_info()["workers"]:
            time.sleep(0.1)
        print("NOBODY LEFT")
"""


def test_the_solar_example_runs_on_kubernetes_with_two_components_that_come_and_go(
    target, kubernetes, namespace, tmp_path
):
    """From no worker to at most six of two sizes and back to none; every scenario has its result."""
    folder = tmp_path / "solar"
    shutil.copytree(SOLAR, folder, ignore=shutil.ignore_patterns("results", ".scalable"))
    manifest, workflow = folder / "scalable.yaml", folder / "workflow.py"
    more = target("adaptive: {minimum: 0, maximum: 6}")
    text = manifest.read_text().replace("targets:\n", f"targets:\n{more}", 1)
    text = text.replace("{cpus: 1}", "{cpus: 1, memory: 1G}\n  atlas: {cpus: 2, memory: 3G}")
    manifest.write_text(f"{text}  gather: {{component: atlas}}\n")
    text = workflow.read_text().replace("range(0, 91, 10)", "range(0, 91, 30)")
    line = "        table = pd.DataFrame(client.gather(futures))\n"
    assert line in text
    text = text.replace(line, GATHER).replace("import os\n", "import os\nimport time\n", 1)
    workflow.write_text(text)

    most, sizes, over = [], set(), threading.Event()

    def look():
        while not over.wait(0.2):
            pods = kubernetes.pods(namespace)
            groups = [pod["metadata"]["labels"]["scalable-group"] for pod in pods]
            most.append(len([group for group in groups if group != "scheduler"]))
            for pod, group in zip(pods, groups, strict=True):
                sizes.add((group, pod["spec"]["containers"][0]["resources"]["limits"]["cpu"]))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        said = scalable("run", "--target", "there", "--yes", cwd=folder)
    finally:
        over.set()
        looking.join()

    assert "256 scenarios, each a simulated year" in said
    assert "NOBODY LEFT" in said
    assert len((folder / "results" / "yields.csv").read_text().splitlines()) == 257
    assert sizes == {("scheduler", "1"), ("physics", "1"), ("atlas", "2")}
    assert most[0] <= 1
    assert 4 <= max(most) <= 8  # who leaves may still be there when another has come
    assert kubernetes.pods(namespace) == []


def test_a_run_is_looked_at_run_read_and_leaves_nothing(folder, kubernetes, namespace):
    """Doctor, run with two components, and the secret of one is nowhere in the cluster's plain objects."""
    checks = json.loads(scalable("doctor", "--target", "there", "--json", cwd=folder))["checks"]
    assert {each["status"] for each in checks} <= {"ok", "warning"}
    assert {"permissions", "pods", "credentials"} <= {each["name"] for each in checks}
    policy = scalable("doctor", "--target", "there", "--print-policy", cwd=folder)
    assert f"namespace: {namespace}" in policy

    (folder / "stay").touch()
    words = [SCALABLE, "run", "--target", "there", "--yes"]
    with (folder / "log").open("wb") as log:
        driver = subprocess.Popen(words, cwd=folder, stdout=log, stderr=log, env=os.environ)
    try:
        kubernetes.wait_for((folder / "here").exists, "the result", timeout=150)
        assert "RESULT 30" in (folder / "log").read_text()
        pods = json.dumps(kubernetes.pods(namespace))
        assert "swordfish" not in pods
        assert "PRIVATE KEY" not in pods
        (run,) = json.loads(scalable("status", "--json", cwd=folder))["runs"]
        assert run["hourly"] == pytest.approx(
            4 * 0.04 + 9 * 0.005
        )  # all three pods, and nothing else
        logs = scalable("logs", run["run"], cwd=folder)
        assert "preparing 3 14" in logs
        driver.send_signal(signal.SIGKILL)
        driver.wait(30)
        assert len(kubernetes.pods(namespace)) == 3
        scalable("down", "--all", "--yes", cwd=folder)
        assert kubernetes.pods(namespace) == []
        assert json.loads(scalable("status", "--json", cwd=folder))["runs"] == []
    finally:
        driver.kill()
        driver.wait()


@pytest.mark.slow
def test_pods_without_an_image_get_the_packages_of_this_environment(
    folder, image, kubernetes, namespace
):
    """Scheduler and workers start in a Python without any."""
    manifest = folder / "scalable.yaml"
    plain = image.replace(image.split("/")[-1], "plain-python:1")
    text = manifest.read_text().replace(f"    image: {image}", f"    base_image: {plain}")
    manifest.write_text(text)

    said = scalable("run", "--target", "there", "--yes", cwd=folder)

    assert "RESULT 30" in said
    (events,) = (folder / ".scalable" / "runs").glob("*/events.jsonl")
    assert "packages of this environment go to workers without an image" in events.read_text()
    assert kubernetes.pods(namespace) == []


def test_logs_are_followed_until_the_run_ends(folder, kubernetes, namespace):
    """What is written later comes too, and the command ends with the last pod."""
    (folder / "stay").touch()
    words = [SCALABLE, "run", "--target", "there", "--yes"]
    with (folder / "log").open("wb") as log:
        driver = subprocess.Popen(words, cwd=folder, stdout=log, stderr=log, env=os.environ)
    try:
        kubernetes.wait_for(lambda: kubernetes.pods(namespace), "a pod", timeout=100)
        (run,) = json.loads(scalable("status", "--json", cwd=folder))["runs"]
        follower = subprocess.Popen(
            [SCALABLE, "logs", run["run"], "--follow"],
            cwd=folder,
            stdout=subprocess.PIPE,
            text=True,
        )
        kubernetes.wait_for((folder / "here").exists, "the result", timeout=150)
        time.sleep(1)
        driver.send_signal(signal.SIGINT)
        assert driver.wait(120) == 130
        said, _ = follower.communicate(timeout=60)
        assert "preparing 5 14" in said
    finally:
        driver.kill()
        driver.wait()


KEPT = """\
import os, sys, time
from pathlib import Path
from scalable import ScalableSession

def prepare(x, marks):
    with open(marks, "a") as file:
        file.write(f"{x}\\n")
    return 2 * x

def solve(values, flag):
    while not os.path.exists(flag):
        time.sleep(0.1)
    return sum(values)

if __name__ == "__main__":
    here = Path(__file__).parent.resolve()
    with ScalableSession.from_yaml(here / "scalable.yaml") as client:
        first = client.gather(client.map(prepare, range(6), marks=str(here / "marks"), task="prepare"))
        (here / "here").touch()
        print("RESULT", client.submit(solve, first, str(here / "flag"), task="solve").result())
"""


@pytest.mark.slow
def test_the_node_of_the_scheduler_is_lost_and_the_run_is_resumed(
    target, kubernetes, namespace, tmp_path
):
    """Who waits hears why in one sentence; nothing is left; what was kept is not computed again."""
    bears = {"key": "testbed/node", "operator": "Equal", "value": "n2", "effect": "NoSchedule"}
    spec = {"nodeSelector": {"kubernetes.io/hostname": "n2"}, "tolerations": [bears]}
    (tmp_path / "pod.yaml").write_text(json.dumps({"spec": spec}))
    more = target("n_workers: 1\n    pod_template: pod.yaml")
    tasks = "components:\n  small: {cpus: 1, memory: 1G}\n"
    tasks += "tasks:\n  prepare: {component: small, cache: true}\n  solve: {component: small}\n"
    (tmp_path / "scalable.yaml").write_text(MANIFEST + more + tasks)
    (tmp_path / "workflow.py").write_text(KEPT)

    words = [SCALABLE, "run", "--target", "there", "--yes"]
    driver = subprocess.Popen(
        words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        kubernetes.wait_for((tmp_path / "here").exists, "the first results", timeout=150)
        kubernetes.lose_node("n2")
        said, _ = driver.communicate(timeout=200)
    finally:
        driver.kill()
        driver.wait()
        kubernetes.start_node("n2")
        kubernetes.wait_for(lambda: kubernetes.node_ready("n2"), "node n2")
    assert driver.returncode == 3, said
    assert "its node n2 does not answer any more" in said
    assert "Traceback" not in said
    assert kubernetes.pods(namespace) == []

    (run,) = json.loads(scalable("runs", "--json", cwd=tmp_path))["runs"]
    (tmp_path / "flag").touch()
    said = scalable("run", "--target", "there", "--yes", "--resume", run["run"], cwd=tmp_path)
    assert "RESULT 30" in said
    assert sorted((tmp_path / "marks").read_text().split()) == list("012345")
