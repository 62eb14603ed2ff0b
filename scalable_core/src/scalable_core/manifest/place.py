"""Gives the problems that a provider finds in its target their places in the manifest."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path as FilePath

import attrs

from scalable_core.errors import ManifestError
from scalable_core.manifest.findings import Findings
from scalable_core.manifest.outline import check_outline
from scalable_core.manifest.read import read_document
from scalable_core.manifest.resolve import Resolver
from scalable_core.manifest.tree import Map, Path, Seq, find, locate
from scalable_core.types import Problem


def place_problems(
    problems: Iterable[Problem],
    manifest_path: str | os.PathLike[str],
    prefix: str,
    *,
    overlays: Sequence[str] | None = None,
) -> tuple[Problem, ...]:
    """Return problems with file, line, column and the full path in the manifest.

    Args:
        problems: As `check_target` and `preflight` answer them; ``where`` is relative to the target.
        manifest_path: The manifest, as the user gave it.
        prefix: Such as ``targets.aws``.
        overlays: Those that were applied (`Manifest.overlays`); None for those that the target names.
    """
    problems = tuple(problems)
    if not problems:
        return ()
    root = _merged(manifest_path, prefix, overlays)
    return tuple(_place(problem, root, os.fspath(manifest_path), prefix) for problem in problems)


def _merged(
    manifest_path: str | os.PathLike[str], prefix: str, overlays: Sequence[str] | None
) -> Map | None:
    """Return the document with overlays applied; None when the file cannot be read any more."""
    findings = Findings(os.fspath(manifest_path))
    try:
        raw = check_outline(read_document(FilePath(manifest_path), findings), findings)
    except ManifestError:
        return None
    known = [name for name in overlays or () if name in raw["overlays"]]
    resolver = Resolver(raw, {}, known)
    target = prefix.removeprefix("targets.")
    if overlays is None and target in raw["targets"]:
        known = list(resolver.overlays_of(target, findings, lenient=True))
    return resolver.resolve(known, findings, lenient=True, components=(), tasks=())


def _place(problem: Problem, root: Map | None, file: str, prefix: str) -> Problem:
    where = ".".join(part for part in (prefix, problem.where) if part)
    if root is None:
        return attrs.evolve(problem, where=where, file=file)
    line, column = locate(root, _steps(root, where))
    return attrs.evolve(problem, where=where, file=file, line=line, column=column)


def _steps(root: Map, where: str) -> Path:
    """Split a dotted path along what is in the document: names may have dots in them."""
    steps: Path = ()
    rest = where.replace("[", ".").replace("]", "").split(".")
    while rest:
        node = find(root, steps)
        for length in range(len(rest), 0, -1):
            step = ".".join(rest[:length])
            if isinstance(node, Map) and step in node:
                steps, rest = (*steps, step), rest[length:]
                break
            if isinstance(node, Seq) and step.isdecimal():
                steps, rest = (*steps, int(step)), rest[length:]
                break
        else:
            return (*steps, ".".join(rest))
    return steps
