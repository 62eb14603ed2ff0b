"""What may stand in a target with ``provider: gcp``, one class for each kind of cluster.

The kinds share nearly all options, so that a target moves from one to another by its ``cluster_type`` alone;
what a kind has no use for is accepted and ignored. Bare numbers are vCPU and MiB.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from attrs import frozen

from scalable_core.types import FleetOptions, PodOptions, Secret, option


@frozen(kw_only=True)
class GcpOptions(FleetOptions):
    """Options of every `gcp` target."""

    region: str = option(help="Google Cloud region, such as us-central1.")
    project_id: str | None = option(
        default=None, help="Google Cloud project; that of the credentials when left out."
    )
    worker_cpu: float | None = option(
        default=None,
        quantity="cpus",
        unit=1.0,
        help="CPUs of components that set none; 4 means 4 vCPU.",
    )
    spot: bool = option(
        default=False, help="Buys workers as Spot, where the kind of cluster has it."
    )
    service_account: str | None = option(
        default=None, help="Service account that the work has, by its e-mail address."
    )
    network: str | None = option(default=None, help="VPC network; `default` when left out.")
    subnetwork: str | None = option(default=None, help="Subnetwork in the region, for all members.")
    zone: str | None = option(
        default=None, help="Zone of the scheduler's machine; any of the region."
    )
    machine_type: str | None = option(
        default=None, help="Machine type such as n2-standard-4; Cloud Run has no use for it."
    )


@frozen(kw_only=True)
class CloudRunOptions(GcpOptions):
    """Options of a `gcp` target on Cloud Run: containers without machines to look after."""

    transport: Literal["auto", "single", "vpc", "relay"] = option(
        default="auto",
        help="How members reach each other: in one instance, in a VPC, through a relay, or what works.",
    )
    public: bool = option(
        default=False, help="Gives the scheduler a public address, open to this machine alone."
    )
    scheduler_machine_type: str = option(
        default="e2-medium",
        help="Machine type of the scheduler, and of the driver of a detached run, where they have one.",
    )
    driver_service_account: str | None = option(
        default=None,
        help="Service account of a detached run's driver; service_account when left out.",
    )
    driver_image: str | None = option(
        default=None,
        help="Image with scalable for the driver of a detached run; the workers' when left out.",
    )


@frozen(kw_only=True)
class GkeOptions(PodOptions, GcpOptions):
    """Options of a `gcp` target on a Kubernetes cluster of GKE that exists already.

    Those about pods mean what they mean in a `kubernetes` target.
    """

    cluster: str | None = option(default=None, help="Name of the GKE cluster.")
    location: str | None = option(
        default=None,
        help="Where the cluster is, a region or a zone; `zone`, or else `region`, when left out.",
    )
    endpoint: Literal["auto", "dns", "ip"] = option(
        default="auto",
        help="By which address the cluster is asked: its DNS name where that is open, or its IP address.",
    )
    worker_service_account: str | None = option(
        default=None,
        help="Kubernetes service account that the work has; what Workload Identity grants it, the work has.",
    )
    env: Mapping[str, str | Secret] = option(
        factory=dict, help="Environment variables of every worker; a component's own come on top."
    )
    labels: Mapping[str, str] = option(factory=dict, help="Labels of everything created.")


#: The kinds of cluster, the default first.
CLUSTER_TYPES: dict[str, type[GcpOptions]] = {
    "cloud_run": CloudRunOptions,
    "gke": GkeOptions,
}
