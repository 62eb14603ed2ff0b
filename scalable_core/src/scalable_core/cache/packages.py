"""Where a module comes from: Python itself, an installed package, or the project; and versions of packages."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import platform
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import PurePath
from typing import Literal

Origin = Literal["python", "package", "project"]

#: Scalable itself is never part of the project, even where it is installed from a checkout.
_OWN = frozenset({"scalable", "scalable_core"})
_STDLIB = tuple(
    sysconfig.get_path(name) + "/" for name in ("stdlib", "platstdlib") if sysconfig.get_path(name)
)
_SITE = tuple(
    sysconfig.get_path(name) + "/" for name in ("purelib", "platlib") if sysconfig.get_path(name)
)


@functools.lru_cache(maxsize=8192)
def origin_of_file(filename: str) -> Origin:
    """Say where the code of a file comes from."""
    if filename.startswith("<frozen"):
        return "python"
    parts = PurePath(filename).parts
    if filename.startswith(_SITE) or "site-packages" in parts or "dist-packages" in parts:
        return "package"
    return "python" if filename.startswith(_STDLIB) else "project"


def origin_of_module(name: str | None) -> Origin:
    """Say where a module comes from, imported or not; what has no module is the project's."""
    if not name or name == "__main__":
        return "project"
    top = name.partition(".")[0]
    if top in _OWN:
        return "package"
    module = sys.modules.get(name) or sys.modules.get(top)
    spec = getattr(module, "__spec__", None)
    file = getattr(module, "__file__", None)
    if module is None:
        try:
            spec = importlib.util.find_spec(top)
        except (ImportError, ValueError):
            spec = None
        file = spec.origin if spec is not None else None
    if file and file not in ("built-in", "frozen"):
        return origin_of_file(file)
    places = list(getattr(spec, "submodule_search_locations", None) or ())
    if places:
        return origin_of_file(places[0] + "/")
    if top in sys.stdlib_module_names or top in sys.builtin_module_names:
        return "python"
    # Not here at all: only an image has it. A module made by hand is the project's.
    return "package" if module is None else "project"


@functools.lru_cache(maxsize=1024)
def distribution_of(top: str) -> str | None:
    """Return the name of the distribution that provides a top-level module; None when none does."""
    try:
        return importlib.metadata.distribution(top.replace("_", "-")).name
    except (importlib.metadata.PackageNotFoundError, ValueError):
        pass
    if origin_of_module(top) != "package":
        return None
    found = _providers().get(top)
    return found[0] if found else None


@functools.cache
def _providers() -> dict[str, list[str]]:
    return {
        top: sorted(names) for top, names in importlib.metadata.packages_distributions().items()
    }


@functools.lru_cache(maxsize=1024)
def _requirements(dist: str) -> tuple[str, ...]:
    """Return the installed distributions that a distribution cannot do without."""
    from packaging.requirements import InvalidRequirement, Requirement

    needed = []
    for line in importlib.metadata.requires(dist) or ():
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            needed.append(requirement.name)
    return tuple(needed)


@functools.lru_cache(maxsize=1024)
def _version(dist: str) -> str | None:
    try:
        return importlib.metadata.version(dist)
    except importlib.metadata.PackageNotFoundError:
        return None


@functools.lru_cache(maxsize=256)
def _closure(tops: frozenset[str]) -> dict[str, str]:
    versions: dict[str, str] = {}
    waiting = [distribution_of(top) or top for top in sorted(tops)]
    while waiting:
        dist = waiting.pop()
        name = dist.lower().replace("_", "-")
        if name in versions:
            continue
        version = _version(dist)
        versions[name] = version or "not installed"
        if version is not None:
            waiting.extend(_requirements(dist))
    return dict(sorted(versions.items()))


def versions_of(tops: Iterable[str]) -> dict[str, str]:
    """Return the versions of Python and of the packages with these top-level modules, and of what they require.

    Packages that are required are in it because their code runs too: a new numpy changes what pandas does.
    """
    return {"python": platform.python_version(), **_closure(frozenset(tops))}
