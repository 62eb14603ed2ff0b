"""What of this environment travels to workers whose image has Python alone, told from metadata.

These are the requirements of Scalable itself, the distributions whose modules the workflow's folder imports,
those that the manifest's ``packages`` names, and all that these require in turn, each in the version installed
here. Scalable itself comes with the travelling code.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import (
    Distribution,
    PackageNotFoundError,
    distribution,
    distributions,
    packages_distributions,
)
from pathlib import Path
from urllib.parse import unquote, urlsplit

from attrs import evolve, frozen
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from scalable_core.errors import UsageError
from scalable_core.member.bundle import CORE, modules_beside
from scalable_core.types import Plan, Problem

#: Scalable's own distributions, which come with the travelling code.
OWN = ("scalable", "scalable-core")
#: Parts of Dask that need an extra, which no import says.
_DASK = {"dask.dataframe": "dask[dataframe]", "dask.array": "dask[array]"}


@frozen(kw_only=True)
class Luggage:
    """What travels.

    Attributes:
        distributions: By their canonical names.
        problems: Modules that are imported and do not travel.
    """

    distributions: dict[str, Distribution]
    problems: tuple[Problem, ...] = ()


def with_packages(plan: Plan) -> Plan:
    """Return the plan with what travels to its groups without an image.

    Raises:
        UsageError: The manifest's ``packages`` names one that is not installed.
    """
    if not any(group.environment for group in plan.groups):
        return plan
    luggage = pack_up(plan)
    names = (f"{name} {dist.version}" for name, dist in luggage.distributions.items())
    return evolve(plan, packages=tuple(names), problems=(*plan.problems, *luggage.problems))


def pack_up(plan: Plan) -> Luggage:
    """Return what travels for a plan.

    Raises:
        UsageError: The manifest's ``packages`` names one that is not installed.
    """
    imports = imported_modules(Path(plan.workflow))
    tops = {name.partition(".")[0] for name in imports} - set(CORE)
    known = _owners(tops)
    wanted = [Requirement(name) for top in sorted(tops) for name in known.get(top, ())]
    wanted += [Requirement(_DASK[name]) for name in sorted(imports & _DASK.keys())]
    wanted += [Requirement("scalable-core")]
    problems = tuple(
        Problem(
            code="W0402",
            severity="warning",
            where="project.packages",
            message=f"the workflow imports {top}, which is of no installed package and does not travel",
            cure="install what it belongs to, or move it beside the workflow",
        )
        for top in sorted(tops)
        if top not in known and _is_elsewhere(top, Path(plan.workflow).parent)
    )
    found = closure([*wanted, *_named(plan.project.packages)])
    return Luggage(distributions=found, problems=problems)


def _owners(tops: Iterable[str]) -> dict[str, list[str]]:
    """Return the distributions that modules are of, by the first part of their names.

    The metadata of one that is installed as editable may not name its modules: they lie in its folder.
    """
    known = {top: names for top, names in packages_distributions().items() if top in tops}
    folders = {}
    for dist in distributions():
        origin = json.loads(dist.read_text("direct_url.json") or "{}")
        if origin.get("dir_info", {}).get("editable"):
            folders[Path(unquote(urlsplit(origin["url"]).path)).resolve()] = dist.name
    for top in sorted(set(tops) - known.keys()) if folders else ():
        place = _place_of(top)
        owners = [each for each in folders if place and place.resolve().is_relative_to(each)]
        if owners:
            known[top] = [folders[max(owners, key=lambda folder: len(folder.parts))]]
    return known


def imported_modules(workflow: Path) -> set[str]:
    """Return the dotted names that the modules of a workflow's folder import, wherever in them."""
    found: set[str] = set()
    for path in modules_beside(workflow).values():
        try:
            tree = ast.parse(path.read_bytes())
        except (OSError, SyntaxError, ValueError):
            continue  # its import says so
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module)
                found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def closure(wanted: Iterable[Requirement]) -> dict[str, Distribution]:
    """Return the installed distributions that requirements come to, theirs included, by canonical name.

    What is required and not installed is left out: it is not here either.
    """
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, str]] = set()
    rest = [(requirement, extra) for requirement in wanted for extra in _extras(requirement)]
    while rest:
        requirement, extra = rest.pop()
        name = canonicalize_name(requirement.name)
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            dist = distribution(requirement.name)
        except PackageNotFoundError:
            continue
        if name not in OWN:
            found[name] = dist
        for text in dist.requires or ():
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                rest += [(needed, each) for each in _extras(needed)]
    return dict(sorted(found.items()))


def _extras(requirement: Requirement) -> Iterator[str]:
    yield ""
    yield from sorted(requirement.extras)


def _named(packages: Iterable[str]) -> Iterator[Requirement]:
    for text in packages:
        try:
            requirement = Requirement(text)
            distribution(requirement.name)
        except (InvalidRequirement, PackageNotFoundError):
            raise UsageError(
                f"project.packages names {text!r}, which is not installed here",
                cure="correct the name of the package, or install it: workers get what is installed here",
            ) from None
        yield requirement


def _is_elsewhere(top: str, folder: Path) -> bool:
    """Whether a module can be imported here, and comes neither with Python nor from the workflow's folder."""
    if top in sys.stdlib_module_names or (folder / top).is_dir() or (folder / f"{top}.py").exists():
        return False
    return _place_of(top) is not None


def _place_of(top: str) -> Path | None:
    """Return where a module lies that can be imported here; None when there is none."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    places = [*(spec.submodule_search_locations or ()), spec.origin] if spec else []
    return next((Path(place) for place in places if place), None)
