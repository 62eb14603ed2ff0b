"""Runs on EKS: what moto says of the cluster, tokens that are really checked, and a real API server."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "testbed" / "kubernetes"))

from kube_authenticator import Authenticator, Eks
from kube_cluster import KubernetesCluster, find_programs

from scalable_aws import eks_access, estimate
from scalable_aws.eks import pod_options, preflight
from scalable_aws.eks_access import Place, Tokens, find_access
from scalable_aws.options import EksOptions
from scalable_core.errors import ClusterError
from scalable_core.types import HookContext, Plan, Project, Stores, Target, WorkerGroup
from scalable_kubernetes import pods
from scalable_kubernetes.api import Api, ApiError
from scalable_kubernetes.permissions import role

SCALABLE = Path(sys.executable).with_name("scalable")
SPOT = {"eks.amazonaws.com/capacityType": "SPOT"}
NODES = {"n1": {"cpu": "64", "memory": "256Gi"}, "n2": {"cpu": "8", "memory": "16Gi"}}
MANIFEST = """\
version: 1
project: {{name: study, default_storage: "s3://{bucket}/runs"}}
targets:
  there:
    provider: aws
    cluster_type: eks
    region: us-east-1
    cluster: {cluster}
    namespace: {namespace}
    image: {image}
    n_workers: 2
    worker_service_account: worker
    environment: {{AWS_ENDPOINT_URL: {url}, AWS_REGION: us-east-1}}
components: {{small: {{cpus: 1, memory: 1G}}}}
tasks: {{prepare: {{component: small}}}}
"""
WORKFLOW = """\
import time
from pathlib import Path
from scalable import ScalableSession, store_artifact

def prepare(x):
    print("preparing", x)
    store_artifact(f"parts/{x}.json", {"x": x})
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
    with KubernetesCluster(tmp_path_factory.mktemp("eks"), programs, NODES, **given) as cluster:
        yield cluster


class Account:
    """A user of IAM, a cluster of EKS, and a namespace in it where the user may do nothing yet."""

    def __init__(self, bed, kubernetes):
        word = uuid.uuid4().hex[:8]
        self.bed, self.kubernetes, self.cluster = bed, kubernetes, f"lab-{word}"
        iam, eks = bed.client("iam"), bed.client("eks")
        self.arn = iam.create_user(UserName=f"ana-{word}")["User"]["Arn"]
        key = iam.create_access_key(UserName=f"ana-{word}")["AccessKey"]
        self.key, self.secret = key["AccessKeyId"], key["SecretAccessKey"]
        role = "arn:aws:iam::123456789012:role/eks"
        eks.create_cluster(name=self.cluster, roleArn=role, resourcesVpcConfig={})
        ca = base64.b64encode((kubernetes.pki / "ca.crt").read_bytes()).decode()
        bed.tell("eks", {"name": self.cluster, "endpoint": kubernetes.server, "ca": ca})
        self.namespace = kubernetes.make_namespace(f"t-{word}")

    def bind(self, role):
        """Give a Role to the user, and to the service account of drivers."""
        from ruamel.yaml import YAML

        where = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{self.namespace}"
        document = json.loads(json.dumps(YAML(typ="safe").load(role)))
        self.kubernetes.ask("POST", f"{where}/roles", document)
        group = "rbac.authorization.k8s.io"
        self.kubernetes.ask("POST", f"{where}/rolebindings", {
            "metadata": {"name": "ana"},
            "subjects": [
                {"kind": "User", "name": self.arn, "apiGroup": group},
                {"kind": "ServiceAccount", "name": "driver", "namespace": self.namespace},
            ],
            "roleRef": {"kind": "Role", "name": document["metadata"]["name"], "apiGroup": group},
        })  # fmt: skip

    def place(self):
        """Return the cluster as the product names it."""
        return Place(region="us-east-1", cluster=self.cluster)


