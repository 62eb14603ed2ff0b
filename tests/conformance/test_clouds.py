"""The clouds' providers pass the offline part of the conformance kit."""

from __future__ import annotations

from scalable_core.testing.conformance import OfflineConformance


class TestAwsOffline(OfflineConformance):
    """Fargate, the default kind of cluster."""

    provider = "aws"
    target = {"region": "us-east-1"}


class TestAwsEksOffline(OfflineConformance):
    """EKS."""

    provider = "aws"
    target = {"region": "us-east-1", "cluster_type": "eks", "cluster": "study"}


class TestAwsEc2Offline(OfflineConformance):
    """EC2."""

    provider = "aws"
    target = {"region": "us-east-1", "cluster_type": "ec2"}


class TestGcpOffline(OfflineConformance):
    """Cloud Run, the default kind of cluster."""

    provider = "gcp"
    target = {"region": "us-central1"}


class TestKubernetesOffline(OfflineConformance):
    """Any Kubernetes."""

    provider = "kubernetes"
