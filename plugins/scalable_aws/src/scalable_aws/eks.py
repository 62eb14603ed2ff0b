"""Targets with ``cluster_type: eks``: pods as on every Kubernetes, by the kit of scalable-kubernetes.

It is imported only where somebody asks for EKS: scalable-aws alone does without that kit.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import evolve

from scalable_aws.eks_access import Place, find_access
from scalable_aws.options import EksOptions
from scalable_core.types import (
    ClusterRecord,
    HookContext,
    Plan,
    Policy,
    Problem,
    Target,
)
from scalable_kubernetes.managed import Managed
from scalable_kubernetes.options import KubernetesOptions

#: Labels that all nodes have, for what is said of machines.
ARCHITECTURE, INSTANCE_TYPE = "kubernetes.io/arch", "node.kubernetes.io/instance-type"
#: Spot nodes of managed groups, and of Karpenter. They have no taint, so others are asked to keep off.
SPOT = {"eks.amazonaws.com/capacityType": "SPOT", "karpenter.sh/capacity-type": "spot"}
#: The kit's code for a slip in worker_mem, which this plugin has found before.
_LITTLE_MEMORY = "E1306"
#: The kit's names of options that have another name here.
_NAMES = {"env": "environment", "labels": "tags"}


def pod_options(options: EksOptions) -> KubernetesOptions:
    """Return what a target says of its pods, in the words of the kit."""
    machines = {ARCHITECTURE: "arm64" if options.architecture == "arm64" else "amd64"}
    if options.instance_type is not None:
        machines[INSTANCE_TYPE] = options.instance_type
    capacity = options.capacity or ("spot_with_fallback" if options.spot else "on-demand")
    return KubernetesOptions.of(
        options,
        spot=capacity != "on-demand",
        spot_labels=SPOT,
        spot_fallback=capacity == "spot_with_fallback",
        env=options.environment,
        labels=options.tags,
        node_selector={**machines, **options.node_selector},
    )


def target_problems(target: Target, context: HookContext) -> Iterator[Problem]:
    """Yield what the kit finds wrong in a target, under the names that its options have here."""
    from scalable_kubernetes.checks import target_problems

    pods = evolve(target, options=pod_options(target.options))
    for problem in target_problems(pods, context.workdir):
        if problem.code != _LITTLE_MEMORY:
            first, dot, rest = (problem.where or "").partition(".")
            yield evolve(problem, where=_NAMES.get(first, first) + dot + rest)


def preflight(plan: Plan, context: HookContext) -> list[Problem]:
    """Ask AWS who we are and where the cluster is, and the cluster what it thinks of the plan."""
    from scalable_aws.eks_preflight import look

    return look(plan, pod_options(plan.target.options), context)


def required_permissions(plan: Plan, *, provider: str) -> Policy:
    """Say what AWS and the cluster must allow."""
    from scalable_aws.eks_preflight import policies

    return policies(plan, provider=provider)


def place_of(record: ClusterRecord) -> Place:
    """Return the cluster that a record names."""
    names = ("region", "profile", "cluster")
    return Place(**{name: record.data[name] for name in names})


_CLUSTER = Managed(
    pod_options=pod_options,
    place_in=Place.of,
    place_of=place_of,
    find_access=find_access,
)
provision, start_driver, release = _CLUSTER.provision, _CLUSTER.start_driver, _CLUSTER.release
find, read_logs = _CLUSTER.find, _CLUSTER.read_logs
