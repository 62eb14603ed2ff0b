"""The hooks of the `gcp` provider; each leads to the module that does it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from scalable_core.hookspecs import hookimpl
from scalable_gcp.clusters import find_resources as find_resources
from scalable_gcp.clusters import preflight as preflight
from scalable_gcp.clusters import provision_cluster as provision_cluster
from scalable_gcp.clusters import read_logs as read_logs
from scalable_gcp.clusters import release_cluster as release_cluster
from scalable_gcp.clusters import required_permissions as required_permissions
from scalable_gcp.clusters import resolve_image as resolve_image
from scalable_gcp.clusters import start_driver as start_driver
from scalable_gcp.prices import price_snapshot as price_snapshot

if TYPE_CHECKING:
    from scalable_core import types
    from scalable_core.types import Artifact, ArtifactRef, HookContext

SCALABLE_PLUGIN_API = 1
NAME = "gcp"
EXAMPLE_TARGET = {"region": "us-central1"}


@hookimpl
def target_options() -> Mapping[str, type]:
    """Describe what may stand in a `gcp` target, by kind of cluster."""
    from scalable_gcp.options import CLUSTER_TYPES

    return CLUSTER_TYPES


@hookimpl
def check_target(target: types.Target, context: HookContext) -> Sequence[types.Problem]:
    """Check sizes, names and options that exclude each other."""
    from scalable_gcp.checks import target_problems

    return target_problems(target, context)


@hookimpl
def service_profile(target: types.Target) -> types.ServiceProfile:
    """Say how soon workers are there, and how often Spot takes one away."""
    from scalable_gcp import profile

    return profile.service_profile(target)


@hookimpl
def estimate_cost(plan: types.Plan) -> types.CostEstimate:
    """Say what a plan will be billed for, at list prices, offline."""
    from scalable_gcp import estimate

    return estimate.cost_estimate(plan, provider=NAME)


@hookimpl
def variants(plan: types.Plan, context: types.HookContext) -> Sequence[types.Plan]:
    """Offer Spot and ARM, or the other regions."""
    from scalable_gcp.variants import capacity_variants, region_variants

    return tuple((region_variants if context.data.get("regions") else capacity_variants)(plan))


@hookimpl
def store_artifact(artifact: Artifact, destination: str, context: HookContext) -> ArtifactRef:
    """Write an artifact to Cloud Storage, unless the name is taken."""
    from scalable_gcp import storage

    return storage.store(artifact, destination, context, provider=NAME)


@hookimpl
def fetch_artifact(ref: ArtifactRef, destination: Path, context: HookContext) -> Path:
    """Copy an artifact to a file of this machine, and check it."""
    from scalable_gcp import storage

    return storage.fetch(ref, destination, context)


@hookimpl
def open_storage(uri: str) -> types.Storage:
    """Open the objects below a URI of Cloud Storage."""
    from scalable_gcp.storage import GcsStorage

    return GcsStorage(uri)
