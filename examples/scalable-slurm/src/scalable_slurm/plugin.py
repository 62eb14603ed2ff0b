"""The hooks of the `slurm` provider."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from scalable_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from distributed.deploy import Cluster

    from scalable_core import types

SCALABLE_PLUGIN_API = 1
NAME = "slurm"


@hookimpl
def target_options() -> type:
    """Describe what may stand in a `slurm` target."""
    from scalable_slurm.options import SlurmOptions

    return SlurmOptions


@hookimpl
def check_target(target: types.Target) -> Sequence[types.Problem]:
    """Check the options against each other."""
    from scalable_slurm.checks import target_problems

    return target_problems(target)


@hookimpl
def estimate_cost(plan: types.Plan) -> types.CostEstimate:
    """Say how many core-hours a plan needs, and what they cost if the target says so."""
    from scalable_slurm.estimate import cost_estimate

    return cost_estimate(plan, provider=NAME)


@hookimpl
def preflight(plan: types.Plan, context: types.HookContext) -> Sequence[types.Problem]:
    """Let Slurm itself say whether it would take the jobs."""
    from scalable_slurm.checks import submission_problems

    return submission_problems(plan, context)


@hookimpl
def provision_cluster(plan: types.Plan, context: types.HookContext) -> Cluster:
    """Start a scheduler here; its workers are jobs that wait to be asked for."""
    from scalable_slurm.cluster import SlurmCluster

    return SlurmCluster(plan, context)


@hookimpl
def release_cluster(record: types.ClusterRecord, context: types.HookContext) -> types.ReleaseReport:
    """Cancel the jobs of a run, found by their name."""
    from scalable_slurm.queue import release

    return release(record, provider=NAME, dry_run=context.dry_run)


@hookimpl
def find_resources(run: str | None, context: types.HookContext) -> Sequence[types.Resource]:
    """Find the project's jobs in the queue."""
    from scalable_slurm.queue import find

    return find(context.project, run)


@hookimpl
def read_logs(
    member: str | None, follow: bool, context: types.HookContext
) -> Iterator[types.LogLine] | None:
    """Read what the jobs of a run have written."""
    from scalable_slurm.logs import read

    return None if context.run_dir is None else read(context.run_dir, member, follow=follow)
