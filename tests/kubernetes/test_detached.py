"""A run on Kubernetes goes on without who has started it: a Job has its workflow, and leaves nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from attrs import evolve

sys.path.insert(0, str(Path(__file__).parents[1] / "testbed"))

from bucket import s3_bucket

from scalable_core.errors import ClusterError, UsageError
from scalable_core.types import BundleRef, ResolvedImage
from scalable_kubernetes import driver
from scalable_kubernetes.builders import Scene
from scalable_kubernetes.estimate import cost_estimate
from scalable_kubernetes.permissions import role

SCALABLE = Path(sys.executable).with_name("scalable")
SCENE = Scene(
    namespace="work", run="run-20260101-000000-calm-heron-1c09", project="study", owner="b0c3"
)
BUNDLE = BundleRef(
    place="s3://shelf/runs", key="k", digest="sha256:0", size=1, files=1,
    command=("-m", "scalable", "drive", "s3://shelf/runs", SCENE.run),
)  # fmt: skip
MANIFEST = """\
version: 1
project: {{name: study, default_storage: "{storage}"}}
targets:
  there:
    provider: kubernetes
    kubeconfig: {config}
    namespace: {namespace}
    image: {image}
    n_workers: 2
    driver_service_account: driver
    pod_template: pod.yaml
components: {{small: {{cpus: 1, memory: 1G}}}}
tasks: {{square: {{component: small, cache: true}}}}
"""
WORKFLOW = """\
import os, sys, time
from scalable import ScalableSession

def square(x, seconds):
    print("computing", x)
    time.sleep(seconds)
    return x * x

calls, seconds = int(sys.argv[1]), float(sys.argv[2])
print("secret of", len(os.environ["TOKEN"]), flush=True)
with ScalableSession.from_yaml("./scalable.yaml") as client:
    total = sum(client.gather(client.map(square, range(calls), seconds=seconds, task="square")))
