"""The `kubernetes` provider passes the conformance kit on a real control plane."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from scalable_core.testing.conformance import ClusterConformance

sys.path.insert(0, str(Path(__file__).parents[1] / "testbed" / "kubernetes"))

from kube_cluster import KubernetesCluster, find_programs
from kube_registry import Registry

#: Workers are in one process, as there are many of them here, save where they need an environment of their own.
IN_PROCESS = {"testbed/in-process": "yes"}
APART = ("environment", "secrets")


class TestKubernetesClusters(ClusterConformance):
    """Plain pods of any cluster."""

    provider = "kubernetes"
    steps = "kubernetes_steps:count_requests"
    kills = 4

    @pytest.fixture(autouse=True, scope="class")
    def service(self, request, tmp_path_factory):
        """A namespace, and an image from a registry of this machine."""
        programs = find_programs()
        if isinstance(programs, str):
            pytest.skip(programs)
        nodes = {"n1": {"cpu": "64", "memory": "256Gi"}}
        folder = tmp_path_factory.mktemp("kubernetes")
        with KubernetesCluster(folder, programs, nodes) as cluster, Registry() as image:
            request.cls.bed = cluster
            request.cls.target = {
                "namespace": cluster.make_namespace("conformance"),
                "kubeconfig": str(cluster.kubeconfig("admin")),
                "image": image,
            }
            yield

    def setup_method(self, method):
        """Say where the workers of a check are."""
        if not any(word in method.__name__ for word in APART):
            self.target = {**self.target, "annotations": IN_PROCESS}
        super().setup_method()

    def lose_worker(self, client, address):
        """Delete its pod at once, as somebody with kubectl might."""
        name = client.scheduler_info(n_workers=-1)["workers"][address]["name"]
        path = f"/api/v1/namespaces/{self.target['namespace']}/pods/{name}"
        self.bed.ask("DELETE", path, {"gracePeriodSeconds": 0})
