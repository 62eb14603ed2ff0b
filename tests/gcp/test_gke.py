"""Runs on GKE: what Google says of the cluster and of tokens, and a real API server behind it."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from attrs import evolve

sys.path.insert(0, str(Path(__file__).parents[1] / "testbed" / "kubernetes"))

from kube_authenticator import Authenticator, Gke
from kube_cluster import KubernetesCluster, find_programs

from scalable_core.errors import ClusterError
from scalable_core.types import (
    BundleRef,
    HookContext,
    Plan,
    Project,
    Stores,
    Target,
    WorkerGroup,
)
from scalable_gcp import client, estimate
from scalable_gcp import gke as gke_target
from scalable_gcp.gke import place_of, pod_options, rounding
from scalable_gcp.gke_access import Place, address_of, find_access, google_token
from scalable_gcp.options import GkeOptions
from scalable_kubernetes import permissions, pods
from scalable_kubernetes.api import Api

SCALABLE = Path(sys.executable).with_name("scalable")
PROJECT, USER = "study-project", "driver@study-project.iam.gserviceaccount.com"
WHERE = f"projects/{PROJECT}/locations/us-central1/clusters/lab"
SPOT = {"cloud.google.com/gke-spot": "true"}
DISK = {"ephemeral-storage": "500Gi"}
NODES = {
    "n1": {"cpu": "64", "memory": "256Gi", **DISK},
    "n2": {"cpu": "8", "memory": "16Gi", **DISK},
}
GIB = 2**30
MANIFEST = """\
version: 1
project: {{name: study}}
targets:
  there:
    provider: gcp
    cluster_type: gke
    region: us-central1
    cluster: lab
    namespace: {namespace}
    image: {image}
    n_workers: 2
    spot: true
    tolerations: [{{key: testbed/node, operator: Exists}}]
components: {{small: {{cpus: 1.1, memory: 1G}}}}
tasks: {{prepare: {{component: small}}}}
"""
WORKFLOW = """\
import time
from pathlib import Path
from scalable import ScalableSession

def prepare(x):
    print("preparing", x)
    return 2 * x

if __name__ == "__main__":
    with ScalableSession.from_yaml("./scalable.yaml") as client:
        print("RESULT", sum(client.gather(client.map(prepare, range(6), task="prepare"))), flush=True)
        if Path("stay").exists():
            Path("here").touch()
            time.sleep(600)
"""


@pytest.fixture(scope="session")
def authenticator():
    """Whom the API server asks whose a token is."""
    with Authenticator() as authenticator:
        yield authenticator


@pytest.fixture(scope="session")
def kubernetes(tmp_path_factory, authenticator):
    """A cluster whose second node is Spot."""
    programs = find_programs()
    if isinstance(programs, str):
        pytest.skip(programs)
    given = {"authenticator": authenticator.url, "labels": {"n2": SPOT}}
    with KubernetesCluster(tmp_path_factory.mktemp("gke"), programs, NODES, **given) as cluster:
        yield cluster


@pytest.fixture
def gke(google, kubernetes, authenticator):
    """The local Google Cloud with a cluster of Autopilot in it; ``describe`` says otherwise."""
    authenticator.whose = Gke(f"{google.url}/testbed/tokeninfo")
    authenticator.asked.clear()
    authenticator.refuse.clear()
    ca = base64.b64encode((kubernetes.pki / "ca.crt").read_bytes()).decode()
    said = {
        "name": "lab",
        "location": "us-central1",
        "status": "RUNNING",
        "endpoint": kubernetes.server.removeprefix("https://"),
        "masterAuth": {"clusterCaCertificate": ca},
        "autopilot": {"enabled": True},
        "workloadIdentityConfig": {"workloadPool": f"{PROJECT}.svc.id.goog"},
        "currentMasterVersion": "1.35.1-gke.1",
    }

    def describe(**more):
        google.tell("clusters", **{WHERE: {**said, **more}})

    google.describe = describe
    describe()
    return google


PLACE = Place(project=PROJECT, location="us-central1", cluster="lab")


def test_the_api_server_knows_who_has_the_token(gke, authenticator):
    """It is that of google-auth's default credentials, for which Google vouches."""
    api = Api(find_access(PLACE))

    assert api.get("/api")["kind"] == "APIVersions"
    assert authenticator.asked == [USER]