@pytest.fixture
def eks(bed, kubernetes, authenticator, monkeypatch):
    """The account, whose user is this process's."""
    account = Account(bed, kubernetes)
    authenticator.whose = Eks(account.cluster, bed.url, {account.key: account.secret})
    authenticator.asked.clear()
    names = {"AWS_ACCESS_KEY_ID": account.key, "AWS_SECRET_ACCESS_KEY": account.secret}
    for name, value in {**bed.environment, **names}.items():
        monkeypatch.setenv(name, value)
    return account


def who(api):
    """Ask something that everybody may ask whom the server knows."""
    return api.get("/api")["kind"]


def test_a_token_is_signed_by_who_asks_and_for_one_cluster_alone(eks, authenticator):
    """The API server takes it for the user of IAM; another cluster's authenticator would refuse it."""
    token = Tokens(eks.place())(False)

    assert authenticator.whose(token) == eks.arn
    assert who(Api(find_access(eks.place()))) == "APIVersions"
    assert eks.arn in authenticator.asked
    other = Eks("another", eks.bed.url, {eks.key: eks.secret})
    with pytest.raises(Exception, match="for another cluster"):
        other(token)


def test_a_token_is_renewed_before_it_ends(eks, authenticator, monkeypatch):
    """So that a long run never asks with one that the cluster would refuse."""
    authenticator.whose.life = 4.0
    monkeypatch.setattr(eks_access, "RENEW", 1.0)
    api = Api(find_access(eks.place()))
    end = time.monotonic() + 5

    while time.monotonic() < end:
        who(api)
        time.sleep(0.7)

    assert set(authenticator.asked) == {eks.arn}


def test_a_token_that_is_refused_is_signed_anew_once(eks, authenticator):
    """As when the machine has slept, and the token with it."""
    access = find_access(eks.place())
    api = Api(access)
    who(api)
    authenticator.whose.life = 2.0
    end = time.monotonic() + 60
    while (
        "it is too old" not in authenticator.asked
    ):  # the server believes for a while what it knows
        assert time.monotonic() < end
        time.sleep(0.5)
        who(api)

    assert authenticator.asked[-2:] == ["it is too old", eks.arn]


def test_who_the_cluster_does_not_know_is_told_so(eks, authenticator):
    """A signature that is not the user's is nobody's."""
    authenticator.whose.secrets[eks.key] = "another"

    with pytest.raises(ApiError) as caught:
        who(Api(find_access(eks.place())))

    assert caught.value.status == 401
    assert set(authenticator.asked) == {"it was signed by somebody else, or for another cluster"}


def test_a_cluster_that_is_not_there_is_one_sentence(eks):
    """With the command that shows which there are."""
    with pytest.raises(ClusterError) as caught:
        find_access(Place(region="us-east-1", cluster="nowhere"))

    assert caught.value.message == "there is no EKS cluster 'nowhere' in us-east-1"
    assert caught.value.cure == "see which there are: aws eks list-clusters --region us-east-1"


@pytest.mark.parametrize(
    ("said", "spot", "fallback"),
    [
        ({}, False, False),
        ({"spot": True}, True, True),
        ({"capacity": "spot"}, True, False),
        ({"capacity": "spot_with_fallback"}, True, True),
    ],
)
def test_capacity_means_spot_nodes(said, spot, fallback):
    """As everywhere on AWS: with a way out, or without."""
    options = pod_options(EksOptions(region="us-east-1", cluster="lab", **said))

    assert options.spot is spot
    assert not spot or options.spot_fallback is fallback


def test_machines_are_labels_of_nodes():
    """Images are built for one kind of processor, and estimates are made for one type of instance."""
    options = EksOptions(
        region="us-east-1", architecture="arm64", instance_type="m7g.xlarge",
        node_selector={"team": "a"}, tags={"cost": "lab"}, environment={"A": "b"},
    )  # fmt: skip

    pods = pod_options(options)

    assert pods.node_selector == {
        "kubernetes.io/arch": "arm64",
        "node.kubernetes.io/instance-type": "m7g.xlarge",
        "team": "a",
    }
    assert (pods.labels, pods.env) == ({"cost": "lab"}, {"A": "b"})


