"""The hooks about clusters: start one, find what there is, read its logs, release it; each where it is done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from scalable_core.errors import NotInThisVersionError
from scalable_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from scalable_core import types
    from scalable_core.cluster.fleet import FleetCluster
    from scalable_core.cluster.launcher import Launcher


@hookimpl
def provision_cluster(plan: types.Plan, context: types.HookContext) -> FleetCluster:
    """Start the scheduler of a plan, and return the fleet."""
    from scalable_core.cluster.fleet import FleetCluster

    return FleetCluster(plan, launcher_of(plan), context)


@hookimpl
def release_cluster(record: types.ClusterRecord, context: types.HookContext) -> types.ReleaseReport:
    """Remove a run, or with ``standing`` what stands for all runs."""
    from scalable_aws.plugin import NAME
    from scalable_aws.release import release

    return release(record, context, provider=NAME)


@hookimpl
def find_resources(
    target: types.Target, run: str | None, context: types.HookContext
) -> Sequence[types.Resource]:
    """Find what carries the project's tags."""
    from scalable_aws.release import find

    return find(target.options, run, context)


@hookimpl
def read_logs(
    record: types.ClusterRecord, member: str | None, follow: bool, context: types.HookContext
) -> Iterator[types.LogLine] | None:
    """Read what members wrote, from CloudWatch."""
    from scalable_aws.logs import read

    return read(record, member, follow=follow, context=context)


def launcher_of(plan: types.Plan) -> Launcher:
    """Return the launcher for a plan's kind of cluster.

    Raises:
        NotInThisVersionError: There is none for it.
    """
    kind = plan.target.cluster_type or "fargate"
    if kind == "fargate":
        from scalable_aws.fargate import FargateLauncher

        return FargateLauncher(plan.target.options, storage=plan.stores.artifacts)
    if kind == "ec2":
        from scalable_aws.ec2 import Ec2Launcher

        return Ec2Launcher(plan.target.options, storage=plan.stores.artifacts)
    raise NotInThisVersionError(
        f"this version of scalable-aws can plan target {plan.target.name!r}, and cannot start it yet",
        cure="use cluster_type: fargate or ec2, or install a later version of scalable-aws",
    )
