"""Compares what is in a plan's images with what this process has, before anything is paid."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from scalable_core import oci
from scalable_core.session.detached import local_versions
from scalable_core.session.planning import image_platform
from scalable_core.types import Plan, Problem, WorkerGroup


def image_problems(plan: Plan) -> list[Problem]:
    """Return which images have other versions than this process, and of which that is not known.

    Registries are asked, once for each digest; on this machine the runtime has told what it knows.

    Args:
        plan: With its images resolved.
    """
    return [problem for group in plan.groups for problem in _problems(group, plan)]


def _problems(group: WorkerGroup, plan: Plan) -> Iterator[Problem]:
    if group.resolved is None:
        return
    wanted = local_versions()
    if group.environment:
        wanted = {"python": wanted["python"]}  # the packages are brought
    wanted = {name: _compared(name, version) for name, version in wanted.items()}
    known = {name: _compared(name, version) for name, version in _known(group, plan).items()}
    differing = [name for name in wanted if name in known and known[name] != wanted[name]]
    where = f"components.{group.name}.image"
    if differing:
        has = ", ".join(f"{name} {known[name]}" for name in differing)
        uses = ", ".join(f"{name} {wanted[name]}" for name in differing)
        yield Problem(
            code="E0501",
            where=where,
            message=f"the image {group.image} has {has}, and this run uses {uses}",
            cure=_cure(group, differing, known, wanted),
        )
    elif missing := [name for name in wanted if name not in known]:
        yield Problem(
            code="I0501",
            severity="info",
            where=where,
            message=f"the versions of {', '.join(missing)} in {group.image} are compared when it has started",
        )
    else:
        versions = ", ".join(f"{name} {version}" for name, version in known.items())
        yield Problem(
            code="I0501", severity="info", where=where, message=f"{group.image} has {versions}"
        )


def _compared(name: str, version: str) -> str:
    """Return as much of a version as must be the same on both sides."""
    return ".".join(version.split(".")[:2]) if name in ("python", "cloudpickle") else version


def _cure(
    group: WorkerGroup, differing: list[str], known: Mapping[str, str], wanted: Mapping[str, str]
) -> str:
    if "python" in differing:
        which = "a base_image" if group.environment else "an image"
        return f"name {which} with Python {wanted['python']}, or run with Python {known['python']}"
    pins = " ".join(f"{name}=={wanted[name]}{'.*' * (name == 'cloudpickle')}" for name in differing)
    return f"install them in the image: pip install {pins}"


def _known(group: WorkerGroup, plan: Plan) -> Mapping[str, str]:
    image = group.resolved
    assert image is not None
    if image.versions or group.runtime:
        return image.versions
    note = Path(plan.stores.records).parent / "images" / f"{image.digest.rpartition(':')[2]}.json"
    try:
        found: dict[str, str] = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = oci.inspect(image.pinned, image_platform(plan))
        note.parent.mkdir(parents=True, exist_ok=True)
        if found:
            note.write_text(json.dumps(found), encoding="utf-8")
    return found
