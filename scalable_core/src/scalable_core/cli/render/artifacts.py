"""Artifacts as lines and as plain data."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

from scalable_core.artifacts.collection import ArtifactCollection, Check
from scalable_core.artifacts.index import ARTIFACTS_SCHEMA, index_document
from scalable_core.cli.render.runs import ago
from scalable_core.cli.render.table import Cell, table
from scalable_core.cli.terminal import Look, clean
from scalable_core.records.reading import seconds_of
from scalable_core.records.report.words import count, short_id, size
from scalable_core.types import ArtifactRef


def sum_up(refs: Sequence[ArtifactRef]) -> str:
    """Say how many artifacts there are, and how large all of them."""
    return f"{count(len(refs), 'artifact')} ({size(sum(ref.size for ref in refs))})"


def render_listing(
    artifacts: ArtifactCollection, look: Look, *, now: float | None = None
) -> list[str]:
    """Return a line for each artifact, and one for all of them.

    Args:
        artifacts: Those of a run.
        look: Of the stream.
        now: Epoch seconds; the present when None.
    """
    refs = list(artifacts)
    moment = time.time() if now is None else now
    rows: list[Sequence[Cell]] = [
        [(head, "dim") for head in ("NAME", "SIZE", "MADE BY", "STORED", "DIGEST")]
    ]
    for ref in refs:
        rows.append([
            clean(ref.name),
            size(ref.size),
            clean(maker(ref)),
            _when(ref, moment),
            ref.digest.removeprefix("sha256:")[:12],
        ])  # fmt: skip
    where = f"{sum_up(refs)} of {short_id(artifacts.run)} in {shown_place(artifacts)}"
    return [*table(rows, look, align="lrlll", shrink=0, spare=[4, 3]), where]


def artifacts_document(artifacts: ArtifactCollection) -> dict[str, Any]:
    """Return the artifacts of a run as plain data with ``schema`` first."""
    document = index_document(artifacts.project, artifacts.run, artifacts)
    return {**document, "place": f"{artifacts.storage}/{artifacts.run}"}


def render_checks(checks: Sequence[Check], look: Look) -> list[str]:
    """Return a line for each artifact that is not what was stored, and the verdict."""
    lines = [
        f"{look.paint('x', 'red', 'bold')} {clean(check.ref.name)}: {clean(check.problem)}"
        for check in checks
        if check.problem is not None
    ]
    all_of_them = sum_up([check.ref for check in checks])
    if not lines:
        return [look.paint(f"{all_of_them} checked: all are what was stored", "green")]
    verdict = f"{all_of_them} checked: {len(lines)} not what was stored"
    return [*lines, look.paint(verdict, "red")]


def checks_document(run: str, checks: Sequence[Check]) -> dict[str, Any]:
    """Return checks as plain data."""
    checked = [
        {"name": check.ref.name, "uri": check.ref.uri, "problem": check.problem} for check in checks
    ]
    return {"schema": ARTIFACTS_SCHEMA, "run": run, "checked": checked}


def shown_place(artifacts: ArtifactCollection) -> str:
    """Return where a run's artifacts are, from the current folder where that is shorter."""
    place = f"{artifacts.storage}/{artifacts.run}"
    return place if "://" in place else min(place, os.path.relpath(place), key=len)


def maker(ref: ArtifactRef) -> str:
    """Return who made an artifact: its task and component, or the workflow."""
    if ref.task is None:
        return "workflow"
    return ref.task if ref.component in (None, ref.task) else f"{ref.task} on {ref.component}"


def _when(ref: ArtifactRef, now: float) -> str:
    try:
        return ago(now - seconds_of(ref.created))
    except ValueError:
        return "?"
