"""The hooks by which a cluster starts, is seen and ends; each leads to the module that does it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from scalable_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from distributed.deploy import Cluster

    from scalable_core import types

    Found = Sequence[types.Resource]


@hookimpl
def provision_cluster(plan: types.Plan, context: types.HookContext) -> Cluster:
    """Start the scheduler's pod; workers come with the first call, or at once."""
    from scalable_kubernetes.provision import provision

    return provision(plan, context)


@hookimpl
def start_driver(
    plan: types.Plan, bundle: types.BundleRef, context: types.HookContext
) -> types.ClusterRecord:
    """Start a Job that runs the workflow where its workers are."""
    from scalable_kubernetes import driver

    return driver.start(plan, bundle, context)


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
) -> Iterator[types.LogLine] | None:
    """Read what pods have written, as long as there are pods."""
    from scalable_kubernetes.logs import read

    return read(record, member, follow, context)
