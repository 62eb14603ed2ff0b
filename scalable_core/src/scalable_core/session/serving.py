"""Artifacts of calls on workers: the driver notes what they store, and stores what they cannot."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalable_core.artifacts.task import Place, as_reference, folder_mark
from scalable_core.artifacts.transfer import digest_of
from scalable_core.artifacts.value import Row
from scalable_core.errors import ArtifactError
from scalable_core.types import Artifact, to_data

if TYPE_CHECKING:
    from distributed import Client

    from scalable_core.session.artifacts import RunArtifacts


class Serving:
    """Answers what the workers of a cluster ask about artifacts, until it is closed.

    Args:
        artifacts: Those of the run.
        client: A client of the cluster.
    """

    def __init__(self, artifacts: RunArtifacts, client: Client) -> None:
        from scalable_core.artifacts.relay import ArtifactRelay, Listener, PlacePlugin

        context = artifacts.context()
        local = "://" not in artifacts.storage
        place = Place(
            storage=artifacts.storage,
            run=artifacts.run,
            project=context.project,
            workdir=str(context.workdir),
            mark=folder_mark(artifacts.storage if local else str(context.workdir)),
        )
        self._artifacts = artifacts
        self._folder = tempfile.TemporaryDirectory(prefix="scalable-")
        client.register_plugin(ArtifactRelay(client.id))
        client.register_plugin(PlacePlugin(place))
        self._listener = Listener(client, self._answer)

    def close(self) -> None:
        """Answer what has been asked, and no more."""
        self._listener.close()
        self._folder.cleanup()

    def _answer(self, message: Mapping[str, Any]) -> Row:
        """Do what a worker asks.

        Raises:
            ArtifactError: It cannot be stored, or another task has stored it.
        """
        if message["do"] == "note":
            ref = as_reference(message["row"])
            return _row(self._artifacts.note_for_task(ref, new=message["new"]))
        path = Path(self._folder.name) / message["transfer"]
        if message["do"] == "take" or path.exists():
            with path.open("ab") as file:
                file.write(message["data"])
        if message["do"] == "take":
            return {}
        try:
            return self._store(message, path if path.exists() else message["data"])
        finally:
            path.unlink(missing_ok=True)

    def _store(self, message: Mapping[str, Any], data: bytes | Path) -> Row:
        artifact = Artifact(data=data, run=self._artifacts.run, **message["artifact"])
        if digest_of(data) != message["digest"]:
            raise ArtifactError(
                f"artifact {artifact.name!r} did not arrive as it was sent", cure="try it again"
            )
        return _row(self._artifacts.store_for_task(artifact))


def _row(ref: Any) -> Row:
    row: Row = to_data(ref)
    return row
