"""The hooks of the `kubernetes` provider. This version plans and checks; what acts says that it cannot yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from scalable_core.errors import NotInThisVersionError
from scalable_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from scalable_core.types import (
        ClusterRecord,
        CostEstimate,
        HookContext,
        Plan,
        Problem,
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
def provision_cluster(plan: Plan) -> NoReturn:
    """Say that this version starts nothing."""
    raise NotInThisVersionError(
        f"this version of scalable-kubernetes can plan target {plan.target.name!r}, and cannot start it yet",
        cure="run with --target local, or install a later version of scalable-kubernetes",
    )


@hookimpl
def release_cluster(record: ClusterRecord) -> NoReturn:
    """Say that this version releases nothing, as it starts nothing."""
    raise NotInThisVersionError(
        f"this version of scalable-kubernetes cannot release the cluster of {record.run}; a later one made it",
        cure="install the version of scalable-kubernetes that started it",
    )
