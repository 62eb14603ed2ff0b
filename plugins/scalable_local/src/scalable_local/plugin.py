"""The hooks of the `local` provider: workers on this machine, artifacts in its folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from scalable_core.hookspecs import hookimpl
from scalable_local import artifacts, checks, driver, profile, release

if TYPE_CHECKING:
    from distributed.deploy import Cluster

    from scalable_core import types
    from scalable_core.types import BundleRef, ClusterRecord, HookContext

SCALABLE_PLUGIN_API = 1
NAME = "local"


@hookimpl
def target_options() -> type:
    """Describe what may stand in a `local` target."""
    from scalable_local.options import LocalOptions

    return LocalOptions


@hookimpl
def check_target(target: types.Target) -> Sequence[types.Problem]:
    """Check the options against each other."""
    return checks.target_problems(target)


@hookimpl
def resolve_image(request: types.ImageRequest, context: HookContext) -> types.ResolvedImage | None:
    """Find the image on this machine; others are left to the core."""
    from scalable_local.images import find_image

    return find_image(request, workdir=context.workdir, provider=NAME)


@hookimpl
def service_profile() -> types.ServiceProfile:
    """Say how soon workers are there."""
    return profile.SERVICE_PROFILE


@hookimpl
def estimate_cost(plan: types.Plan) -> types.CostEstimate:
    """Say that this machine costs nothing, or what the target charges for it."""
    from scalable_local.estimate import cost_estimate

    return cost_estimate(plan, provider=NAME)


@hookimpl
def preflight(plan: types.Plan) -> Sequence[types.Problem]:
    """Warn of what this machine cannot hold as planned."""
    from scalable_local import layout, machine

    return layout.lay_out(plan, machine.read_machine()).problems


@hookimpl
def provision_cluster(plan: types.Plan, context: types.HookContext) -> Cluster:
    """Start a scheduler in this process; its workers wait to be asked for."""
    from scalable_local import layout, machine
    from scalable_local.cluster import LocalCluster

    return LocalCluster(plan, layout.lay_out(plan, machine.read_machine()), context)


@hookimpl
def start_driver(plan: types.Plan, bundle: BundleRef, context: HookContext) -> ClusterRecord:
    """Start a process that needs the one that starts it no more."""
    return driver.start(plan, bundle, context, provider=NAME)


@hookimpl
def release_cluster(record: types.ClusterRecord, context: types.HookContext) -> types.ReleaseReport:
    """Kill worker processes of a run that is over, should any be left."""
    return release.release(record, provider=NAME, dry_run=context.dry_run)


@hookimpl
def store_artifact(
    artifact: types.Artifact, destination: str, context: HookContext
) -> types.ArtifactRef:
    """Write an artifact into a folder."""
    return artifacts.store(artifact, destination, provider=NAME, events=context.events)


@hookimpl
def fetch_artifact(ref: types.ArtifactRef, destination: Path, context: types.HookContext) -> Path:
    """Copy an artifact out of a folder."""
    return artifacts.fetch(ref, destination, events=context.events)