print("total", total, flush=True)
"""
TEMPLATE = "spec: {{containers: [{{env: [{env}]}}]}}\n"


@pytest.fixture
def storage():
    """The URI of a bucket that pods and this process reach."""
    with s3_bucket() as uri:
        yield f"{uri}/runs"


@pytest.fixture
def service_account(kubernetes, namespace):
    """The one of drivers, with the printed Role and nothing more."""
    from ruamel.yaml import YAML

    kubernetes.ask(
        "POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": "driver"}}
    )
    where = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    document = json.loads(json.dumps(YAML(typ="safe").load(role(namespace))))
    kubernetes.ask("POST", f"{where}/roles", document)
    kubernetes.ask("POST", f"{where}/rolebindings", {
        "metadata": {"name": "driver"},
        "subjects": [{"kind": "ServiceAccount", "name": "driver", "namespace": namespace}],
        "roleRef": {"kind": "Role", "name": "scalable", "apiGroup": "rbac.authorization.k8s.io"},
    })  # fmt: skip
    return "driver"


@pytest.fixture
def folders(kubernetes, namespace, service_account, storage, image, tmp_path, monkeypatch):
    """A project, and a folder elsewhere that has its manifest and nothing else."""
    monkeypatch.setenv("TOKEN", "swordfish-0815")
    names = [name for name in os.environ if name.startswith("AWS_")]
    env = ", ".join(f"{{name: {name}, value: '{os.environ[name]}'}}" for name in names)
    text = MANIFEST.format(
        storage=storage, config=kubernetes.kubeconfig(), namespace=namespace, image=image
    )
    text += 'overlays: {other: {project: {name: "${TOKEN}"}}}\n'
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    for folder in (project, elsewhere):
        folder.mkdir()
        (folder / "scalable.yaml").write_text(text)
        (folder / "pod.yaml").write_text(TEMPLATE.format(env=env))
    (project / "workflow.py").write_text(WORKFLOW)
    return project, elsewhere


def scalable(*words, cwd, code=0):
    """Run the command and return what it says."""
    done = subprocess.run(
        [SCALABLE, *words], cwd=cwd, capture_output=True, text=True, env=os.environ, timeout=200
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def hand_over(folder, *arguments):
    """Start a detached run, kill what has started it once it has said its name, and return that."""
    words = [SCALABLE, "run", "--target", "there", "--detach", "--yes", "--", *arguments]
    starter = subprocess.Popen(
        words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    run = starter.stdout.readline().strip()
    starter.send_signal(signal.SIGKILL)
    assert run, starter.communicate()[1]
    starter.communicate()
    return run


def left(kubernetes, namespace):
    """Return the names of all that a run could have left."""
    found = []
    for path in (
        "api/v1/namespaces/{}/pods",
        "api/v1/namespaces/{}/secrets",
        "api/v1/namespaces/{}/services",
        "api/v1/namespaces/{}/configmaps",
        "apis/batch/v1/namespaces/{}/jobs",
        "apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
    ):
        items = kubernetes.ask("GET", "/" + path.format(namespace))["items"]
        names = [item["metadata"]["name"] for item in items]
        found += [name for name in names if name.startswith("scalable-")]
    return found


def log(kubernetes, pod):
    """Return what a pod has written."""
    path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}/log"
    token = {"Authorization": "Bearer admin-token"}
    return kubernetes._http.request("GET", kubernetes.server + path, headers=token).data.decode()


def runs_of(folder):
    """Return what status says of the runs."""
    return json.loads(scalable("status", "--json", cwd=folder))["runs"]


def test_a_run_goes_on_when_what_started_it_is_killed(folders, kubernetes, namespace):
    """Two hundred calls end well with nobody there, another folder reads of them, and nothing is left."""
    project, elsewhere = folders
    run = hand_over(project, "200", "0.01")
    (pod,) = kubernetes.wait_for(lambda: kubernetes.pods(namespace), "the driver's pod")
    assert "swordfish" not in json.dumps(pod)

    kubernetes.wait_for(lambda: left(kubernetes, namespace) == [], "the end", timeout=150)

    said = scalable("logs", run, cwd=elsewhere)
    assert "secret of 14" in said
    assert f"total {sum(x * x for x in range(200))}" in said
    record = json.loads(scalable("report", run, "--format", "json", cwd=elsewhere))["run"]
    assert (record["status"], record["tasks"]["done"]) == ("done", 200)
    assert runs_of(elsewhere) == []


def test_another_folder_sees_and_cancels_a_run(folders, kubernetes, namespace):
    """What is done is kept, workers and driver go, and the record says who has ended it."""
    project, elsewhere = folders
    run = hand_over(project, "400", "0.3")

    def works():
        return runs_of(elsewhere) and "computing 3" in scalable("logs", run, cwd=elsewhere)

    kubernetes.wait_for(works, "some calls", timeout=120)
    assert [each["run"] for each in runs_of(elsewhere)] == [run]
    said = scalable("cancel", run, cwd=elsewhere)

    assert "nothing is left" in said
    assert left(kubernetes, namespace) == []
    assert runs_of(elsewhere) == []


def test_two_runs_at_once_do_not_mix(folders, kubernetes, namespace):
    """Each has a driver, workers and records of its own, and the end of one is not that of the other."""
    project, elsewhere = folders
    first = hand_over(project, "2000", "0.3")
    second = hand_over(project, "12", "0.05")
    watched = scalable("attach", second, "--json", cwd=elsewhere)

    record = json.loads(watched.splitlines()[-1])
    assert (record["status"], record["tasks"]["total"], record["tasks"]["done"]) == ("done", 12, 12)
    assert f"total {sum(x * x for x in range(12))}" in scalable("logs", second, cwd=elsewhere)

    def is_alone():
        return [each["run"] for each in runs_of(elsewhere)] == [first]

    def works():
        return "computing 1" in scalable("logs", first, cwd=elsewhere)

    kubernetes.wait_for(is_alone, "the first run alone", timeout=120)
    kubernetes.wait_for(works, "a call of the first", timeout=120)
    assert "nothing is left" in scalable("cancel", first, cwd=elsewhere)
    assert left(kubernetes, namespace) == []
    record = json.loads(scalable("report", first, "--format", "json", cwd=elsewhere))["run"]
    assert (record["status"], record["tasks"]["total"]) == ("interrupted", 2000)


@pytest.mark.slow
def test_a_driver_that_is_taken_away_is_not_started_again(folders, kubernetes, namespace):
    """The Job's second pod says so and ends; what the first has started is ended from another folder."""
    project, elsewhere = folders
    run = hand_over(project, "400", "0.3")
    kubernetes.wait_for(lambda: len(kubernetes.pods(namespace)) == 3, "the workers", timeout=120)
    pods = {p["metadata"]["labels"]["scalable-group"]: p for p in kubernetes.pods(namespace)}
    name = pods["driver"]["metadata"]["name"]
    path = f"/api/v1/namespaces/{namespace}/pods/{name}"
    kubernetes.ask("DELETE", path, {"gracePeriodSeconds": 0})

    def failed():
        path = f"/apis/batch/v1/namespaces/{namespace}/jobs"
        (job,) = kubernetes.ask("GET", path)["items"]
        return job["status"].get("failed")

    kubernetes.wait_for(failed, "the end of the Job")
    said = "\n".join(log(kubernetes, pod) for pod in kubernetes.pods(namespace))
    assert f"the driver of {run} is lost; go on with: scalable run --resume {run}" in said
    scalable("down", run, "--yes", cwd=elsewhere)
    assert left(kubernetes, namespace) == []


