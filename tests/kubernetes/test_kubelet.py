"""What a real kubelet with containerd says of pods: the same sentences as those that our stand-in leads to."""

from __future__ import annotations

import json

import pytest
from attrs import evolve
from kube_cluster import KubernetesCluster, find_programs
from kube_kubelet import IMAGE, SERVICES, KubeletNode, find_kubelet

from scalable_core.errors import ClusterError

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """A real node, which is the only one of its cluster."""
    programs, more = find_programs(), find_kubelet()
    for each in (programs, more):
        if isinstance(each, str):
            pytest.skip(each)
    folder = tmp_path_factory.mktemp("kubelet")
    with KubeletNode(folder / "node", more) as node:
        yield node


@pytest.fixture(scope="module")
def kubernetes(node, tmp_path_factory):
    """The cluster with the real node, for the fixtures of all tests here."""
    folder = tmp_path_factory.mktemp("kubernetes")
    with KubernetesCluster(folder, find_programs(), {}, services=SERVICES, silence=60) as cluster:
        node.join(cluster)
        yield cluster


@pytest.fixture
def plan(make_plan, node, tmp_path):
    """One worker of 0.5 CPUs and 1 GiB, in a container that has this machine's Python."""
    (tmp_path / "pod.yaml").write_text(json.dumps(node.template()))
    plan = make_plan(1, pod_template="pod.yaml")
    return evolve(plan, groups=tuple(evolve(g, cpus=0.5, image=IMAGE) for g in plan.groups))


def test_a_worker_that_takes_more_than_its_memory_is_ended_by_the_kernel_and_replaced(
    plan, start, wait_until
):
    """Its node says OOMKilled and 137, and the run says what that means; the next one does the work."""
    fleet, client = start(plan, workers=1)

    def take():
        return len(b"x" * 2**32)

    (victim,) = fleet.members("analysis")
    client.run(take, nanny=True, on_error="return")  # in the first process of the container
    (text,) = wait_until(lambda: fleet.sink.texts("worker.lost"))
    assert text.startswith(f"{victim} ended: it has used more memory than its pod may")
    assert "exit code 137" in text
    assert client.submit(abs, -2).result(timeout=200) == 2


def test_an_image_that_its_registry_does_not_have_ends_the_run_with_what_the_registry_says(
    plan, start, node, kubernetes, namespace
):
    """With its name, and nothing is left."""
    missing = f"{node.registry}/study/missing:1"
    groups = tuple(evolve(group, image=missing) for group in plan.groups)
    with pytest.raises(ClusterError, match=r"ImagePull.*not found") as caught:
        start(evolve(plan, groups=groups))
    assert missing in str(caught.value)
    assert kubernetes.pods(namespace) == []
