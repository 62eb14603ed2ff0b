"""The conformance kit: subclass it, name your provider, and inherit the checks that our own providers pass.

    from scalable_core.testing.conformance import OfflineConformance

    class TestAcme(OfflineConformance):
        provider = "acme"
        target = {"site": "north"}

`OfflineConformance` creates nothing and opens no socket, `ArtifactConformance` stores, `ClusterConformance`
provisions and releases; `ProviderConformance` is all of them. A check that does not hold is overridden with
``@pytest.mark.xfail(reason=...)`` and in no other way: what is silently left out is itself a failure.

The checks are plain methods that raise `AssertionError` with one sentence, so that
``scalable plugins check NAME`` runs them without pytest.
"""

from __future__ import annotations

from scalable_core.testing.conformance.artifacts import ArtifactChecks
from scalable_core.testing.conformance.base import Conformance
from scalable_core.testing.conformance.cluster import ClusterChecks
from scalable_core.testing.conformance.estimate import EstimateChecks
from scalable_core.testing.conformance.images import ImageChecks
from scalable_core.testing.conformance.loading import LoadingChecks
from scalable_core.testing.conformance.losses import LossChecks
from scalable_core.testing.conformance.options import OptionChecks
from scalable_core.testing.conformance.planning import PlanningChecks
from scalable_core.testing.conformance.release import ReleaseChecks
from scalable_core.testing.conformance.storage import StorageChecks

__all__ = [
    "ArtifactConformance",
    "ClusterConformance",
    "Conformance",
    "OfflineConformance",
    "ProviderConformance",
]


class OfflineConformance(LoadingChecks, OptionChecks, PlanningChecks, EstimateChecks, ImageChecks):
    """What can be known of a provider without its service: nothing is created, no socket opened."""


class ArtifactConformance(ArtifactChecks, StorageChecks):
    """What a provider stores and gives back; needs `Conformance.artifact_place`."""


class ClusterConformance(ClusterChecks, LossChecks, ReleaseChecks):
    """Clusters that come, work and go: on the service itself, or on a testbed of it."""


class ProviderConformance(OfflineConformance, ArtifactConformance, ClusterConformance):
    """All of it, for a provider that needs nothing but this machine, or whose testbed is always there."""