@pytest.fixture
def folder(eks, tmp_path):
    """A project whose workers and drivers have roles of IAM, by their service accounts."""
    bucket = f"bucket-{uuid.uuid4().hex[:8]}"
    eks.bed.client("s3").create_bucket(Bucket=bucket)
    for name in ("worker", "driver"):
        role = {"eks.amazonaws.com/role-arn": f"arn:aws:iam::123456789012:role/{name}"}
        path = f"/api/v1/namespaces/{eks.namespace}/serviceaccounts"
        eks.kubernetes.ask("POST", path, {"metadata": {"name": name, "annotations": role}})
    folder = tmp_path / "study"
    folder.mkdir()
    image = eks.bed.environment["SOLAR_IMAGE"]
    (folder / "scalable.yaml").write_text(
        MANIFEST.format(
            bucket=bucket,
            cluster=eks.cluster,
            namespace=eks.namespace,
            image=image,
            url=eks.bed.url,
        )
    )
    (folder / "workflow.py").write_text(WORKFLOW)
    return folder


def scalable(*words, cwd, code=0):
    """Run the command and return what it says."""
    done = subprocess.run(
        [SCALABLE, *words], cwd=cwd, capture_output=True, text=True, env=os.environ, timeout=200
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def test_a_run_is_planned_checked_run_seen_and_ended_on_eks(eks, folder):
    """With the permissions that are printed, Spot nodes, and S3 by the role of the workers."""
    manifest = folder / "scalable.yaml"
    spot = "spot: true\n    tolerations: [{key: testbed/node, operator: Exists}]"
    manifest.write_text(manifest.read_text().replace("n_workers: 2", f"n_workers: 2\n    {spot}"))
    plan = json.loads(scalable("plan", "--target", "there", "--json", cwd=folder))
    assert "Cluster fee" in [line["item"] for line in plan["cost"]["lines"]]

    words = ("doctor", "--target", "there")
    refused = scalable(*words, "--json", cwd=folder, code=3)
    assert f"rights in namespace {eks.namespace} are missing" in refused
    policy, printed = scalable(*words, "--print-policy", cwd=folder).split("\n---\n")
    allowed = [each for s in json.loads(policy)["Statement"] for each in s["Action"]]
    assert "eks:DescribeCluster" in allowed
    eks.bind(printed)
    checks = json.loads(scalable(*words, "--json", cwd=folder))["checks"]
    assert {each["status"] for each in checks} <= {"ok", "warning"}
    assert {"credentials", "permissions", "cluster", "pods"} <= {each["name"] for each in checks}

    (folder / "stay").touch()
    with (folder / "log").open("wb") as log:
        driver = subprocess.Popen(
            [SCALABLE, "run", "--target", "there", "--yes"], cwd=folder, stdout=log, stderr=log
        )
    try:
        eks.kubernetes.wait_for((folder / "here").exists, "the result", timeout=150)
        assert "RESULT 30" in (folder / "log").read_text()
        nodes = {
            pod["metadata"]["labels"]["scalable-group"]: pod["spec"]["nodeName"]
            for pod in eks.kubernetes.pods(eks.namespace)
        }
        assert nodes == {"scheduler": "n1", "small": "n2"}
        kept = [call for call in eks.bed.get("calls") if "/parts/" in call["parameters"]]
        assert kept
        assert all(call["key"].startswith("ASIA") for call in kept)  # as the role gives them
        (run,) = json.loads(scalable("status", "--json", cwd=folder))["runs"]
        assert run["hourly"] > 0
        assert "preparing 3" in scalable("logs", run["run"], cwd=folder)
        names = scalable("artifacts", "ls", run["run"], cwd=folder)
        assert all(f"parts/{x}.json" in names for x in range(6))
        driver.kill()
        driver.wait(30)
        scalable("down", "--all", "--yes", cwd=folder)
        assert eks.kubernetes.pods(eks.namespace) == []
        assert json.loads(scalable("status", "--json", cwd=folder))["runs"] == []
    finally:
        driver.kill()
        driver.wait()


@pytest.mark.slow
def test_a_detached_run_on_eks_has_no_keys_of_aws_in_its_pods(eks, folder):
    """Its driver finds its own cluster by its pod, and S3 by its role; nothing is left in the end."""
    eks.bind(role(eks.namespace))
    manifest = folder / "scalable.yaml"
    more = "n_workers: 2\n    driver_service_account: driver\n    pod_template: pod.yaml"
    manifest.write_text(manifest.read_text().replace("n_workers: 2", more))
    env = [{"name": "AWS_ENDPOINT_URL", "value": eks.bed.url}]
    env.append({"name": "AWS_REGION", "value": "us-east-1"})
    (folder / "pod.yaml").write_text(json.dumps({"spec": {"containers": [{"env": env}]}}))
    items = json.loads(scalable("run", "--dry-run", "--detach", "--json", cwd=folder))["cost"][
        "lines"
    ]
    assert {"Driver compute", "Driver memory"} <= {line["item"] for line in items}

    run = scalable("run", "--target", "there", "--detach", "--yes", cwd=folder).strip()
    seen = []

    def is_over():
        seen.extend(eks.kubernetes.pods(eks.namespace))
        names = {pod["metadata"]["labels"]["scalable-group"] for pod in seen}
        return "driver" in names and not eks.kubernetes.pods(eks.namespace)

    eks.kubernetes.wait_for(is_over, "the end", timeout=150)
    assert eks.secret not in json.dumps(seen)
    said = scalable("logs", run, cwd=folder)
    assert "RESULT 30" in said, said
    status = scalable("status", "--json", cwd=folder)
    assert json.loads(status)["runs"] == [], status
    kept = [call["key"] for call in eks.bed.get("calls") if f"/.runs/{run}/" in call["parameters"]]
    assert any(key.startswith("ASIA") for key in kept)


def test_the_estimate_counts_the_pods_that_the_kit_makes():
    """The kit is not there where only Fargate is wanted, so both say it."""
    gib = 2**30

    assert estimate.SCHEDULER_CPUS == pods.SCHEDULER_CPUS
    assert estimate.SCHEDULER_GIB * gib == pods.SCHEDULER_MEMORY
    assert (estimate.DRIVER_CPUS, estimate.DRIVER_GIB * gib) == (
        pods.DRIVER_CPUS,
        pods.DRIVER_MEMORY,
    )


@pytest.mark.parametrize(
    ("change", "cure"),
    [
        ("secret", "let it in: aws eks create-access-entry --cluster-name"),
        ("endpoint", "its endpoint may be private"),
    ],
)
def test_a_cluster_that_lets_nobody_in_is_one_sentence_with_its_cure(
    eks, authenticator, tmp_path, change, cure
):
    """Before anything is created, and beside what AWS has said."""
    if change == "secret":
        authenticator.whose.secrets[eks.key] = "another"
    else:
        eks.bed.tell("eks", {"name": eks.cluster, "endpoint": "https://127.0.0.1:9", "ca": ""})
    options = EksOptions(region="us-east-1", cluster=eks.cluster, image="model:1")
    group = WorkerGroup(
        name="small", cpus=1.0, memory=2**30, threads=1, minimum=0, maximum=1, image="model:1"
    )
    plan = Plan(
        project=Project(name="study"),
        target=Target(name="there", provider="aws", cluster_type="eks", options=options),
        manifest="/nowhere/scalable.yaml", workflow="/nowhere/workflow.py", lock="sha256:0",
        groups=(group,), adaptive=False, minimum=1, maximum=1,
        stores=Stores(records="/nowhere", artifacts="/nowhere", cache="/nowhere"),
    )  # fmt: skip

    found = preflight(plan, HookContext(project="study", workdir=tmp_path))

    failed = [each for each in found if each.severity == "error"]
    assert [each.code for each in failed] == ["E1321"]
    assert failed[0].cure.startswith(cure)
    assert "I1162" in [each.code for each in found]
