"""How Google Cloud behaves that runs workers, as far as it decides how long they are there and are billed."""

from __future__ import annotations

from scalable_core.types import ServiceProfile, Target

#: Seconds from the request for a worker to its first call, the usual and the ninetieth percentile. Cloud Run
#: streams images, so most of it is Python and Dask; a machine of Compute Engine boots in 30 to 60 s and then
#: pulls the image; a node that GKE has to add joins its cluster besides. Assumed: no source measures workers.
_BOOT = {"cloud_run": (25.0, 60.0), "gce": (75.0, 150.0), "gke": (90.0, 240.0)}

#: How often Spot takes a worker away, for each hour that it is there: 10% of the machines in a day, the middle
#: of the 5 to 15% that are commonly given. Assumed: what is published is by machine type and zone.
_SPOT = 0.10 / 24


def service_profile(target: Target) -> ServiceProfile:
    """Return how soon the workers of a target are there, and how often one is taken away."""
    kind = target.cluster_type or "cloud_run"
    boot, high = _BOOT[kind]
    spot = target.options.spot and kind != "cloud_run"
    pods = kind == "gke" and not target.options.machine_type
    return ServiceProfile(
        boot=boot,
        boot_high=high,
        interruptions=_SPOT if spot else 0.0,
        billed_minimum=0.0 if pods else 60.0,  # Autopilot bills a pod's seconds, however few
        billed_step=1.0,
    )
