"""Targets with ``cluster_type: eks``: pods as on every Kubernetes, by the kit of scalable-kubernetes.

It is imported only where somebody asks for EKS: scalable-aws alone does without that kit.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from attrs import evolve

from scalable_aws.eks_access import Place, find_access
from scalable_aws.options import EksOptions
from scalable_core.types import (
    BundleRef,
    ClusterRecord,
    HookContext,
    LogLine,
    Plan,
    Policy,
    Problem,
    ReleaseReport,
    Resource,
    Target,
)
from scalable_kubernetes.options import KubernetesOptions

if TYPE_CHECKING:
    from scalable_core.cluster.fleet import FleetCluster

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


def provision(plan: Plan, context: HookContext, *, provider: str) -> FleetCluster:
    """Start the scheduler of a plan in the namespace of its target.

    Raises:
        ClusterError: The cluster cannot be reached, or takes no pods.
    """
    from scalable_kubernetes.provision import start_fleet

    place = Place.of(plan.target.options)
    options = pod_options(plan.target.options)
    return start_fleet(plan, context, options, find_access(place), place.data, provider)


def start_driver(
    plan: Plan, bundle: BundleRef, context: HookContext, *, provider: str
) -> ClusterRecord:
    """Start a Job that runs the workflow where its workers are."""
    from scalable_kubernetes.driver import start_with

    place = Place.of(plan.target.options)
    options = pod_options(plan.target.options)
    access = find_access(place)
    return start_with(plan, bundle, context, options, access, place.data, provider)


def release(record: ClusterRecord, context: HookContext) -> ReleaseReport:
    """Remove what a run has left in the cluster that its record names."""
    from scalable_kubernetes.release import release_with

    return release_with(record, context, find_access(place_of(record)))


def find(target: Target, run: str | None, context: HookContext) -> list[Resource]:
    """Return what is there of a project, or of one of its runs."""
    from scalable_kubernetes.release import find_with

    options: EksOptions = target.options
    return find_with(find_access(Place.of(options)), options.namespace, run, context)


def read_logs(
    record: ClusterRecord, member: str | None, *, follow: bool
) -> Iterator[LogLine] | None:
    """Return the lines of a run's pods; None when there are none."""
    from scalable_kubernetes.logs import read_with

    return read_with(record, member, find_access(place_of(record)), follow=follow)


def place_of(record: ClusterRecord) -> Place:
    """Return the cluster that a record names."""
    names = ("region", "profile", "cluster")
    return Place(**{name: record.data[name] for name in names})