def test_a_token_that_is_refused_is_fetched_anew_once(gke, authenticator, monkeypatch):
    """As when it was taken back while it was still good."""
    api, tokens = Api(find_access(PLACE)), ["stale"]

    async def access_token(*, again=False):
        if again:
            tokens.append("driver")
        return tokens[-1]

    monkeypatch.setattr(client, "access_token", access_token)

    assert api.get("/api")["kind"] == "APIVersions"
    assert tokens == ["stale", "driver"]
    assert authenticator.asked[0] == "HTTP Error 400: Bad Request"


def test_without_credentials_there_is_one_sentence(monkeypatch):
    """With the command that gets some."""
    monkeypatch.setattr(client, "_background", None)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/key.json")

    with pytest.raises(ClusterError, match="there are no Google Cloud credentials") as caught:
        google_token(False)

    assert "gcloud auth application-default login" in caught.value.cure


def test_a_cluster_that_is_not_there_is_one_sentence(gke):
    """With the command that shows which there are."""
    with pytest.raises(ClusterError) as caught:
        find_access(evolve(PLACE, cluster="nowhere"))

    said = "there is no GKE cluster 'nowhere' in us-central1 of study-project"
    assert caught.value.message == said
    assert "gcloud container clusters list" in caught.value.cure


DNS = {"endpoint": "gke-1.us-central1.gke.goog", "allowExternalTraffic": True}
IP = {"endpoint": "34.1.2.3", "masterAuth": {"clusterCaCertificate": "CA"}}


@pytest.mark.parametrize(
    ("endpoint", "dns", "address"),
    [
        ("auto", DNS, ("https://gke-1.us-central1.gke.goog", None)),
        ("auto", {**DNS, "allowExternalTraffic": False}, ("https://34.1.2.3", "CA")),
        ("auto", {}, ("https://34.1.2.3", "CA")),
        ("ip", DNS, ("https://34.1.2.3", "CA")),
    ],
)
def test_the_open_dns_name_comes_before_the_address(endpoint, dns, address):
    """It needs no way into the network, and its certificate is one that every machine knows."""
    cluster = {**IP, "controlPlaneEndpointsConfig": {"dnsEndpointConfig": dns}}

    assert address_of(evolve(PLACE, endpoint=endpoint), cluster) == address


@pytest.mark.parametrize(
    ("endpoint", "cluster", "words"),
    [
        ("dns", IP, "has no DNS name that is open"),
        ("auto", {"status": "PROVISIONING"}, "is provisioning, and has no address"),
    ],
)
def test_a_cluster_without_an_address_is_one_sentence(endpoint, cluster, words):
    """With what can be done."""
    with pytest.raises(ClusterError, match=words) as caught:
        address_of(evolve(PLACE, endpoint=endpoint), cluster)

    assert caught.value.cure


def test_autopilot_makes_whole_sizes_and_what_it_makes_is_said():
    """As in the price; what fits is not spoken of."""
    group = WorkerGroup(name="model", cpus=1.1, memory=10 * GIB, threads=1, minimum=0, maximum=1)

    said = rounding(group)

    assert said.startswith("Autopilot makes 1.75 vCPU with 10G of the 1.1 vCPU with 10G of model")
    assert rounding(evolve(group, cpus=1.75)) is None


