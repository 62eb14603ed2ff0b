"""Everything that a run would need, looked at before it is needed. Creates nothing; imports no distributed."""

from __future__ import annotations

import importlib.metadata
import platform
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

from attrs import evolve, frozen

from scalable_core.errors import ScalableError
from scalable_core.plugins import PluginHost
from scalable_core.session.images import image_problems
from scalable_core.session.planning import make_plan, pin_images
from scalable_core.session.running import find_running, hourly_of, open_project
from scalable_core.session.storage import is_remote, open_storage
from scalable_core.types import HookContext, Manifest, Plan, Problem

#: Seconds that the provider has to answer.
PATIENCE = 20.0

#: What the parts of a cluster must agree on; `preflight` and the fleet compare it.
_PARTS = ("dask", "distributed", "cloudpickle", "scalable-core")


@frozen(kw_only=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: Such as ``credentials``.
        status: ``ok``, ``warning`` or ``fail``.
        detail: What was found, in a sentence.
        cure: What mends it.
    """

    name: str
    status: Literal["ok", "warning", "fail"] = "ok"
    detail: str
    cure: str | None = None


def examine(manifest: Manifest, *, host: PluginHost, detached: bool = False) -> Iterator[Check]:
    """Look at everything that a run of a target would need, and yield what was found, in a fixed order.

    Args:
        manifest: Read for one target, with no errors.
        host: The plugins.
        detached: The run is to have a driver of its own.
    """
    yield _environment()
    yield _manifest(manifest)
    yield _provider(manifest, host)
    try:
        plan = make_plan(manifest, host=host, detached=detached)
    except ScalableError as error:
        yield _failed("plan", error)
        return
    parts: tuple[Callable[[], Iterable[Check]], ...] = (
        lambda: _images(plan, host),
        lambda: _preflight(plan, host),
        lambda: _storage(plan, host),
        lambda: _prices(plan, host),
        lambda: _leftovers(manifest, host),
    )
    with ThreadPoolExecutor(len(parts)) as pool:
        for checks in pool.map(lambda part: list(part()), parts):
            yield from checks


def _environment() -> Check:
    versions = [f"python {platform.python_version()}"]
    versions += [f"{name} {importlib.metadata.version(name)}" for name in _PARTS]
    return Check(name="environment", detail=", ".join(versions))


def _manifest(manifest: Manifest) -> Check:
    warnings = [str(each) for each in manifest.problems if each.severity == "warning"]
    parts = [f"{len(manifest.components)} components", f"{len(manifest.tasks)} tasks"]
    detail = ", ".join([str(manifest.path), *parts])
    if warnings:
        return Check(name="manifest", status="warning", detail="; ".join([detail, *warnings]))
    return Check(name="manifest", detail=detail)


def _provider(manifest: Manifest, host: PluginHost) -> Check:
    assert manifest.target is not None
    name = manifest.target.provider
    for status in host.statuses(load=False):
        if (status.kind, status.name) == ("provider", name):
            return Check(name="provider", detail=f"{name} from {status.dist} {status.version}")
    return Check(name="provider", status="fail", detail=f"{name} is not installed")


def _images(plan: Plan, host: PluginHost) -> Iterator[Check]:
    for group in plan.groups:
        if group.image is None:
            continue
        alone = evolve(plan, groups=(group,))
        try:
            (pinned,) = pin_images(alone, host=host).groups
        except ScalableError as error:
            yield _failed("image", error)
            continue
        assert pinned.resolved is not None
        yield Check(name="image", detail=f"{group.name}: {pinned.resolved.pinned}")
        yield from map(_check, image_problems(evolve(alone, groups=(pinned,))))


def _preflight(plan: Plan, host: PluginHost) -> Iterator[Check]:
    try:
        problems = host.preflight(plan, _context(plan))
    except ScalableError as error:
        yield _failed("preflight", error)
        return
    for problem in problems:
        yield _check(problem)


def _check(problem: Problem) -> Check:
    words: dict[str, Literal["ok", "warning", "fail"]]
    words = {"info": "ok", "warning": "warning", "error": "fail"}
    return Check(
        name=problem.where or "preflight",
        status=words[problem.severity],
        detail=problem.message,
        cure=problem.cure,
    )


def _storage(plan: Plan, host: PluginHost) -> Iterator[Check]:
    uri = plan.stores.artifacts
    if not is_remote(uri):
        yield Check(name="storage", detail=f"{uri} on this machine")
        return
    try:
        next(iter(open_storage(uri, host=host, context=_context(plan)).list("")), None)
    except ScalableError as error:
        yield _failed("storage", error)
        return
    yield Check(name="storage", detail=f"{uri} can be listed")


def _prices(plan: Plan, host: PluginHost) -> Iterator[Check]:
    try:
        snapshot = host.price_snapshot(plan.target.provider, refresh=False, context=_context(plan))
    except ScalableError as error:
        yield _failed("prices", error)
        return
    if snapshot is not None:
        yield Check(name="prices", detail=f"list prices as of {snapshot.as_of}, {snapshot.origin}")


def _leftovers(manifest: Manifest, host: PluginHost) -> Iterator[Check]:
    assert manifest.target is not None
    try:
        project = open_project(manifest.path, manifest.target.name, host=host)
        found = find_running(project, host=host)
    except ScalableError as error:
        yield _failed("leftovers", error)
        return
    for sentence in found.unasked:
        yield Check(name="leftovers", status="warning", detail=sentence)
    left = [each for each in found.runs if each.driver == "gone"]
    if not left:
        yield Check(name="leftovers", detail="no run has left anything, as far as is on record")
        return
    hourly = hourly_of(item for each in left for item in each.record.resources)
    price = "?" if hourly is None else f"${hourly:.2f}"
    runs = ", ".join(each.record.run for each in left)
    yield Check(
        name="leftovers",
        status="fail",
        detail=f"{runs} left what costs {price} an hour",
        cure="remove it: scalable down --all",
    )


def _failed(name: str, error: ScalableError) -> Check:
    return Check(name=name, status="fail", detail=error.message, cure=error.cure)


def _context(plan: Plan, **more: Any) -> HookContext:
    return HookContext(
        project=plan.project.name,
        workdir=Path(plan.manifest).parent,
        dry_run=True,
        deadline=time.monotonic() + PATIENCE,
        **more,
    )
