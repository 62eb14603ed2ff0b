"""Targets with ``cluster_type: gke``: pods as on every Kubernetes, by the kit of scalable-kubernetes.

It is imported only where somebody asks for GKE: scalable-gcp alone does without that kit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import evolve

from scalable_core.types import (
    ClusterRecord,
    HookContext,
    Plan,
    Policy,
    Problem,
    Target,
    WorkerGroup,
)
from scalable_core.types.units import GIB, format_size
from scalable_gcp.estimate import POD_DISK, pod_size
from scalable_gcp.gke_access import Place, find_access
from scalable_gcp.options import GkeOptions
from scalable_kubernetes.managed import Managed
from scalable_kubernetes.options import KubernetesOptions

#: The label that nodes of a machine type have.
MACHINE_TYPE = "node.kubernetes.io/instance-type"
#: Spot nodes; those of Autopilot have a taint of the same name, and others may.
SPOT = {"cloud.google.com/gke-spot": "true"}


def pod_options(options: GkeOptions) -> KubernetesOptions:
    """Return what a target says of its pods, in the words of the kit.

    Without a machine type the nodes are Autopilot's, as in the estimate: what a pod does not ask for, it does
    not get there.
    """
    machines = {} if options.machine_type is None else {MACHINE_TYPE: options.machine_type}
    resources: Mapping[str, Mapping[str, Any]] = options.resources
    if options.machine_type is None:
        disk = {"ephemeral-storage": f"{POD_DISK:g}Gi"}
        resources = {
            key: {**disk, **resources.get("limits", {}), **resources.get(key, {})}
            for key in ("limits", "requests")
        }
    node_selector = {**machines, **options.node_selector}
    return KubernetesOptions.of(
        options, spot_labels=SPOT, resources=resources, node_selector=node_selector
    )


def rounded(plan: Plan) -> Plan:
    """Return a plan whose workers are as large as Autopilot makes them, so that they use what is paid."""
    if plan.target.options.machine_type is not None:
        return plan
    return evolve(plan, groups=tuple(map(_rounded, plan.groups)))


def rounding(group: WorkerGroup) -> str | None:
    """Return what Autopilot makes of a worker, as a sentence; None when it takes it as it is."""
    size = _rounded(group)
    if (size.cpus, size.memory) == (group.cpus, group.memory):
        return None
    memory = f" with {format_size(group.memory)}" if group.memory else ""
    return (
        f"Autopilot makes {size.cpus:g} vCPU with {format_size(size.memory or 0)} of the {group.cpus:g} vCPU"
        f"{memory} of {group.name}, and bills them"
    )


def _rounded(group: WorkerGroup) -> WorkerGroup:
    cpus, gib = pod_size(group.cpus, None if group.memory is None else group.memory / GIB)
    return evolve(group, cpus=cpus, memory=round(gib * GIB))


def target_problems(target: Target, context: HookContext) -> Iterator[Problem]:
    """Yield what the kit finds wrong in a target."""
    from scalable_kubernetes.checks import target_problems

    pods = evolve(target, options=pod_options(target.options))
    yield from target_problems(pods, context.workdir)


def preflight(plan: Plan, context: HookContext) -> list[Problem]:
    """Ask Google who we are and where the cluster is, and the cluster what it thinks of the plan."""
    from scalable_gcp.gke_preflight import look

    return look(plan, context)


def required_permissions(plan: Plan, *, provider: str) -> Policy:
    """Say what Google Cloud and the cluster must allow."""
    from scalable_gcp.gke_preflight import policies

    return policies(plan, provider=provider)


def place_of(record: ClusterRecord) -> Place:
    """Return the cluster that a record names."""
    data = record.data
    return Place(
        project=data["project_id"],
        location=data["location"] or data.get("zone") or data["region"],
        cluster=data["cluster"],
        endpoint=data["endpoint"],
    )


_CLUSTER = Managed(
    pod_options=pod_options,
    place_in=Place.of,
    place_of=place_of,
    find_access=find_access,
    sized=rounded,
)
provision, start_driver, release = _CLUSTER.provision, _CLUSTER.start_driver, _CLUSTER.release
find, read_logs = _CLUSTER.find, _CLUSTER.read_logs
