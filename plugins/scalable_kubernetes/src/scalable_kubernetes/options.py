"""What may stand in a target with ``provider: kubernetes``. Bare numbers are vCPU and MiB."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from scalable_core.types import FleetOptions, Secret, option


@frozen(kw_only=True)
class Price:
    """What the cluster's owner charges, for the estimate."""

    vcpu_hour: float = option(minimum=0, help="USD for one vCPU for an hour.")
    gib_hour: float = option(minimum=0, help="USD for one GiB of memory for an hour.")


@frozen(kw_only=True)
class KubernetesOptions(FleetOptions):
    """Options of a `kubernetes` target: pods in one namespace of any cluster."""

    namespace: str = option(
        default="default", help="Namespace; rights in it are all that is needed."
    )
    context: str | None = option(
        default=None, help="Context of the kubeconfig; its current one when left out."
    )
    kubeconfig: str | None = option(
        default=None, help="Path of the kubeconfig; as kubectl finds it when left out."
    )
    worker_cpu: float | None = option(
        default=None, quantity="cpus", unit=1.0, help="CPUs of components that set none."
    )
    resources: Mapping[str, Mapping[str, Any]] = option(
        factory=dict,
        help="More requests and limits of workers, as in a pod: GPUs, ephemeral storage.",
    )
    spot: bool = option(
        default=False, help="Places workers on Spot nodes, as GKE and EKS label them."
    )
    spot_labels: Mapping[str, str] = option(
        factory=dict,
        help="Labels of Spot nodes, any of which will do; those of GKE, EKS, Karpenter and AKS when left out.",
    )
    spot_fallback: bool = option(
        default=True, help="Places workers on other nodes where there is no Spot node for them."
    )
    worker_service_account: str | None = option(
        default=None, help="Service account that the work has."
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
        factory=dict, help="Labels that a worker's node must have."
    )
    tolerations: tuple[Mapping[str, Any], ...] = option(
        default=(), help="Taints that workers bear, as in a pod."
    )
    affinity: Mapping[str, Any] = option(
        factory=dict, help="Affinity of workers to nodes and pods, as in a pod."
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
        default=300.0,
        quantity="duration",
        minimum=5,
        help="How long a pod may wait for a node; a cluster that adds nodes needs minutes.",
    )
    price: Price | None = option(
        default=None, help="What vCPU and memory cost here, for the estimate."
    )
