"""The hooks of the `gcp` provider. This version plans, checks and keeps artifacts; it starts nothing yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from scalable_core.errors import NotInThisVersionError
from scalable_core.hookspecs import hookimpl
from scalable_gcp.prices import price_snapshot as price_snapshot

if TYPE_CHECKING:
    from scalable_core import types
    from scalable_core.types import Artifact, ArtifactRef, HookContext

SCALABLE_PLUGIN_API = 1
NAME = "gcp"


@hookimpl
def target_options() -> Mapping[str, type]:
    """Describe what may stand in a `gcp` target, by kind of cluster."""
    from scalable_gcp.options import CLUSTER_TYPES

    return CLUSTER_TYPES


@hookimpl
def check_target(target: types.Target) -> Sequence[types.Problem]:
    """Check sizes, names and options that exclude each other."""
    from scalable_gcp.checks import target_problems

    return target_problems(target)


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
def provision_cluster(plan: types.Plan) -> NoReturn:
    """Say that this version starts nothing."""
    said = f"this version of scalable-gcp can plan target {plan.target.name!r}, and cannot start it yet"
    cure = "run with --target local, or install a later version of scalable-gcp"
    raise NotInThisVersionError(said, cure=cure)


@hookimpl
def release_cluster(record: types.ClusterRecord) -> NoReturn:
    """Say that this version releases nothing, as it starts nothing."""
    said = f"this version of scalable-gcp cannot release the cluster of {record.run}; a later one made it"
    raise NotInThisVersionError(said, cure="install the version of scalable-gcp that started it")


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
