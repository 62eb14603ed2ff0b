"""The objects of a run, without a cluster: current schemas take them, and options are where they belong."""

from __future__ import annotations

import re

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from scalable_core.cluster.launcher import Limits, MemberGroup
from scalable_core.errors import UsageError
from scalable_core.types import Plan, Project, Stores, Target, WorkerGroup
from scalable_kubernetes import builders
from scalable_kubernetes.builders import Scene, label_value, pod_name, slug, stem
from scalable_kubernetes.estimate import cost_estimate
from scalable_kubernetes.hourly import by_estimate, by_prices
from scalable_kubernetes.mounts import mount_volumes
from scalable_kubernetes.options import KubernetesOptions, Price
from scalable_kubernetes.permissions import role
from scalable_kubernetes.pods import Order, pod

SCENE = Scene(
    namespace="work", run="run-20260101-000000-calm-heron-1c09", project="study",
    labels={"team": "x"}, owner="b0c3", inside=True,
)  # fmt: skip
OPTIONS = KubernetesOptions(
    image="model:1", spot=True, node_selector={"disk": "ssd"}, priority_class="low",
    tolerations=({"key": "gpu", "operator": "Exists"},), image_pull_secrets=("registry",),
    annotations={"note": "a text"}, worker_service_account="worker",
    resources={"limits": {"ephemeral-storage": "20Gi"}},
    volumes=({"name": "data", "persistentVolumeClaim": {"claimName": "climate"}},),
)  # fmt: skip
WORKER = MemberGroup(
    name="analysis", cpus=2.0, memory=4 * 2**30, gpus=1,
    mounts={"volume:data/2026": "/data:ro", "/scratch": "/s", "configmap:settings": "/etc/model"},
)  # fmt: skip
SCHEDULER = MemberGroup(name="scheduler", role="scheduler", image="model:1")


def order(**more):
    """What pods are made from."""
    given = {
        "scene": SCENE, "options": OPTIONS, "limits": Limits(), "scheduler": "tls://10.0.0.7:8786",
        "programs": {"worker": "work()", "scheduler": "schedule()"},
    }  # fmt: skip
    return Order(**{**given, **more})


def everything():
    """Each object that a run can have."""
    return [
        builders.owner(SCENE), builders.secret(SCENE, {"run": "{}", "group/a": "{}"}),
        builders.service(SCENE), builders.network_policy(SCENE),
        builders.disruption_budget(SCENE, "v1"), pod(order(), WORKER, "analysis-0", spot=True),
        pod(order(), SCHEDULER, "scheduler-0", spot=False),
    ]  # fmt: skip


@pytest.mark.parametrize("document", everything(), ids=lambda each: each["kind"])
def test_a_current_schema_takes_every_object(document):
    """Strictly: no field that Kubernetes does not know, none of the wrong type."""
    validate = pytest.importorskip("kubernetes_validate")
    newest = validate.latest_version()
    assert tuple(map(int, newest.split("."))) > (1, 30)
    validate.validate(document, newest, strict=True)


def test_the_printed_role_is_one_that_a_current_schema_takes():
    """It is YAML with comments, and every right has its reason."""
    from ruamel.yaml import YAML

    validate = pytest.importorskip("kubernetes_validate")
    document = YAML(typ="safe").load(role("work"))
    validate.validate(document, validate.latest_version(), strict=True)
    assert document["metadata"] == {"name": "scalable", "namespace": "work"}
    assert "*" not in role("work")


def test_everything_of_a_run_has_its_labels_and_its_owner():
    """So that one deletion, or one selector, is enough."""
    for document in everything():
        meta = document["metadata"]
        assert meta["labels"].items() >= {**SCENE.selector, "team": "x"}.items()
        assert meta["ownerReferences"][0]["uid"] == "b0c3"
        assert meta["namespace"] == "work"


