"""What may stand in a target with ``provider: gcp``, one class for each kind of cluster.

The kinds share nearly all options, so that a target moves from one to another by its ``cluster_type`` alone;
what a kind has no use for is accepted and ignored. Bare numbers are vCPU and MiB.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from attrs import frozen

from scalable_core.types import FleetOptions, Secret, option


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
class GkeOptions(GcpOptions):
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
    namespace: str = option(default="default", help="Kubernetes namespace.")
    worker_service_account: str | None = option(
        default=None,
        help="Kubernetes service account that the work has; what Workload Identity grants it, the work has.",
    )
    driver_service_account: str | None = option(
        default=None,
        help="Service account of the driver of a detached run, bound to the printed Role.",
    )
    driver_image: str | None = option(
        default=None,
        help="Image with scalable for the driver of a detached run; the workers' when left out.",
    )
    env: Mapping[str, str | Secret] = option(
        factory=dict, help="Environment variables of every worker; a component's own come on top."
    )
    node_selector: Mapping[str, str] = option(
        factory=dict, help="Labels that a worker's node must have, such as a compute class."
    )
    tolerations: tuple[Mapping[str, Any], ...] = option(
        default=(), help="Taints that workers bear, as in a pod."
    )
    resources: Mapping[str, Mapping[str, Any]] = option(
        factory=dict, help="More requests and limits of workers, as in a pod."
    )
    labels: Mapping[str, str] = option(factory=dict, help="Labels of everything created.")
    annotations: Mapping[str, str] = option(factory=dict, help="Annotations of the pods.")
    priority_class: str | None = option(default=None, help="Priority class of the pods.")
    image_pull_secrets: tuple[str, ...] = option(
        default=(), help="Secrets of the namespace with which images are pulled."
    )
    volumes: tuple[Mapping[str, Any], ...] = option(
        default=(), help="Volumes that component mounts can name, as in a pod."
    )
    pod_template: str | None = option(
        default=None,
        help="YAML file of a pod that is merged into every pod; relative to the manifest.",
    )
    schedule_timeout: float = option(
        default=600.0,
        quantity="duration",
        minimum=5,
        help="How long a pod may wait for a node; a cluster that adds nodes needs minutes.",
    )


#: The kinds of cluster, the default first.
CLUSTER_TYPES: dict[str, type[GcpOptions]] = {
    "cloud_run": CloudRunOptions,
    "gke": GkeOptions,
}
