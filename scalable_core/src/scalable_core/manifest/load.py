"""Reads a manifest: the order in which everything here is done."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path as FilePath

from scalable_core.manifest.check import Checker
from scalable_core.manifest.findings import Findings
from scalable_core.manifest.lock import lock_document, redact_document
from scalable_core.manifest.outline import VERSION, check_outline
from scalable_core.manifest.read import read_document
from scalable_core.manifest.resolve import Resolver
from scalable_core.manifest.selection import AUTO, Auto, choose_target, existing_overlays
from scalable_core.manifest.survey import Survey
from scalable_core.manifest.targets import TargetReader
from scalable_core.types import Manifest, OptionsLookup


def read_manifest(
    path: str | os.PathLike[str],
    *,
    target: str | Auto | None = AUTO,
    overlays: Sequence[str] = (),
    options: OptionsLookup,
    environ: Mapping[str, str] | None = None,
) -> Manifest:
    """Return a manifest, checked, with variables and overlays applied.

    The selected target and the shared sections must be right, variables included. The other targets are
    checked as far as that goes without their variables: what is wrong there is a warning when a target is
    selected and an error when none is.

    Args:
        path: The file; relative paths in it start at its folder.
        target: A name; `AUTO` for ``SCALABLE_TARGET``, else the only target, else ``local``; None to check
            the whole file, overlays included, for no target in particular.
        overlays: Names of overlays to lay over the file, after those that the target names.
        options: Finds a provider's options class(es).
        environ: The variables; those of the process when None.

    Raises:
        ManifestError: With all problems, in file order.
    """
    findings = Findings(os.fspath(path))
    file = FilePath(path)
    environ = os.environ if environ is None else environ
    raw = check_outline(read_document(file, findings), findings)
    resolver = Resolver(raw, environ, existing_overlays(raw, overlays, findings))
    selected = choose_target(resolver.base, target, environ, findings)
    names = resolver.extra if selected is None else resolver.overlays_of(selected, findings)
    root = resolver.resolve(names, findings, targets=[] if selected is None else [selected])

    checker = Checker(root, findings, file.absolute().parent)
    survey = Survey(resolver, options, checker.folder)
    project = checker.project()
    components = checker.components()
    known = (
        root["components"]
        if selected
        else root["components"].keys() | survey.overlaid("components")
    )
    tasks = checker.tasks(components=known)
    reader = TargetReader(checker, options, selected=selected)
    chosen = None if selected is None else reader.read(selected)
    others = Findings(findings.file)
    providers, sealed = survey.targets(others, besides=selected)
    findings.absorb(others, as_warnings=selected is not None)
    if selected is None:
        survey.overlays(findings)
    if findings.failed or project is None:
        findings.fail()

    if chosen is not None:
        providers[chosen.name] = chosen.provider
    document = redact_document(root, sealed if chosen is None else reader.sealed)
    return Manifest(
        version=VERSION,
        path=file,
        project=project,
        target=chosen,
        providers={name: providers[name] for name in resolver.base["targets"]},
        components=components,
        tasks=tasks,
        overlays=names,
        lock=lock_document(document),
        document=document,
        problems=findings.problems,
    )


def list_targets(
    path: str | os.PathLike[str], *, environ: Mapping[str, str] | None = None
) -> tuple[tuple[str, ...], str | None]:
    """Return the names of a manifest's targets, and the one that `AUTO` stands for; None when it is none.

    Args:
        path: The file.
        environ: The variables; those of the process when None.

    Raises:
        ManifestError: It cannot be read as a manifest at all.
    """
    findings = Findings(os.fspath(path))
    raw = check_outline(read_document(FilePath(path), findings), findings)
    environ = os.environ if environ is None else environ
    return tuple(raw["targets"]), choose_target(raw, AUTO, environ, Findings(findings.file))
