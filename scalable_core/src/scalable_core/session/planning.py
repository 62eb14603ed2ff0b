"""From a manifest's path to a plan, with the provider's checks and estimate. Imports no distributed."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import evolve

from scalable_core.errors import ManifestError
from scalable_core.manifest import AUTO, place_problems, read_manifest
from scalable_core.plan import build_plan, read_plan, restore_plan
from scalable_core.plugins import PluginHost
from scalable_core.session.appraise import Appraiser
from scalable_core.session.environment import with_packages
from scalable_core.types import HookContext, ImageRequest, Manifest, Plan, Problem, WorkerGroup


def load(
    path: str | Path, *, target: Any = AUTO, overlays: Sequence[str] = (), host: PluginHost
) -> Manifest:
    """Read a manifest and let the selected target's provider check it.

    Args:
        path: The manifest.
        target: A target's name; AUTO for the default one; None for no target in particular.
        overlays: Names of overlays to merge in.
        host: The plugins.

    Raises:
        ManifestError: With all problems, the provider's included.
        ProviderError: The selected target's provider cannot be used.
    """
    manifest = read_manifest(path, target=target, overlays=overlays, options=host.options_lookup)
    if manifest.target is None:
        return manifest
    found = host.check_target(manifest.target, planning_context(manifest))
    problems = place_problems(found, path, f"targets.{manifest.target.name}")
    if any(problem.severity == "error" for problem in problems):
        count = sum(problem.severity == "error" for problem in problems)
        raise ManifestError(
            f"{path} has {count} problem{'s' * (count != 1)}", (*manifest.problems, *problems)
        )
    return evolve(manifest, problems=(*manifest.problems, *problems))


def make_plan(
    manifest: Manifest,
    *,
    host: PluginHost,
    online: bool = False,
    hours: float | None = None,
    output_size: int | None = None,
    detached: bool = False,
) -> Plan:
    """Return the plan of a manifest, with how long its run will take and the provider's estimate of its cost.

    Args:
        manifest: Read for one target.
        host: The plugins.
        online: Also pin every image to its digest, which asks registries.
        hours: Estimate exactly so long, with every worker there; from what is known of the run when None.
        output_size: Bytes that the run stores; from what is known of it when None.
        detached: The workflow runs in a driver of its own, which is paid for too.

    Raises:
        ProviderError: The provider cannot estimate, or an image cannot be resolved.
        UsageError: The manifest was read for no target.
    """
    plan = with_packages(evolve(build_plan(manifest), detached=detached))
    if online:
        plan = pin_images(plan, host=host)
    return Appraiser(plan, host=host, hours=hours, output_size=output_size)(plan)


def load_plan(path: Path, *, host: PluginHost) -> Plan:
    """Return exactly the plan of a ``plan.json``, its manifest and environment read again.

    Raises:
        PlanDriftError: The manifest, or a variable it uses, has changed since.
        UsageError: The file is not a plan.
        ManifestError: The manifest no longer reads.
    """
    document = read_plan(path)
    manifest = load(
        document["manifest"],
        target=document["target"]["name"],
        overlays=document["overlays"],
        host=host,
    )
    return with_packages(restore_plan(document, build_plan(manifest), manifest))


def pin_images(plan: Plan, *, host: PluginHost) -> Plan:
    """Return the plan with every image in use resolved to a digest.

    Raises:
        ImageError: An image does not exist, may not be read or lacks the platform.
    """
    context = HookContext(
        project=plan.project.name,
        workdir=Path(plan.manifest).parent,
        data={"target": plan.target},
    )
    groups = tuple(_pin(group, plan, host, context) for group in plan.groups)
    return evolve(plan, groups=groups, online=True)


def image_platform(plan: Plan) -> str:
    """Return what the images of a plan must be made for, such as ``linux/amd64``."""
    architecture = getattr(plan.target.options, "architecture", None)
    if any(group.runtime for group in plan.groups):
        architecture = architecture or platform.machine()
    return "linux/arm64" if architecture in ("arm64", "ARM64", "aarch64") else "linux/amd64"


def planning_context(manifest: Manifest) -> HookContext:
    """Return the context of hooks that are called before there is a run."""
    return HookContext(
        project=manifest.project.name, workdir=manifest.path.absolute().parent, dry_run=True
    )


def failures(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """Return the problems that stop a run."""
    return tuple(problem for problem in problems if problem.severity == "error")


def _pin(group: WorkerGroup, plan: Plan, host: PluginHost, context: HookContext) -> WorkerGroup:
    if group.image is None or group.resolved is not None:
        return group
    request = ImageRequest(
        reference=group.image,
        platform=image_platform(plan),
        component=group.name,
        runtime=group.runtime,
    )
    image = host.resolve_image(plan.target.provider, request, context)
    if image is None:
        from scalable_core.oci import resolve

        image = resolve(request)
    return evolve(group, resolved=image)
