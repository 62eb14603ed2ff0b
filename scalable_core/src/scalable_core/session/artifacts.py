"""The artifacts of one run: what it has stored, and the ways to store more and to get it back."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalable_core.artifacts import INDEX, artifact_uri
from scalable_core.artifacts.collection import ArtifactCollection
from scalable_core.artifacts.index import index_document
from scalable_core.artifacts.later import Later
from scalable_core.artifacts.task import as_reference, run_here, run_over
from scalable_core.artifacts.transfer import store, store_once
from scalable_core.artifacts.value import Row, store_value
from scalable_core.errors import ArtifactError, ScalableError
from scalable_core.plugins import PluginHost
from scalable_core.types import Artifact, ArtifactRef, Event, HookContext, Plan, to_data

if TYPE_CHECKING:
    from distributed import Client

    from scalable_core.session.serving import Serving

#: The table of a run's records that has its artifacts.
TABLE = "artifacts.jsonl"


class RunArtifacts(ArtifactCollection):
    """The artifacts of one run, which may store more.

        for ref in session.artifacts:
            print(ref.name, ref.size, ref.task)
        session.artifacts.fetch("results/scenario_42.json", "here.json")

    Args:
        record: Takes a row for the run's own records.
        **facts: As for `ArtifactCollection`.
    """

    def __init__(self, *, record: Callable[[Row], None] = lambda row: None, **facts: Any) -> None:
        super().__init__(**facts)
        self._record = record
        self._saved = Later(self.save)
        self._serving: Serving | None = None

    @classmethod
    def of_run(
        cls,
        plan: Plan,
        run_dir: Path,
        host: PluginHost,
        context: Callable[[], HookContext],
        recorded: Callable[[], bool],
    ) -> RunArtifacts:
        """Return those of a run that begins in a folder of records; ``recorded`` says whether it has begun."""
        return cls(
            storage=plan.stores.artifacts,
            run=run_dir.name,
            project=plan.project.name,
            host=host,
            context=context,
            record=lambda row: append_row(run_dir, row) if recorded() else None,
        )

    def store(self, name: str, value: Any, *, overwrite: bool = False) -> ArtifactRef:
        """Keep something of this run and return where it is and what it is.

        Args:
            name: Relative path such as ``results/scenario_42.json``; the suffix decides the form.
            value: As for `scalable.store_artifact`.
            overwrite: Take the place of what has the name already; otherwise that is an error.

        Returns:
            Of a folder, whose files are artifacts each, where the folder is, and the digest of its list.

        Raises:
            ArtifactError: The name or value does not fit, the name exists already, or the place cannot be
                written. Of a folder nothing is kept then.
            StorageError: It is stored, but is not in the list beside the artifacts.
        """
        new: list[ArtifactRef] = []

        def send(name: str, data: bytes | Path, media_type: str) -> Row:
            artifact = Artifact(
                name=name, data=data, media_type=media_type, run=self.run, overwrite=overwrite
            )
            ref = store(artifact, self._uri(name), host=self._host, context=self.context())
            new.append(ref)
            return _row(ref)

        try:
            row = store_value(name, value, send)
        except BaseException:
            if not overwrite:
                self._delete([ref.name for ref in new])
            raise
        for ref in new:
            self._note(ref)
        if self._serving is None:  # there is no end of a run to wait for
            self.save()
        return as_reference(row)

    def begin(self) -> None:
        """Let `store_artifact` in this process store artifacts of this run, which has records now."""
        for ref in self:  # stored before that
            self._record(_row(ref))
        run_here(self.store)

    def serve(self, client: Client) -> None:
        """Let calls on the workers of a cluster store artifacts too."""
        from scalable_core.session.serving import Serving

        self._serving = Serving(self, client)

    def store_for_task(self, artifact: Artifact) -> ArtifactRef:
        """Store what a task has made, or find that the task has stored it in an earlier attempt.

        Raises:
            ArtifactError: Other bytes have the name, or another task has made them, or it cannot be stored.
        """
        ref, new = store_once(
            artifact,
            artifact_uri(self.storage, self.run, artifact.name),
            host=self._host,
            context=self.context(),
            known=lambda: self._refs.get(artifact.name),
        )
        return self.note_for_task(ref, new=new)

    def note_for_task(self, ref: ArtifactRef, *, new: bool) -> ArtifactRef:
        """Note what a task has stored now, or, unless ``new``, in an earlier attempt.

        Raises:
            ArtifactError: Another task has stored it, or the workflow.
        """
        known = self._refs.get(ref.name)
        if known is None or new:
            self._note(ref)
            return ref
        if (known.task, known.digest) == (ref.task, ref.digest):
            return known
        maker = "the workflow" if known.task is None else f"task {known.task!r}"
        raise ArtifactError(
            f"{known.uri} exists already: {maker} has stored it",
            cure="store it under another name, or with overwrite=True",
        )

    def save(self) -> None:
        """Write the list of what there is beside it.

        Raises:
            StorageError: The place cannot be written.
        """
        document = index_document(self.project, self.run, self)
        data = (json.dumps(document, indent=1) + "\n").encode()
        self._place().put(f"{self.run}/{INDEX}", data)

    def close(self) -> None:
        """Serve no longer, and write the list for the last time, if anything was stored since."""
        run_over(self.store)
        if self._serving is not None:
            self._serving.close()
            self._serving = None
        try:
            self._saved.close()
        except ScalableError as error:
            message = f"the list of the run's artifacts is not beside them: {error.message}"
            event = Event(time=time.time(), kind="artifacts.failed", message=message)
            self.context().events.emit(event)

    def _note(self, ref: ArtifactRef) -> None:
        with self._lock:
            self._refs[ref.name] = ref
            self._record(_row(ref))
        if self._serving is not None:
            self._saved.ask()

    def _delete(self, names: Sequence[str]) -> None:
        for name in names:
            try:
                self._place().delete(f"{self.run}/{name}")
            except ScalableError:
                return  # what went wrong before says more

    def _uri(self, name: str) -> str:
        return artifact_uri(self.storage, self.run, name)


def append_row(run_dir: Path, row: Row) -> None:
    """Add a row to the table of artifacts in the records of a run, which may be over."""
    with (run_dir / TABLE).open("a", encoding="utf-8") as file:
        file.write(json.dumps(row, separators=(",", ":")) + "\n")


def _row(ref: ArtifactRef) -> Row:
    row: Row = to_data(ref)
    return row
