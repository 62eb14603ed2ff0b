"""The hooks of the `kubernetes` provider. This version plans and checks; what acts says that it cannot yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from scalable_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from distributed.deploy import Cluster

    from scalable_core.types import (
        ClusterRecord,
        CostEstimate,
        HookContext,
        Plan,
        Problem,
        ReleaseReport,
        ServiceProfile,
        Target,
    )

SCALABLE_PLUGIN_API = 1
NAME = "kubernetes"


@hookimpl
def target_options() -> type:
    """Describe what may stand in a `kubernetes` target."""
    from scalable_kubernetes.options import KubernetesOptions

    return KubernetesOptions


@hookimpl
def check_target(target: Target, context: HookContext) -> Sequence[Problem]:
    """Check names, labels and options that exclude each other."""
    from scalable_kubernetes.checks import target_problems

    return target_problems(target, context.workdir)


@hookimpl
def service_profile(target: Target) -> ServiceProfile:
    """Say how soon pods are there, and how often a Spot node goes."""
    from scalable_kubernetes import profile

    return profile.service_profile(target)


@hookimpl
def estimate_cost(plan: Plan) -> CostEstimate:
    """Name everything that will be paid; only the target itself can give prices."""
    from scalable_kubernetes.estimate import cost_estimate

    return cost_estimate(plan, provider=NAME)


@hookimpl
def provision_cluster(plan: Plan, context: HookContext) -> Cluster:
    """Start the scheduler's pod; workers come with the first call, or at once."""
    from scalable_kubernetes.provision import provision

    return provision(plan, context)


@hookimpl
def release_cluster(record: ClusterRecord, context: HookContext) -> ReleaseReport:
    """Delete the run's owner, and look until nothing is left."""
    from scalable_kubernetes.release import release

    return release(record, context)
