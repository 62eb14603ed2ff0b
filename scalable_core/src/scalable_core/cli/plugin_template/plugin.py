"""The hooks of the `acme` provider. Each is a line to where it is done; nothing heavy is imported before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalable_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from distributed.deploy import Cluster

    from scalable_core import types

#: The contract that this plugin was written for.
SCALABLE_PLUGIN_API = 1
NAME = "acme"
#: A target that `scalable plugins check` tries.
EXAMPLE_TARGET = {"n_workers": 2}


@hookimpl
def target_options() -> type:
    """Describe what may stand in an `acme` target."""
    from scalable_acme.options import AcmeOptions

    return AcmeOptions


@hookimpl
def service_profile() -> types.ServiceProfile:
    """Say how soon workers are there, in seconds."""
    from scalable_core.types import ServiceProfile

    return ServiceProfile(boot=2.0, boot_high=10.0)


@hookimpl
def estimate_cost(plan: types.Plan) -> types.CostEstimate:
    """Say what a plan will cost, offline."""
    from scalable_acme.estimate import cost_estimate

    return cost_estimate(plan, provider=NAME)


@hookimpl
def provision_cluster(plan: types.Plan, context: types.HookContext) -> Cluster:
    """Start the workers of a plan."""
    from scalable_acme.cluster import start_cluster

    return start_cluster(plan, context)


@hookimpl
def release_cluster(record: types.ClusterRecord) -> types.ReleaseReport:
    """Say that nothing remains: these workers end with the process that started them."""
    from scalable_core.types import ReleaseReport

    return ReleaseReport(provider=NAME, released=record.resources)
