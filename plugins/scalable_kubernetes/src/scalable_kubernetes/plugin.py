"""The hooks of the `kubernetes` provider, and which function answers each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from scalable_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from distributed.deploy import Cluster

    from scalable_core import types

    Found = Sequence[types.Resource]

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


@hookimpl
def provision_cluster(plan: types.Plan, context: types.HookContext) -> Cluster:
    """Start the scheduler's pod; workers come with the first call, or at once."""
    from scalable_kubernetes.provision import provision

    return provision(plan, context)


@hookimpl
def release_cluster(record: types.ClusterRecord, context: types.HookContext) -> types.ReleaseReport:
    """Delete the run's owner, and look until nothing is left."""
    from scalable_kubernetes.release import release

    return release(record, context)


@hookimpl
def find_resources(target: types.Target, run: str | None, context: types.HookContext) -> Found:
    """Find owners and pods by their labels."""
    from scalable_kubernetes.release import find

    return find(target, run, context)


@hookimpl
def read_logs(
    record: types.ClusterRecord, member: str | None, follow: bool, context: types.HookContext
) -> Iterator[types.LogLine]:
    """Read what pods have written."""
    from scalable_kubernetes.logs import read

    return read(record, member, follow, context)
