"""The kinds of cluster of this provider, in one table, and the hooks by which they start, are seen and end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from scalable_core.errors import UsageError
from scalable_core.hookspecs import hookimpl
from scalable_gcp.options import CloudRunOptions, GcpOptions, GkeOptions

if TYPE_CHECKING:
    from distributed.deploy.cluster import Cluster

    from scalable_core import types
    from scalable_core.types import BundleRef, HookContext, Plan

NAME = "gcp"


def _cloud_run(plan: Plan, context: HookContext) -> Any:
    from scalable_core.cluster.fleet import FleetCluster
    from scalable_gcp.cloud_run import CloudRunLauncher

    options = plan.target.options
    if plan.detached:
        from scalable_gcp.driver import provision

        return provision(plan, context)
    if options.transport == "single":
        raise UsageError(
            "transport single is for runs whose driver is in Google Cloud too, and this one's is here",
            cure="write transport: auto, or run with --detach",
        )
    return FleetCluster(plan, CloudRunLauncher(options), context)


def _gke(plan: Plan, context: HookContext) -> Any:
    return gke().provision(plan, context, provider=NAME)


def gke() -> Any:
    """Return the module for GKE.

    Raises:
        UsageError: scalable-kubernetes is not installed.
    """
    try:
        from scalable_gcp import gke
    except ModuleNotFoundError as error:
        raise UsageError(
            "cluster_type gke needs the dist scalable-kubernetes, which is not installed",
            cure="pip install 'scalable-gcp[gke]'",
        ) from error
    return gke


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
    if isinstance(plan.target.options, GkeOptions):
        found: Sequence[types.Problem] = gke().preflight(plan, context)
        return found
    from scalable_gcp import preflight

    return preflight.preflight(plan, context)


@hookimpl
def required_permissions(plan: types.Plan) -> types.Policy:
    """Say what the caller and the members must be allowed, as custom roles."""
    if isinstance(plan.target.options, GkeOptions):
        printed: types.Policy = gke().required_permissions(plan, provider=NAME)
        return printed
    from scalable_gcp import policy

    return policy.required_permissions(plan, provider=NAME)


@hookimpl
def provision_cluster(plan: types.Plan, context: HookContext) -> Cluster:
    """Start a fleet of the kind that the target names."""
    cluster: Cluster = STARTERS[type(plan.target.options)](plan, context)
    return cluster


@hookimpl
def start_driver(
    plan: types.Plan, bundle: BundleRef, context: HookContext
) -> types.ClusterRecord | None:
    """Start a job that holds all of a run, or a machine or a pod that holds its driver and its scheduler."""
    if isinstance(plan.target.options, GkeOptions):
        record: types.ClusterRecord = gke().start_driver(plan, bundle, context, provider=NAME)
        return record
    from scalable_gcp import driver

    return driver.start_driver(plan, bundle, context, provider=NAME)


@hookimpl
def release_cluster(record: types.ClusterRecord, context: HookContext) -> types.ReleaseReport:
    """Remove everything that carries a run's labels, from its record alone."""
    if record.data.get("cluster_type") == "gke":
        report: types.ReleaseReport = gke().release(record, context)
        return report
    from scalable_gcp import release

    return release.release_cluster(record, context, provider=NAME)


@hookimpl
def find_resources(
    target: types.Target, run: str | None, context: HookContext
) -> Sequence[types.Resource]:
    """Return what there is of the project, or of one run, found by label."""
    if isinstance(target.options, GkeOptions):
        found: Sequence[types.Resource] = gke().find(target, run, context)
        return found
    from scalable_gcp import release

    return release.find_resources(target.options, context.project, run)


@hookimpl
def read_logs(
    record: types.ClusterRecord, member: str | None, follow: bool, context: HookContext
) -> Iterator[types.LogLine] | None:
    """Read what members have written, from Cloud Logging."""
    if record.data.get("cluster_type") == "gke":
        lines: Iterator[types.LogLine] | None = gke().read_logs(record, member, follow=follow)
        return lines
    from scalable_gcp import logs

    return logs.read_logs(record, member, follow=follow)