def plan_of(make_plan, **more):
    """Return a plan whose driver can be started."""
    given = {"image": "model:1", "driver_service_account": "driver", **more}
    return evolve(make_plan(2, **given), detached=True)


def test_a_current_schema_takes_the_job(make_plan):
    """Strictly; with one try, an end for everything, and no secret in it."""
    validate = pytest.importorskip("kubernetes_validate")
    plan = plan_of(make_plan, max_lifetime=3600.0, annotations={"note": "a"}, priority_class="low")
    options = plan.target.options

    job = driver.job(plan, SCENE, options, BUNDLE, ("TOKEN",), {"spec": {"hostname": "x"}})

    validate.validate(job, "1.37", strict=True)
    secret = driver.secret(SCENE, {"TOKEN": "swordfish"})
    validate.validate(secret, "1.37", strict=True)
    assert (job["spec"]["backoffLimit"], job["spec"]["activeDeadlineSeconds"]) == (0, 3780)
    pod = job["spec"]["template"]
    assert (
        pod["metadata"]["annotations"]["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "false"
    )
    assert (pod["spec"]["serviceAccountName"], pod["spec"]["hostname"]) == ("driver", "x")
    assert pod["spec"]["containers"][0]["args"] == ["study", SCENE.run, *BUNDLE.command]
    assert "swordfish" not in json.dumps(job)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"driver_service_account": None}, "needs a service account"),
        ({"image": None}, "needs an image with scalable"),
    ],
)
def test_a_driver_that_could_not_work_is_refused(make_plan, make_context, options, words):
    """Before anything is made, with what to write."""
    plan = plan_of(make_plan, **options)
    groups = tuple(evolve(group, image=None) for group in plan.groups)

    with pytest.raises(UsageError, match=words) as caught:
        driver.start(evolve(plan, groups=groups), BUNDLE, make_context())

    assert caught.value.cure


def test_the_image_of_a_driver_is_pinned_as_the_workers_is(make_plan):
    """And it is never one with Python alone, to which nobody would bring anything."""
    plan = plan_of(make_plan)
    resolved = ResolvedImage(
        reference="model:1", pinned="model@sha256:1", digest="sha256:1", provider="oci"
    )
    options = plan.target.options
    (group,) = plan.groups

    pinned = evolve(plan, groups=(evolve(group, image="model:1", resolved=resolved),))
    bare = evolve(plan, groups=(evolve(group, image="python:3.11-slim", environment=True),))

    assert driver.image_of(pinned, options) == "model@sha256:1"
    assert driver.image_of(pinned, evolve(options, driver_image="driver:2")) == "driver:2"
    assert driver.image_of(bare, evolve(options, image=None)) is None


def test_a_start_that_fails_leaves_nothing(make_plan, make_context, kubernetes, namespace):
    """Whoever may not make Jobs has no owner and no Secret of a run afterwards, and one sentence."""
    where = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    every = {"apiGroups": ["", "networking.k8s.io", "policy"], "resources": ["*"], "verbs": ["*"]}
    jobs = {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["delete", "get", "list"]}
    group = "rbac.authorization.k8s.io"
    kubernetes.ask("POST", f"{where}/roles", {"metadata": {"name": "r"}, "rules": [every, jobs]})
    kubernetes.ask("POST", f"{where}/rolebindings", {
        "metadata": {"name": "r"},
        "subjects": [{"kind": "User", "name": "alice", "apiGroup": group}],
        "roleRef": {"kind": "Role", "name": "r", "apiGroup": group},
    })  # fmt: skip
    plan = plan_of(make_plan, user="alice")

    with pytest.raises(ClusterError, match="alice may not create jobs") as caught:
        driver.start(plan, BUNDLE, make_context(secrets=lambda: {"TOKEN": "swordfish"}))

    assert "--print-policy" in caught.value.cure
    assert left(kubernetes, namespace) == []


def test_the_driver_is_in_the_estimate_in_place_of_the_scheduler(make_plan):
    """Which is in its process."""
    plan = plan_of(make_plan)

    items = [line.item for line in cost_estimate(plan, provider="kubernetes").lines]

    assert "Driver compute" in items
    assert not [item for item in items if item.startswith("Scheduler")]


def test_inside_of_a_driver_the_pod_itself_is_the_way_in(monkeypatch, tmp_path):
    """Also where the target names a kubeconfig, which is for who is outside."""
    from scalable_kubernetes.access import find_access

    monkeypatch.setenv("SCALABLE_DRIVER_HOST", "10.0.0.7")

    assert find_access("~/.kube/config", None, tmp_path).inside
