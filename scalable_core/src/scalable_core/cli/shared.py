"""Runs of other machines, whose records are in the project's storage."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from scalable_core.cli.history import runs_folder
from scalable_core.errors import ScalableError, UsageError

if TYPE_CHECKING:
    from scalable_core.records.overview import RunOverview
    from scalable_core.types import Storage


def find_run_anywhere(name: str | None, *, quiet: bool) -> Path:
    """Return the folder of one run, its records fetched when only the project's storage has them.

    Args:
        name: As `scalable_core.records.reading.find_run` takes it.
        quiet: Do not say that records are fetched.

    Raises:
        UsageError: There is no such run, or more than one.
    """
    from scalable_core.records.reading import find_run, read_record
    from scalable_core.records.shared import is_copy

    runs = runs_folder()
    try:
        folder = find_run(runs, name)
    except UsageError as error:
        fetched = _fetch(name, runs, quiet=quiet, why=error) if _is_absent(name, runs) else None
        if fetched is None:
            raise
        return fetched
    if is_copy(folder) and read_record(folder).ended is None:  # it has gone on since
        return _fetch(folder.name, runs, quiet=quiet) or folder
    return folder


def refresh_copies() -> None:
    """Fetch the records of runs again whose copies here do not say how they ended; what fails is left out."""
    from scalable_core.records.reading import list_runs, read_record
    from scalable_core.records.shared import is_copy

    for folder in list_runs(runs_folder()):
        try:
            if is_copy(folder) and read_record(folder).ended is None:
                _fetch(folder.name, runs_folder(), quiet=True)
        except ScalableError:
            continue


def _is_absent(name: str | None, runs: Path) -> bool:
    """Return whether a name may be that of a run which is not here."""
    from scalable_core.records.reading import list_runs

    if name is None:
        return not list_runs(runs)
    is_path = "/" in name or "\\" in name
    return not is_path and not any(name in folder.name for folder in list_runs(runs))


def list_shared(known: set[str]) -> list[RunOverview]:
    """Return the runs that only the project's storage has, the latest first; their ``folder`` is None.

    Args:
        known: Ids of the runs that are here.

    Raises:
        UsageError: The project has no storage.
        StorageError: It cannot be read.
    """
    import attrs

    from scalable_core.records.folder import HEARTBEAT
    from scalable_core.records.overview import list_overviews
    from scalable_core.records.shared import fetch_run, shared_runs

    storage = project_storage()
    if storage is None:
        raise UsageError(
            "the project has no storage that machines share",
            cure="name one in the manifest, such as default_storage: s3://bucket/prefix",
        )
    with tempfile.TemporaryDirectory() as name:
        for run in shared_runs(storage):
            if run not in known:
                fetch_run(storage, run, Path(name) / "runs", only={"run.json", HEARTBEAT})
        return [attrs.evolve(run, folder=None) for run in list_overviews(Path(name) / "runs")]


def _fetch(
    name: str | None, runs: Path, *, quiet: bool, why: UsageError | None = None
) -> Path | None:
    """Fetch a run that is not here; None when the project has no storage, or that has no such run."""
    from scalable_core.cli.terminal import say
    from scalable_core.records.reading import choose_run
    from scalable_core.records.shared import fetch_run, shared_runs

    try:
        storage = project_storage()
        if storage is None:
            return None
        there = shared_runs(storage)
    except ScalableError as error:
        if why is not None:
            why.cure = f"{why.cure}; the project's storage cannot be asked: {error.message}"
        return None
    if not there:
        return None
    try:
        run = choose_run(there, name, storage.uri)
    except UsageError:
        return None
    if not quiet:
        say(f"Fetching the records of {run} from {storage.uri}")
    return fetch_run(storage, run, runs)


def project_storage() -> Storage | None:
    """Return the project's storage; None when it names none.

    Raises:
        ScalableError: There is no manifest, or it has problems.
    """
    from scalable_core.cli.host import make_host
    from scalable_core.cli.kept import read_project, storage_of
    from scalable_core.session.planning import planning_context
    from scalable_core.session.storage import open_storage

    host = make_host(quiet=True, verbose=0, offline=False)
    manifest = read_project(host)
    project = manifest.project
    if project.default_storage is None:
        return None
    return open_storage(storage_of(manifest), host=host, context=planning_context(manifest))