def test_a_worker_gets_what_the_target_and_its_component_say():
    """Its size is request and limit; a Spot node of any cloud will do; it ends by itself."""
    spec = pod(order(), WORKER, "analysis-0", spot=True)["spec"]
    (container,) = spec["containers"]

    amounts = {"cpu": "2000m", "memory": str(4 * 2**30)}
    assert container["resources"]["requests"] == amounts
    more = {"nvidia.com/gpu": "1", "ephemeral-storage": "20Gi"}
    assert container["resources"]["limits"] == {**amounts, **more}
    assert spec["activeDeadlineSeconds"] == Limits().lifetime + 60
    assert spec["terminationGracePeriodSeconds"] > Limits().grace
    assert spec["serviceAccountName"] == "worker"
    assert spec["priorityClassName"] == "low"
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert {"key": "gpu", "operator": "Exists"} in spec["tolerations"]
    key = "requiredDuringSchedulingIgnoredDuringExecution"
    terms = spec["affinity"]["nodeAffinity"][key]["nodeSelectorTerms"]
    labels = [term["matchExpressions"][0]["key"] for term in terms]
    assert "cloud.google.com/gke-spot" in labels
    assert "karpenter.sh/capacity-type" in labels
    scratch = next(v for v in spec["volumes"] if v["name"] == "scratch")
    assert scratch["emptyDir"] == {"sizeLimit": "20Gi"}


def test_labels_of_spot_nodes_that_are_named_are_the_only_ones():
    """One is a selector, several are alternatives; whoever is not to be on Spot keeps off, if there is room."""
    validate = pytest.importorskip("kubernetes_validate")
    one = evolve(OPTIONS, spot_labels={"cloud.google.com/gke-spot": "true"})
    two = {"eks.amazonaws.com/capacityType": "SPOT", "karpenter.sh/capacity-type": "spot"}
    several = evolve(OPTIONS, spot_labels=two, node_selector={"kubernetes.io/arch": "arm64"})

    spec = pod(order(options=one), WORKER, "analysis-0", spot=True)["spec"]
    spot = pod(order(options=several), WORKER, "analysis-0", spot=True)
    plain = pod(order(options=several), WORKER, "analysis-0", spot=False)
    scheduler = pod(order(options=several), SCHEDULER, "scheduler-0", spot=False)

    assert spec["nodeSelector"] == {"disk": "ssd", "cloud.google.com/gke-spot": "true"}
    assert "affinity" not in spec
    must = "requiredDuringSchedulingIgnoredDuringExecution"
    terms = spot["spec"]["affinity"]["nodeAffinity"][must]["nodeSelectorTerms"]
    assert [term["matchExpressions"][0]["key"] for term in terms] == list(two)
    rather = "preferredDuringSchedulingIgnoredDuringExecution"
    for each in (plain, scheduler):
        (wish,) = each["spec"]["affinity"]["nodeAffinity"][rather]
        none = wish["preference"]["matchExpressions"]
        assert [(e["key"], e["operator"]) for e in none] == [(key, "NotIn") for key in two]
        assert each["spec"]["nodeSelector"] == {"kubernetes.io/arch": "arm64"}
        validate.validate(each, "1.37", strict=True)


def test_the_scheduler_stays_where_it_is():
    """On no Spot node, without the workers' identity, and nobody moves it."""
    document = pod(order(), SCHEDULER, "scheduler-0", spot=False)
    budget = builders.disruption_budget(SCENE, "v1")["spec"]

    assert "affinity" not in document["spec"]
    assert document["spec"]["automountServiceAccountToken"] is False
    kept = "cluster-autoscaler.kubernetes.io/safe-to-evict"
    assert document["metadata"]["annotations"][kept] == "false"
    assert budget["selector"]["matchLabels"].items() <= document["metadata"]["labels"].items()
    assert budget["minAvailable"] == 1
    ports = document["spec"]["containers"][0]["ports"]
    assert all(port["name"].startswith("tcp-") for port in ports)


def test_only_pods_of_the_run_reach_pods_of_the_run():
    """The rule names the run alone; a driver inside reaches one port besides."""
    spec = builders.network_policy(SCENE)["spec"]
    alone = builders.network_policy(evolve(SCENE, inside=False))["spec"]

    assert spec["podSelector"]["matchLabels"] == SCENE.selector
    assert alone["ingress"] == [{"from": [{"podSelector": {"matchLabels": SCENE.selector}}]}]
    assert [port["port"] for port in spec["ingress"][1]["ports"]] == [8786]


