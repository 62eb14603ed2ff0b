"""The artifacts of runs that are over: found by the run's records here, or by the list beside the artifacts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scalable_core.artifacts import INDEX, plain_place
from scalable_core.artifacts.index import latest, read_index, read_references
from scalable_core.errors import UsageError
from scalable_core.plugins import PluginHost
from scalable_core.records.folder import now
from scalable_core.records.reading import find_run
from scalable_core.session.artifacts import TABLE, RunArtifacts, append_row
from scalable_core.session.storage import open_storage
from scalable_core.types import ArtifactRef, EventSink, HookContext, NullSink


def open_artifacts(
    run: str | None,
    *,
    runs: Path,
    storage: Callable[[], tuple[str, str]],
    host: PluginHost,
    events: EventSink | None = None,
) -> RunArtifacts:
    """Return the artifacts of a run.

    Args:
        run: A part of its id that no other run here has, the path of its records, the whole id of a run whose
            records are elsewhere, or the URI of its artifacts; None for the latest run here.
        runs: The folder that holds the records of each run here.
        storage: Says where the project's runs keep artifacts, and the project's name; asked when the run's
            records are not here.
        host: The plugins.
        events: Hears how far transfers are.

    Raises:
        UsageError: There is no such run.
        StorageError: The place of its artifacts cannot be read.
    """
    if run is not None and "://" in run:
        place, _, name = plain_place(run).rpartition("/")
        return _elsewhere(place, name, "", host, events)
    try:
        folder = find_run(runs, run)
    except UsageError as error:
        if run is None or "is a part of" in error.message:
            raise
        place, project = storage()
        try:
            return _elsewhere(place, run, project, host, events)
        except UsageError as other:
            raise UsageError(f"{error.message}, and {other.message}", cure=error.cure) from None
    return _here(folder, host, events)


def note_removal(runs: Path, run: str) -> None:
    """Say in the records of a run, if they are here, that its artifacts are gone."""
    if (runs / run / TABLE).is_file():
        append_row(runs / run, {"removed": now()})


def _here(folder: Path, host: PluginHost, events: EventSink | None) -> RunArtifacts:
    try:
        plan = json.loads((folder / "plan.json").read_bytes())
        storage, project = plan["stores"]["artifacts"], plan["project"]["name"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(
            f"{folder / 'plan.json'} does not say where the run's artifacts are",
            cure="name the run by the URI of its artifacts",
        ) from None
    run = folder.resolve().name
    return RunArtifacts(
        storage=storage,
        run=run,
        project=project,
        host=host,
        context=_context(project, run, events),
        refs=_recorded(folder / TABLE),
        record=lambda row: append_row(folder, row),
    )


def _elsewhere(
    place: str, run: str, project: str, host: PluginHost, events: EventSink | None
) -> RunArtifacts:
    context = _context(project, run, events)
    objects = open_storage(place, host=host, context=context())
    try:
        refs = read_index(objects.get(f"{run}/{INDEX}"))
    except FileNotFoundError:
        raise UsageError(
            f"there is no {place}/{run}/{INDEX}",
            cure="list the runs of this project: scalable runs",
        ) from None
    return RunArtifacts(
        storage=place, run=run, project=project, host=host, context=context, refs=refs
    )


def _context(project: str, run: str, events: EventSink | None) -> Callable[[], HookContext]:
    return lambda: HookContext(project=project, run=run, events=events or NullSink())


def _recorded(path: Path) -> list[ArtifactRef]:
    """Return what the records say is there: what was stored since it was all removed, if it ever was."""
    rows: list[Any] = []
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return []
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue  # torn by a kill
        if isinstance(row, dict) and "removed" in row:
            rows.clear()
        else:
            rows.append(row)
    return latest(read_references(rows))
