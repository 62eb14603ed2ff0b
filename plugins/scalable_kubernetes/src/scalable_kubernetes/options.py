"""What may stand in a target with ``provider: kubernetes``. Bare numbers are vCPU and MiB."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import fields, frozen

from scalable_core.types import FleetOptions, PodOptions, Secret, option


@frozen(kw_only=True)
class Price:
    """What the cluster's owner charges, for the estimate."""

    vcpu_hour: float = option(minimum=0, help="USD for one vCPU for an hour.")
    gib_hour: float = option(minimum=0, help="USD for one GiB of memory for an hour.")


@frozen(kw_only=True)
class KubernetesOptions(PodOptions, FleetOptions):
    """Options of a `kubernetes` target: pods in one namespace of any cluster."""

    context: str | None = option(
        default=None, help="Context of the kubeconfig; its current one when left out."
    )
    kubeconfig: str | None = option(
        default=None, help="Path of the kubeconfig; as kubectl finds it when left out."
    )
    worker_cpu: float | None = option(
        default=None, quantity="cpus", unit=1.0, help="CPUs of components that set none."
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
    env: Mapping[str, str | Secret] = option(
        factory=dict, help="Environment variables of every worker; a component's own come on top."
    )
    affinity: Mapping[str, Any] = option(
        factory=dict, help="Affinity of workers to nodes and pods, as in a pod."
    )
    labels: Mapping[str, str] = option(factory=dict, help="Labels of everything created.")
    schedule_timeout: float = option(
        default=300.0,
        quantity="duration",
        minimum=5,
        help="How long a pod may wait for a node; a cluster that adds nodes needs minutes.",
    )
    price: Price | None = option(
        default=None, help="What vCPU and memory cost here, for the estimate."
    )

    @classmethod
    def of(cls, options: Any, **others: Any) -> KubernetesOptions:
        """Take over what another provider's options say under the same names; ``others`` are set as given."""
        names = {each.name for each in fields(cls)} & {each.name for each in fields(type(options))}
        return cls(**{name: getattr(options, name) for name in names} | others)
