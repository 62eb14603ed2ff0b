"""The kinds of cluster of this provider, in one table: its options, and what starts it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from scalable_core.errors import NotInThisVersionError, UsageError
from scalable_gcp.options import CloudRunOptions, GcpOptions, GkeOptions

if TYPE_CHECKING:
    from distributed.deploy.cluster import Cluster

    from scalable_core.types import HookContext, Plan


def _cloud_run(plan: Plan, context: HookContext) -> Any:
    from scalable_core.cluster.fleet import FleetCluster
    from scalable_gcp.cloud_run import CloudRunLauncher

    options = plan.target.options
    if options.transport == "single":
        raise UsageError(
            "transport single is for runs whose driver is in Google Cloud too, and this one's is here",
            cure="write transport: auto, or run with --detach",
        )
    return FleetCluster(plan, CloudRunLauncher(options), context)


def _gke(plan: Plan, context: HookContext) -> Any:
    raise NotInThisVersionError(
        f"this version of scalable-gcp can plan target {plan.target.name!r} on GKE, and cannot start it yet",
        cure="write cluster_type: cloud_run, or use provider: kubernetes",
    )


#: Options of a kind to what starts it; `options.CLUSTER_TYPES` has the names that users write.
STARTERS: dict[type[GcpOptions], Callable[[Plan, HookContext], Any]] = {
    CloudRunOptions: _cloud_run,
    GkeOptions: _gke,
}


def start_cluster(plan: Plan, context: HookContext) -> Cluster:
    """Start a cluster of the kind that a plan's target names.

    Raises:
        NoCapacityError: There are no machines for it.
        ClusterError: Anything else that prevents it.
    """
    cluster: Cluster = STARTERS[type(plan.target.options)](plan, context)
    return cluster
