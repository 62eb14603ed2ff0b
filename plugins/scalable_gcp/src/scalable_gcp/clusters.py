"""The kinds of cluster of this provider, in one table, and the hooks by which they start, are seen and end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from scalable_core.errors import NotInThisVersionError, UsageError
from scalable_core.hookspecs import hookimpl
from scalable_gcp.options import CloudRunOptions, GcpOptions, GkeOptions

if TYPE_CHECKING:
    from distributed.deploy.cluster import Cluster

    from scalable_core import types
    from scalable_core.types import HookContext, Plan

NAME = "gcp"


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


@hookimpl
def resolve_image(request: types.ImageRequest, context: HookContext) -> types.ResolvedImage | None:
    """Pin an image of Artifact Registry to its digest, and leave others to the core."""
    from scalable_gcp import images

    return images.resolve_image(request, context, provider=NAME)


@hookimpl
def preflight(plan: types.Plan, context: HookContext) -> Sequence[types.Problem]:
    """Ask for credentials, permissions, services, quota and network before anything costs."""
    from scalable_gcp import preflight

    return preflight.preflight(plan, context)


@hookimpl
def required_permissions(plan: types.Plan) -> types.Policy:
    """Say what the caller and the members must be allowed, as custom roles."""
    from scalable_gcp import policy

    return policy.required_permissions(plan, provider=NAME)


@hookimpl
def provision_cluster(plan: types.Plan, context: HookContext) -> Cluster:
    """Start a fleet of the kind that the target names."""
    cluster: Cluster = STARTERS[type(plan.target.options)](plan, context)
    return cluster


@hookimpl
def release_cluster(record: types.ClusterRecord, context: HookContext) -> types.ReleaseReport:
    """Remove everything that carries a run's labels, from its record alone."""
    from scalable_gcp import release

    return release.release_cluster(record, context, provider=NAME)


@hookimpl
def find_resources(
    target: types.Target, run: str | None, context: HookContext
) -> Sequence[types.Resource]:
    """Return what there is of the project, or of one run, found by label."""
    from scalable_gcp import release

    return release.find_resources(target.options, context.project, run)


@hookimpl
def read_logs(
    record: types.ClusterRecord, member: str | None, follow: bool, context: HookContext
) -> Iterator[types.LogLine]:
    """Read what members have written, from Cloud Logging."""
    from scalable_gcp import logs

    return logs.read_logs(record, member, follow=follow)
