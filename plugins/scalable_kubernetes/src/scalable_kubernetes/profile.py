"""How a Kubernetes cluster behaves that runs workers, as far as it decides how long they are there."""

from __future__ import annotations

from scalable_core.types import ServiceProfile, Target

#: Seconds from the request for a pod to its first call: on a node that is there, where the image is or is
#: pulled; at the ninetieth percentile the cluster has to add a node first. Assumed: every cluster differs.
_BOOT, _BOOT_HIGH = 30.0, 180.0

#: How often a Spot node goes, for each hour that it is there: 10% of them in a day. Assumed, as above.
_SPOT = 0.10 / 24


def service_profile(target: Target) -> ServiceProfile:
    """Return how soon the pods of a target are there, and how often one is taken away."""
    return ServiceProfile(
        boot=_BOOT, boot_high=_BOOT_HIGH, interruptions=_SPOT if target.options.spot else 0.0
    )
