"""Decide the worker groups of a run: which components, how large, how many."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scalable_core.errors import UsageError
from scalable_core.types import (
    Adaptive,
    Component,
    Manifest,
    Plan,
    Problem,
    Stores,
    Target,
    WorkerGroup,
)

#: The group of a manifest that has no components.
DEFAULT_COMPONENT = "default"


def build_plan(manifest: Manifest, *, environ: Mapping[str, str] | None = None) -> Plan:
    """Return the plan of a manifest that was read for one target.

    Args:
        manifest: With its target resolved.
        environ: Environment, for ``SCALABLE_CACHE_DIR``; the process's own when None.

    Raises:
        UsageError: The manifest was read for no target in particular.
    """
    target = manifest.target
    if target is None:
        raise UsageError("a plan needs a target", cure="name one with --target")
    folder = manifest.path.absolute().parent
    components = _components_in_use(manifest)
    minimum, maximum, adaptive = _bounds(target.options)
    shares = [(0, maximum)] * len(components) if adaptive else _shares(maximum, len(components))
    timed = {task.component for task in manifest.tasks.values() if task.timeout is not None}
    groups = tuple(
        _group(component, target, folder, bounds, timeout=component.name in timed)
        for component, bounds in zip(components, shares, strict=True)
    )
    if not adaptive:
        minimum = maximum = sum(group.maximum for group in groups)
    unused = tuple(name for name in manifest.components if name not in {g.name for g in groups})
    return Plan(
        project=manifest.project,
        target=target,
        manifest=str(manifest.path.absolute()),
        workflow=str(folder / manifest.project.workflow),
        overlays=manifest.overlays,
        lock=manifest.lock,
        groups=groups,
        adaptive=adaptive,
        minimum=minimum,
        maximum=max(maximum, len(groups)),
        tasks=manifest.tasks,
        unused=unused,
        stores=locate_stores(manifest, folder, os.environ if environ is None else environ),
        problems=(*manifest.problems, *_unused_problems(unused)),
        document=manifest.document,
    )


def _components_in_use(manifest: Manifest) -> Sequence[Component]:
    """A component is in use when a task names it; without tasks all are, without components a default is."""
    if not manifest.components:
        return [Component(name=DEFAULT_COMPONENT)]
    named = {task.component for task in manifest.tasks.values()}
    return [c for c in manifest.components.values() if not named or c.name in named]


def _unused_problems(unused: Sequence[str]) -> list[Problem]:
    return [
        Problem(
            code="W0401",
            severity="warning",
            where=f"components.{name}",
            message="no task names this component, so it gets no workers",
            cure="name it in a task, or remove it",
        )
        for name in unused
    ]


def _bounds(options: Any) -> tuple[int, int, bool]:
    """Fewest and most workers over all groups, and whether their number follows the work."""
    adaptive: Adaptive | None = getattr(options, "adaptive", None)
    if adaptive is not None:
        return adaptive.minimum, adaptive.maximum, True
    fixed = getattr(options, "n_workers", None) or getattr(options, "max_workers", None) or 1
    return fixed, fixed, False


def _shares(total: int, groups: int) -> list[tuple[int, int]]:
    """Share a fixed number of workers out over the groups, earlier ones first, each at least one."""
    each, rest = divmod(max(total, groups), groups)
    return [(each + (i < rest),) * 2 for i in range(groups)]


def _group(
    component: Component, target: Target, folder: Path, bounds: tuple[int, int], *, timeout: bool
) -> WorkerGroup:
    options = target.options
    cpus = component.cpus or getattr(options, "worker_cpu", None) or 1.0
    threads = getattr(options, "threads_per_worker", None) or max(1, int(cpus))
    containers = getattr(options, "containers", None)
    image = component.image or getattr(options, "image", None)
    base = getattr(options, "base_image", None)
    bare = image is None and base is not None and containers != "none"
    if bare:
        image = str(base).replace("{python}", "{}.{}".format(*sys.version_info[:2]))
    script = component.preload_script
    return WorkerGroup(
        name=component.name,
        cpus=cpus,
        memory=component.memory or getattr(options, "worker_mem", None),
        gpus=component.gpus,
        threads=threads,
        minimum=bounds[0],
        maximum=bounds[1],
        image=None if containers == "none" else image,
        environment=bare,
        runtime=None if containers in (None, "none") else component.runtime or containers,
        mounts=component.mounts,
        env=component.env,
        tags=component.tags,
        preload_script=None if script is None else str(folder / script),
        timeout=timeout,
    )


def locate_stores(manifest: Manifest, folder: Path, environ: Mapping[str, str]) -> Stores:
    """Return where a project keeps things; ``folder`` is that of its manifest."""
    project = manifest.project
    storage = project.default_storage or ".scalable/artifacts"
    if "://" not in storage:
        storage = str(folder / Path(storage).expanduser())
    cache = environ.get("SCALABLE_CACHE_DIR") or project.local_cache or ".scalable/cache"
    return Stores(
        records=str(folder / ".scalable" / "runs"),
        artifacts=storage,
        cache=str(folder / Path(cache).expanduser()),
    )
