"""The hooks about clusters: start one, find what there is, read its logs, release it; each where it is done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from scalable_core.errors import UsageError
from scalable_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from scalable_core import types
    from scalable_core.cluster.fleet import FleetCluster
    from scalable_core.cluster.launcher import Launcher


@hookimpl
def provision_cluster(plan: types.Plan, context: types.HookContext) -> FleetCluster:
    """Start the scheduler of a plan, and return the fleet."""
    from scalable_aws.plugin import NAME

    if plan.target.cluster_type == "eks":
        fleet: FleetCluster = eks().provision(plan, context, provider=NAME)
        return fleet
    from scalable_aws.driver import driver_host
    from scalable_core.cluster.fleet import FleetCluster

    return FleetCluster(plan, launcher_of(plan), context, driver_host=driver_host())


@hookimpl
def start_driver(
    plan: types.Plan, bundle: types.BundleRef, context: types.HookContext
) -> types.ClusterRecord:
    """Start the driver of a detached run: on Fargate, or in the cluster of EKS."""
    from scalable_aws.plugin import NAME

    if plan.target.cluster_type == "eks":
        record: types.ClusterRecord = eks().start_driver(plan, bundle, context, provider=NAME)
        return record
    from scalable_aws import driver

    return driver.start(plan, bundle, context, provider=NAME)


@hookimpl
def release_cluster(record: types.ClusterRecord, context: types.HookContext) -> types.ReleaseReport:
    """Remove a run, or with ``standing`` what stands for all runs."""
    if record.data.get("cluster_type") == "eks":
        report: types.ReleaseReport = eks().release(record, context)
        return report
    from scalable_aws.plugin import NAME
    from scalable_aws.release import release

    return release(record, context, provider=NAME)


@hookimpl
def find_resources(
    target: types.Target, run: str | None, context: types.HookContext
) -> Sequence[types.Resource]:
    """Find what carries the project's tags."""
    if target.cluster_type == "eks":
        found: Sequence[types.Resource] = eks().find(target, run, context)
        return found
    from scalable_aws.release import find

    return find(target.options, run, context)


@hookimpl
def read_logs(
    record: types.ClusterRecord, member: str | None, follow: bool, context: types.HookContext
) -> Iterator[types.LogLine] | None:
    """Read what members wrote, from CloudWatch, or from a cluster of EKS."""
    if record.data.get("cluster_type") == "eks":
        lines: Iterator[types.LogLine] | None = eks().read_logs(record, member, follow=follow)
        return lines
    from scalable_aws.logs import read

    return read(record, member, follow=follow, context=context)


def launcher_of(plan: types.Plan) -> Launcher:
    """Return the launcher for a plan's kind of cluster, unless that is one of Kubernetes."""
    from scalable_aws.driver import driver_host

    options, storage = plan.target.options, plan.stores.artifacts
    if plan.target.cluster_type == "ec2":
        from scalable_aws.ec2 import Ec2Launcher

        return Ec2Launcher(options, storage=storage, is_driver=driver_host() is not None)
    from scalable_aws.fargate import FargateLauncher

    return FargateLauncher(options, storage=storage, is_driver=driver_host() is not None)


def eks() -> Any:
    """Return the module for EKS.

    Raises:
        UsageError: scalable-kubernetes is not installed.
    """
    try:
        from scalable_aws import eks
    except ModuleNotFoundError as error:
        raise UsageError(
            "cluster_type eks needs the dist scalable-kubernetes, which is not installed",
            cure="pip install 'scalable-aws[eks]'",
        ) from error
    return eks
