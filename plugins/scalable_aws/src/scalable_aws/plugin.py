"""The hooks of the `aws` provider. Each is a line to where it is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from scalable_aws.fleet import find_resources as find_resources
from scalable_aws.fleet import provision_cluster as provision_cluster
from scalable_aws.fleet import read_logs as read_logs
from scalable_aws.fleet import release_cluster as release_cluster
from scalable_aws.fleet import start_driver as start_driver
from scalable_aws.online import preflight as preflight
from scalable_aws.online import required_permissions as required_permissions
from scalable_aws.online import resolve_image as resolve_image
from scalable_aws.prices import price_snapshot as price_snapshot
from scalable_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from scalable_core import types

SCALABLE_PLUGIN_API = 1
NAME = "aws"
EXAMPLE_TARGET = {"region": "us-east-1"}


@hookimpl
def target_options() -> Mapping[str, type]:
    """Describe what may stand in an `aws` target, by kind of cluster."""
    from scalable_aws.options import CLUSTER_TYPES

    return CLUSTER_TYPES


@hookimpl
def check_target(target: types.Target, context: types.HookContext) -> Sequence[types.Problem]:
    """Check sizes, names and options that exclude each other."""
    from scalable_aws.checks import target_problems

    return target_problems(target, context)


@hookimpl
def service_profile(target: types.Target) -> types.ServiceProfile:
    """Say how soon workers are there, and how often Spot takes one away."""
    from scalable_aws import profile

    return profile.service_profile(target)


@hookimpl
def estimate_cost(plan: types.Plan) -> types.CostEstimate:
    """Say what a plan will be billed for, at list prices, offline."""
    from scalable_aws.estimate import cost_estimate

    return cost_estimate(plan, provider=NAME)


@hookimpl
def variants(plan: types.Plan, context: types.HookContext) -> Sequence[types.Plan]:
    """Offer Spot and ARM, or the other regions."""
    from scalable_aws.variants import capacity_variants, region_variants

    return tuple((region_variants if context.data.get("regions") else capacity_variants)(plan))


@hookimpl
def store_artifact(
    artifact: types.Artifact, destination: str, context: types.HookContext
) -> types.ArtifactRef:
    """Store an artifact on S3."""
    from scalable_aws.storage import store

    return store(artifact, destination, context, provider=NAME)


@hookimpl
def fetch_artifact(ref: types.ArtifactRef, destination: Path, context: types.HookContext) -> Path:
    """Fetch an artifact from S3."""
    from scalable_aws.storage import fetch

    return fetch(ref, destination, context)


@hookimpl
def open_storage(uri: str) -> types.Storage:
    """Open the objects below an ``s3://`` URI."""
    from scalable_aws.storage import S3Storage

    return S3Storage(uri)