@pytest.mark.parametrize(
    ("said", "resources"),
    [
        ({}, {"limits": {"ephemeral-storage": "10Gi"}, "requests": {"ephemeral-storage": "10Gi"}}),
        (
            {"resources": {"limits": {"ephemeral-storage": "5Gi"}}},
            {"limits": {"ephemeral-storage": "5Gi"}, "requests": {"ephemeral-storage": "5Gi"}},
        ),
        ({"machine_type": "n2-standard-4"}, {}),
    ],
)
def test_pods_on_autopilot_ask_for_the_disk_that_is_paid(said, resources):
    """Otherwise they would have one GiB, and be ended at a limit that nobody has said."""
    options = GkeOptions(region="us-central1", **said)

    assert pod_options(options).resources == resources


@pytest.fixture
def folder(gke, kubernetes, tmp_path):
    """A project on a namespace of its own, in which the user has the printed Role."""
    namespace = kubernetes.make_namespace(f"t-{uuid.uuid4().hex[:8]}")
    folder = tmp_path / "study"
    folder.mkdir()
    digest = "sha256:" + "1" * 64
    gke.tell("images", **{"models/model:1": digest})
    image = f"us-central1-docker.pkg.dev/{PROJECT}/models/model:1"
    text = MANIFEST.format(namespace=namespace, image=image)
    (folder / "scalable.yaml").write_text(text)
    (folder / "workflow.py").write_text(WORKFLOW)
    return folder


