"""Targets on Kubernetes: read, checked without a cluster, and their bill named line by line."""

from __future__ import annotations

import pytest

from scalable_core.types import Secret
from scalable_core.types.units import GIB

KUBERNETES = {"provider": "kubernetes"}


def test_nothing_is_required_and_everything_known_is_taken(read):
    """Parts of a pod are taken as Kubernetes writes them."""
    toleration = {"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}
    options = read({
        **KUBERNETES, "namespace": "work", "context": "c", "kubeconfig": "~/.kube/config",
        "image": "model:1", "n_workers": 3, "worker_service_account": "worker", "worker_cpu": "500m",
        "worker_mem": 4096, "resources": {"limits": {"nvidia.com/gpu": 1}}, "env": {"A": "b"},
        "tolerations": [toleration], "node_selector": {"disk": "ssd"},
        "affinity": {"nodeAffinity": {"preferred": [{"weight": 1}]}}, "labels": {"team": "x"},
        "annotations": {"note": "a long text, with spaces"}, "priority_class": "low",
        "image_pull_secrets": ["registry"], "volumes": [{"name": "data", "hostPath": {"path": "/d"}}],
        "spot": True, "price": {"vcpu_hour": 0.03, "gib_hour": 0.004}, "pod_template": "pod.yaml",
    }).target.options  # fmt: skip

    assert (options.worker_cpu, options.worker_mem) == (0.5, 4 * GIB)
    assert dict(options.tolerations[0]) == toleration
    assert options.affinity["nodeAffinity"]["preferred"][0]["weight"] == 1
    assert options.price.vcpu_hour == 0.03
    assert read(KUBERNETES).target.options.namespace == "default"


def test_a_variable_in_env_stays_a_secret(read, monkeypatch, host, tmp_path):
    """Its text is the template, and its value only reaches the workers."""
    from scalable_core.manifest import read_manifest

    path = tmp_path / "scalable.yaml"
    path.write_text(
        "version: 1\nproject: {name: p}\ntargets:\n  k: {provider: kubernetes, env: {KEY: '${KEY}'}}\n"
    )
    manifest = read_manifest(path, options=host.options_lookup, environ={"KEY": "hunter2"})

    assert manifest.target.options.env["KEY"] == Secret("hunter2", template="${KEY}")


@pytest.mark.parametrize(
    ("options", "code", "where"),
    [
        ({"namespace": "My_Space"}, "E1301", "namespace"),
        ({"worker_service_account": "A B"}, "E1301", "worker_service_account"),
        ({"image_pull_secrets": ["ok", "-no"]}, "E1301", "image_pull_secrets.1"),
        ({"labels": {"-x": "y"}}, "E1302", "labels.-x"),
        ({"node_selector": {"disk": "a b"}}, "E1302", "node_selector.disk"),
        ({"worker_mem": 16}, "E1306", "worker_mem"),
        ({"resources": {"request": {}}}, "E1307", "resources.request"),
        ({"resources": {"limits": {"memory": "4Gi"}}}, "E1308", "resources.limits.memory"),
        ({"tolerations": [{"effect": "NoWork"}]}, "E1309", "tolerations.0.effect"),
        ({"volumes": [{"hostPath": {"path": "/d"}}]}, "E1310", "volumes.0"),
        ({"volumes": [{"name": "a", "hostPath": {}, "emptyDir": {}}]}, "E1310", "volumes.0"),
        ({"pod_template": "pod.yaml"}, "E1311", "pod_template"),
        ({"kubeconfig": "nowhere"}, "W1312", "kubeconfig"),
    ],
)
def test_a_rule_finds_what_breaks_it_and_nothing_else(found, options, code, where):
    """One problem with its code and place; a warning where another machine may be right."""
    (problem,) = found(**KUBERNETES, **options).values()

    assert (problem.code, problem.where) == (code, where)
    assert problem.severity == {"E": "error", "W": "warning"}[code[0]]


def test_what_is_right_is_let_be(found, tmp_path):
    """No rule speaks where nothing is wrong."""
    (tmp_path / "pod.yaml").write_text("spec: {}\n")

    assert (
        found(
            **KUBERNETES,
            pod_template="pod.yaml",
            labels={"app.kubernetes.io/name": "model", "empty": ""},
            annotations={"note": "a long text, with spaces"},
            resources={"limits": {"nvidia.com/gpu": 1}},
        )
        == {}
    )


def test_the_bill_has_a_line_for_all_that_runs(estimate):
    """Without a price, and without an amount."""
    answer = estimate({**KUBERNETES, "n_workers": 2}, cpus=4, memory="8G", gpus=1)

    assert answer.unpriced == (
        "Compute", "Memory", "GPUs", "Scheduler compute", "Scheduler memory",
    )  # fmt: skip
    assert answer.lines[0].note == "2 workers x 4 vCPU x 1h"
    assert answer.lines[0].unit_price is None
    assert answer.expected is None


def test_the_prices_of_the_target_are_the_bill(estimate):
    """Worker 4 vCPU x 0.03 + 8 x 0.004 = 0.152; scheduler 1 x 0.03 + 4 x 0.004 = 0.046; together 0.198."""
    prices = {"vcpu_hour": 0.03, "gib_hour": 0.004}
    answer = estimate({**KUBERNETES, "price": prices}, cpus=4, memory="8G")

    assert [line.unit_price for line in answer.lines] == [0.03, 0.004, 0.03, 0.004]
    assert answer.expected == pytest.approx(0.198)
    assert answer.unpriced == ()
