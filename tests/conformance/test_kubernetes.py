"""The `kubernetes` provider passes the conformance kit on a real control plane whose pods are processes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from scalable_core.testing.conformance import ClusterConformance

sys.path.insert(0, str(Path(__file__).parents[1] / "testbed" / "kubernetes"))

from kube_cluster import KubernetesCluster, find_programs


@pytest.mark.slow  # minutes: a control plane, and each pod is a process of its own
class TestKubernetesClusters(ClusterConformance):
    """Plain pods of any cluster."""

    provider = "kubernetes"
    kills = 4

    @pytest.fixture(autouse=True, scope="class")
    def service(self, request, local_aws, tmp_path_factory):
        """A namespace, and an image from a registry of this machine."""
        programs = find_programs()
        if isinstance(programs, str):
            pytest.skip(programs)
        nodes = {"n1": {"cpu": "64", "memory": "256Gi"}}
        folder = tmp_path_factory.mktemp("kubernetes")
        with KubernetesCluster(folder, programs, nodes) as cluster:
            request.cls.target = {
                "namespace": cluster.make_namespace("conformance"),
                "kubeconfig": str(cluster.kubeconfig("admin")),
                "image": local_aws.environment["SOLAR_IMAGE"],
            }
            yield
