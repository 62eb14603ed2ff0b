"""Asks a run to end, and sees to it that nothing of it is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalable_core.cli.history import runs_folder
from scalable_core.cli.kept import manifest_path
from scalable_core.errors import ScalableError

if TYPE_CHECKING:
    from scalable_core.plugins import PluginHost
    from scalable_core.session.control import What
    from scalable_core.session.following import Tail
    from scalable_core.types import ReleaseReport


def ask_to_end(tail: Tail, *, host: PluginHost, what: What) -> None:
    """Tell a run's driver that the run is to end, by the ways that it may listen on.

    Raises:
        StorageError: The only way is the project's storage, and that cannot be written.
    """
    from scalable_core.cli.shared import project_storage
    from scalable_core.records.shared import is_copy
    from scalable_core.session.control import request_end

    folder = runs_folder() / tail.run
    here = folder if (folder / "run.json").exists() and not is_copy(folder) else None
    try:
        storage = project_storage()
    except ScalableError:
        if here is None:
            raise
        storage = None
    try:
        request_end(tail.run, here, storage, what=what)
    except ScalableError:
        if here is None:
            raise


def verify_end(run: str, *, host: PluginHost) -> tuple[ReleaseReport, tuple[str, ...]]:
    """Ask every place what is left of a run that has ended, and remove it.

    Returns:
        What is gone and what remains, and the targets that were asked.

    Raises:
        ProviderError: What is left cannot be removed.
    """
    from scalable_core.session.running import end_run, find_running, left_of, open_project

    project = open_project(manifest_path(), None, host=host)
    found = find_running(project, host=host)
    return end_run(left_of(found, project, run), project, host=host), found.asked