def test_a_template_is_merged_and_what_makes_a_pod_ours_stays():
    """Named things join by name, others are added; command, names and owner are not to be had."""
    template = {
        "metadata": {"labels": {"scalable-run": "other", "cost": "a"}, "name": "mine"},
        "spec": {
            "restartPolicy": "Always",
            "securityContext": {"runAsUser": 1000},
            "containers": [
                {"command": ["sh"], "env": [{"name": "HTTP_PROXY", "value": "http://proxy"}]},
                {"name": "logger", "image": "logger:1"},
            ],
        },
    }
    document = pod(order(template=template), WORKER, "analysis-0", spot=False)
    plain = pod(order(), WORKER, "analysis-0", spot=False)
    ours, logger = document["spec"]["containers"]

    assert document["metadata"]["name"] == plain["metadata"]["name"]
    assert document["metadata"]["labels"] == {**plain["metadata"]["labels"], "cost": "a"}
    assert document["spec"]["restartPolicy"] == "Never"
    assert document["spec"]["securityContext"] == {"runAsUser": 1000}
    assert ours["command"] == plain["spec"]["containers"][0]["command"]
    assert {"name": "HTTP_PROXY", "value": "http://proxy"} in ours["env"]
    assert {each["name"] for each in ours["env"]} > {"POD_IP", "SCALABLE_SCHEDULER"}
    assert logger["image"] == "logger:1"


def test_a_mount_says_of_which_kind_it_is():
    """Folders of nodes, claims, ConfigMaps, Secrets, and the target's own volumes."""
    data = {"name": "data", "emptyDir": {}}
    volumes, places = mount_volumes(
        {"pvc:climate/2026": "/data:ro", "secret:licence": "/etc/licence", "volume:data": "/d"},
        [data],
    )
    claim, licence, own = volumes
    assert claim["persistentVolumeClaim"] == {"claimName": "climate"}
    assert licence["secret"] == {"secretName": "licence"}
    assert own == data
    assert places[0] == {
        "name": claim["name"], "mountPath": "/data", "subPath": "2026", "readOnly": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("source", "place", "words"),
    [
        ("./data", "/data", "nodes do not have the folders of this machine"),
        ("volume:none", "/data", "the target does not have"),
        ("pvc:", "/data", "means nothing on Kubernetes"),
        ("/data", "data", "no absolute path in a container"),
    ],
)
def test_a_mount_that_means_nothing_is_refused_with_what_to_write(source, place, words):
    """Each with a cure."""
    with pytest.raises(UsageError, match=words) as caught:
        mount_volumes({source: place}, [])
    assert caught.value.cure


@given(st.text(max_size=80), st.text(max_size=80))
def test_names_and_labels_are_allowed_whatever_a_project_is_called(run, group):
    """And two groups of a run never share a name because theirs were cleaned; a short name finds the whole."""
    name = f"{stem(run, group)}-12345"
    assert pod_name(run, f"{group}-12345") == name
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", name)
    assert len(f"scalable-{slug(run)}") <= 63
    assert len(name) <= 63
    assert re.fullmatch(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?", label_value(group))
    assert len(label_value(group)) <= 63
    if group != "x":
        assert stem(run, group) != stem(run, "x")
    assert pod_name(run, "scheduler") == f"{stem(run, 'scheduler')}-0"


def test_the_hour_of_a_pod_is_what_the_estimate_says_of_its_component():
    """The same as the target's own prices give; what has a line without a price is not known."""
    options = KubernetesOptions(price=Price(vcpu_hour=0.04, gib_hour=0.005))
    worker = WorkerGroup(
        name="analysis", cpus=4.0, memory=8 * 2**30, threads=4, minimum=0, maximum=2, image="x"
    )
    plan = Plan(
        project=Project(name="study"),
        target=Target(name="there", provider="kubernetes", options=options),
        manifest="/nowhere/scalable.yaml", workflow="/nowhere/workflow.py", lock="sha256:0",
        groups=(worker, evolve(worker, name="trainer", gpus=1)),
        adaptive=False, minimum=3, maximum=3,
        stores=Stores(records="/nowhere", artifacts="/nowhere", cache="/nowhere"),
    )  # fmt: skip
    found = by_estimate(evolve(plan, cost=cost_estimate(plan, provider="kubernetes")))

    member = MemberGroup(name="analysis", cpus=4.0, memory=8 * 2**30)
    assert set(found) == {"analysis", "scheduler"}
    assert found["analysis"] == pytest.approx(by_prices(options, member)) == pytest.approx(0.2)
    assert found["scheduler"] == pytest.approx(by_prices(options, SCHEDULER))
    assert by_estimate(plan) == {}
