"""The provider `acme` passes the conformance kit of Scalable."""

from __future__ import annotations

from scalable_core.testing.conformance import ClusterConformance, OfflineConformance


class TestAcmeOffline(OfflineConformance):
    """Nothing is created, and no socket opened."""

    provider = "acme"


class TestAcmeClusters(ClusterConformance):
    """Clusters that come, work and go."""

    provider = "acme"
