"""How AWS behaves that runs workers, as far as it decides how long they are there and are billed."""

from __future__ import annotations

from scalable_core.types import ServiceProfile, Target

#: Seconds from the request for a worker to its first call, the usual and the ninetieth percentile: an image of
#: 0.4 GB needs 53 to 62 s from CreateTask to start on Fargate (elasticscale.com, 2024-04), and Python with
#: Dask a few more; a larger image takes up to 3 min. An instance boots about as long and then pulls the same
#: image; one that a Kubernetes cluster has to add comes later still.
_BOOT = {"fargate": (65.0, 120.0), "ec2": (75.0, 150.0), "eks": (90.0, 240.0)}

#: How often Spot takes a worker away, for each hour that it is there: the middle of the five bands of the EC2
#: Spot Instance Advisor, 10 to 15% of the instances in a month of 730 h. Nothing is published for Fargate.
_SPOT = 0.125 / 730

#: Seconds; each launch is rounded up to a second.
_SHORTEST = 60.0


def service_profile(target: Target) -> ServiceProfile:
    """Return how soon the workers of a target are there, and how often one is taken away."""
    kind = target.cluster_type or "fargate"
    boot, high = _BOOT[kind]
    options = target.options
    spot = bool(options.spot) if options.capacity is None else options.capacity != "on-demand"
    if kind == "eks" and not options.instance_type:
        spot = False  # pods on Fargate, which EKS has not as Spot
    return ServiceProfile(
        boot=boot,
        boot_high=high,
        interruptions=_SPOT if spot else 0.0,
        billed_minimum=_SHORTEST,
        billed_step=1.0,
    )