def scalable(*words, cwd, code=0):
    """Run the command and return what it says."""
    done = subprocess.run(
        [SCALABLE, *words], cwd=cwd, capture_output=True, text=True, env=os.environ, timeout=200
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def runs_of(folder):
    """Return what status says of the runs."""
    return json.loads(scalable("status", "--json", cwd=folder))["runs"]


def bind(kubernetes, namespace, text, *, account=None):
    """Give a Role to the user, and to a service account that is made for it."""
    from ruamel.yaml import YAML

    where = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    document = json.loads(json.dumps(YAML(typ="safe").load(text)))
    kubernetes.ask("POST", f"{where}/roles", document)
    group = "rbac.authorization.k8s.io"
    subjects = [{"kind": "User", "name": USER, "apiGroup": group}]
    if account is not None:
        accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        kubernetes.ask("POST", accounts, {"metadata": {"name": account}})
        subjects.append({"kind": "ServiceAccount", "name": account, "namespace": namespace})
    kubernetes.ask("POST", f"{where}/rolebindings", {
        "metadata": {"name": "driver"},
        "subjects": subjects,
        "roleRef": {"kind": "Role", "name": document["metadata"]["name"], "apiGroup": group},
    })  # fmt: skip


def test_a_run_is_planned_checked_run_seen_and_ended_on_gke(gke, kubernetes, folder):
    """With the printed permissions, Spot nodes, a pinned image, and pods of the sizes that are paid."""
    plan = json.loads(scalable("plan", "--target", "there", "--json", cwd=folder))
    notes = [line["note"] for line in plan["cost"]["lines"] if line["item"] == "Compute"]
    assert "1.25 vCPU" in notes[0]
    assert "rounded up from 1.1 vCPU" in notes[0]

    words = ("doctor", "--target", "there")
    namespace = plan["target"]["options"]["namespace"]
    refused = scalable(*words, "--json", cwd=folder, code=3)
    assert f"rights in namespace {namespace} are missing" in refused
    policy, role = scalable(*words, "--print-policy", cwd=folder).split("\n---\n")
    assert "- container.clusters.get" in policy
    bind(kubernetes, namespace, role)
    checks = json.loads(scalable(*words, "--json", cwd=folder))["checks"]
    assert {each["status"] for each in checks} <= {"ok", "warning"}
    said = " ".join(each["detail"] for each in checks)
    assert "GKE cluster lab in us-central1, Autopilot, version 1.35.1-gke.1" in said
    assert "Autopilot makes 1.25 vCPU with 1.5G of the 1.1 vCPU with 1G of small" in said

    (folder / "stay").touch()
    with (folder / "log").open("wb") as log:
        driver = subprocess.Popen(
            [SCALABLE, "run", "--target", "there", "--yes"], cwd=folder, stdout=log, stderr=log
        )
    try:
        kubernetes.wait_for((folder / "here").exists, "the result", timeout=150)
        assert "RESULT 30" in (folder / "log").read_text()
        pods = kubernetes.pods(namespace)
        groups = [pod["metadata"]["labels"]["scalable-group"] for pod in pods]
        nodes = [pod["spec"]["nodeName"] for pod in pods]
        containers = [pod["spec"]["containers"][0] for pod in pods]
        assert sorted(zip(groups, nodes, strict=True)) == [
            ("scheduler", "n1"), ("small", "n2"), ("small", "n2"),
        ]  # fmt: skip
        requests = containers[groups.index("small")]["resources"]["requests"]
        assert (requests["cpu"], requests["memory"]) == ("1250m", str(3 * GIB // 2))
        assert {each["image"].partition("@")[2] for each in containers} == {"sha256:" + "1" * 64}
        (run,) = runs_of(folder)
        assert run["hourly"] > 0
        assert "preparing 3" in scalable("logs", run["run"], cwd=folder)
        driver.kill()
        driver.wait(30)
        scalable("down", "--all", "--yes", cwd=folder)
        assert kubernetes.pods(namespace) == []
        assert runs_of(folder) == []
    finally:
        driver.kill()
        driver.wait()


KINDS = (
    "api/v1/namespaces/{}/pods",
    "api/v1/namespaces/{}/secrets",
    "api/v1/namespaces/{}/services",
    "api/v1/namespaces/{}/configmaps",
    "apis/batch/v1/namespaces/{}/jobs",
    "apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
)


def left(kubernetes, namespace):
    """Return the names of all that a run could have left."""
    items = [
        i for kind in KINDS for i in kubernetes.ask("GET", f"/{kind.format(namespace)}")["items"]
    ]
    names = (item["metadata"]["name"] for item in items)
    return [name for name in names if name.startswith("scalable-")]


@pytest.fixture
def handed_over(gcs, kubernetes, folder):
    """Hands a run over and kills what has done so: run, namespace, folder elsewhere = handed_over()."""

    def handed_over(**options):
        manifest = folder / "scalable.yaml"
        more = {"driver_service_account": "driver", "pod_template": "pod.yaml", **options}
        lines = [f"{name}: {value}" for name, value in more.items()]
        text = manifest.read_text().replace("n_workers: 2", "\n    ".join(["n_workers: 2", *lines]))
        text = text.replace("{name: study}", '{name: study, default_storage: "gs://bucket/runs"}')
        slowly = WORKFLOW.replace("    return 2", "    time.sleep(0.3)\n    return 2")
        (folder / "workflow.py").write_text(slowly.replace("range(6)", "range(60)"))
        elsewhere = folder.with_name("elsewhere")
        elsewhere.mkdir()
        env = [{"name": "STORAGE_EMULATOR_HOST", "value": gcs.url}]
        for place in (folder, elsewhere):
            (place / "scalable.yaml").write_text(text)
            (place / "pod.yaml").write_text(json.dumps({"spec": {"containers": [{"env": env}]}}))
        namespace = re.search("namespace: (.*)", text)[1]
        bind(kubernetes, namespace, permissions.role(namespace), account="driver")
        words = [SCALABLE, "run", "--target", "there", "--detach", "--yes"]
        starter = subprocess.Popen(
            words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        run = starter.stdout.readline().strip()
        starter.kill()
        _, said = starter.communicate()
        assert run, said
        return run, namespace, elsewhere

    return handed_over


def test_a_detached_run_goes_on_when_what_started_it_is_killed(handed_over, kubernetes):
    """Another folder reads of it and watches its end; nothing is left, and no pod had Google's key."""
    run, namespace, elsewhere = handed_over()
    pods = []

    def works():
        pods[:] = kubernetes.pods(namespace)
        return len(pods) == 3 and "preparing 3" in scalable("logs", run, cwd=elsewhere)

    kubernetes.wait_for(works, "some calls", timeout=150)
    groups = {p["metadata"]["labels"]["scalable-group"]: p["spec"]["nodeName"] for p in pods}
    assert groups == {"driver": "n1", "small": "n2"}  # what must not go away is not on Spot
    assert "PRIVATE KEY" not in json.dumps(pods)
    assert [each["run"] for each in runs_of(elsewhere)] == [run]
    watched = scalable("attach", run, "--json", cwd=elsewhere)
    last = json.loads(watched.splitlines()[-1])
    assert (last["status"], last["tasks"]["done"]) == ("done", 60)
    kubernetes.wait_for(lambda: not left(kubernetes, namespace), "the end of all")
    assert "RESULT 3540" in scalable("logs", run, cwd=elsewhere)
    assert runs_of(elsewhere) == []


def test_a_run_whose_driver_cannot_begin_is_ended_without_waiting_for_it(handed_over, kubernetes):
    """Its image is not there, so that its pod waits for ever."""
    run, namespace, elsewhere = handed_over(driver_image="missing.invalid/model:1")

    def waits():
        statuses = [
            pod["status"].get("containerStatuses", []) for pod in kubernetes.pods(namespace)
        ]
        return "ImagePull" in str(statuses)

    kubernetes.wait_for(waits, "the pod of the driver")
    said = scalable("cancel", run, cwd=elsewhere)

    assert "nothing is left" in said
    assert left(kubernetes, namespace) == []
    assert runs_of(elsewhere) == []


def test_the_estimate_counts_the_pods_that_the_kit_makes():
    """The kit is not there where only Cloud Run is wanted, so both say it."""
    scheduler, driver = estimate._SCHEDULER_POD, estimate.DRIVER_POD

    assert (scheduler["vcpu"], scheduler["gib"]) == (
        pods.SCHEDULER_CPUS,
        pods.SCHEDULER_MEMORY / GIB,
    )
    assert (driver["vcpu"], driver["gib"]) == (pods.DRIVER_CPUS, pods.DRIVER_MEMORY / GIB)


def test_a_driver_is_started_and_released_by_the_clouds_own_way_in(gke, kubernetes, tmp_path):
    """A Job in the cluster that the target names, and from its record alone nothing of it any more."""
    namespace = kubernetes.make_namespace(f"t-{uuid.uuid4().hex[:8]}")
    bind(kubernetes, namespace, permissions.role(namespace))
    group = WorkerGroup(name="small", cpus=1.1, memory=GIB, threads=1, minimum=0, maximum=1)
    options = GkeOptions(
        region="us-central1", project_id=PROJECT, cluster="lab", namespace=namespace,
        image="model:1", driver_service_account="driver",
    )  # fmt: skip
    plan = Plan(
        project=Project(name="study"),
        target=Target(name="there", provider="gcp", cluster_type="gke", options=options),
        manifest="/nowhere/scalable.yaml", workflow="/nowhere/workflow.py", lock="sha256:0",
        groups=(group,), adaptive=False, minimum=1, maximum=1, detached=True,
        stores=Stores(records="/nowhere", artifacts="/nowhere", cache="/nowhere"),
    )  # fmt: skip
    bundle = BundleRef(place="gs://b", key="k", digest="sha256:0", size=1, files=1, command=("-m",))
    run = "run-20260101-000000-calm-heron-1c09"
    context = HookContext(project="study", run=run, workdir=tmp_path)

    record = gke_target.start_driver(plan, bundle, context, provider="gcp")

    jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    (job,) = kubernetes.ask("GET", jobs)["items"]
    assert job["spec"]["template"]["spec"]["serviceAccountName"] == "driver"
    assert place_of(record) == PLACE
    found = gke_target.find(plan.target, run, context)
    assert [each.kind for each in found] == ["kubernetes:configmap"]
    assert not gke_target.release(record, context).remaining
    assert kubernetes.ask("GET", jobs)["items"] == []
