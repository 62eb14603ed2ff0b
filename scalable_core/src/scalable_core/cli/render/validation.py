"""The verdict over a manifest, as text and as data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scalable_core.cli.render.problems import count
from scalable_core.cli.terminal import Look, clean
from scalable_core.types import Manifest, Problem, to_data

VALIDATION_SCHEMA = "scalable.validation/1"

#: The format of manifests that this version reads.
MANIFEST_VERSION = 1


def render_verdict(
    problems: Sequence[Problem], look: Look, *, path: str, manifest: Manifest | None = None
) -> str:
    """Return the verdict: ``2 errors, 1 warning in scalable.yaml (schema v1)``.

    Args:
        problems: All that were found.
        look: Of the stream.
        path: Of the manifest, as the user gave it.
        manifest: What was read; None when that was not possible.
    """
    errors = sum(problem.severity == "error" for problem in problems)
    warnings = len(problems) - errors
    parts = []
    if errors:
        parts.append(look.paint(count(errors, "error"), "red", "bold"))
    if warnings:
        parts.append(look.paint(count(warnings, "warning"), "yellow", "bold"))
    verdict = ", ".join(parts) or look.paint("no problems", "green", "bold")
    verdict += f" in {clean(path)} (schema v{MANIFEST_VERSION})"
    if manifest is None or errors:
        return verdict
    return f"{verdict}: {_contents(manifest)}"


def validation_document(
    problems: Sequence[Problem], *, path: str, manifest: Manifest | None
) -> dict[str, Any]:
    """Return the verdict as plain data for programs."""
    errors = sum(problem.severity == "error" for problem in problems)
    return {
        "schema": VALIDATION_SCHEMA,
        "manifest": path,
        "target": manifest.target.name if manifest and manifest.target else None,
        "valid": not errors,
        "errors": errors,
        "warnings": len(problems) - errors,
        "problems": to_data(tuple(problems)),
    }


def _contents(manifest: Manifest) -> str:
    targets = count(len(manifest.providers), "target")
    if manifest.target is not None:
        targets += f" (checked for {manifest.target.name})"
    components, tasks = len(manifest.components), len(manifest.tasks)
    return f"{targets}, {count(components, 'component')}, {count(tasks, 'task')}"
