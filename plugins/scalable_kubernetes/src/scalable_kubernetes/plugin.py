"""The hooks of the `kubernetes` provider, and which function answers each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from scalable_core.hookspecs import hookimpl
from scalable_kubernetes.clusters import find_resources as find_resources
from scalable_kubernetes.clusters import provision_cluster as provision_cluster
from scalable_kubernetes.clusters import read_logs as read_logs
from scalable_kubernetes.clusters import release_cluster as release_cluster
from scalable_kubernetes.clusters import start_driver as start_driver

if TYPE_CHECKING:
    from scalable_core import types

SCALABLE_PLUGIN_API = 1


@hookimpl
def target_options() -> type:
    """Describe what may stand in a `kubernetes` target."""
    from scalable_kubernetes.options import KubernetesOptions

    return KubernetesOptions


@hookimpl
def check_target(target: types.Target, context: types.HookContext) -> Sequence[types.Problem]:
    """Check names, labels and options that exclude each other."""
    from scalable_kubernetes.checks import target_problems

    return target_problems(target, context.workdir)


@hookimpl
def service_profile(target: types.Target) -> types.ServiceProfile:
    """Say how soon pods are there, and how often a Spot node goes."""
    from scalable_kubernetes import profile

    return profile.service_profile(target)


@hookimpl
def estimate_cost(plan: types.Plan) -> types.CostEstimate:
    """Name everything that will be paid; only the target itself can give prices."""
    from scalable_kubernetes.estimate import cost_estimate

    return cost_estimate(plan, provider="kubernetes")


@hookimpl
def preflight(plan: types.Plan, context: types.HookContext) -> Sequence[types.Problem]:
    """Look at the server, our rights, the quota, and what the server thinks of our pods."""
    from scalable_kubernetes.preflight import look

    return look(plan, context)


@hookimpl
def required_permissions(plan: types.Plan) -> types.Policy:
    """Return the Role that is enough."""
    from scalable_kubernetes.permissions import policy

    return policy(plan.target.options.namespace, "kubernetes")
