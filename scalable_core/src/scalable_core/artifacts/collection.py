"""The artifacts of one run by name: found, fetched, checked, removed."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

from attrs import frozen

from scalable_core.artifacts.index import place_of, read_index
from scalable_core.artifacts.names import INDEX, plain_place
from scalable_core.artifacts.transfer import digest_at, digest_of, open_place
from scalable_core.artifacts.transfer import fetch as fetch_one
from scalable_core.errors import ArtifactError, ScalableError, UsageError
from scalable_core.plugins import PluginHost
from scalable_core.types import ArtifactRef, HookContext, Storage, StoredObject, TransferProgress

#: Artifacts that are fetched, checked or removed at one time.
_AT_ONCE = 8


@frozen(kw_only=True)
class Check:
    """What became of one artifact.

    Attributes:
        ref: What was stored.
        problem: What is wrong with what is there now; None when nothing is.
    """

    ref: ArtifactRef
    problem: str | None = None


class ArtifactCollection:
    """The artifacts of one run, in the order of their names.

    Args:
        storage: Folder or URI under which runs keep their artifacts.
        run: The run's id.
        project: The project's name.
        host: The plugins.
        context: Makes the context of a call of a hook.
        refs: What is there.
    """

    def __init__(
        self,
        *,
        storage: str,
        run: str,
        project: str,
        host: PluginHost,
        context: Callable[[], HookContext],
        refs: Sequence[ArtifactRef] = (),
    ) -> None:
        self.storage, self.run, self.project = plain_place(storage), run, project
        self.context = context
        self._host = host
        self._refs = {ref.name: ref for ref in refs}
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[ArtifactRef]:
        with self._lock:
            refs = list(self._refs.values())
        return iter(sorted(refs, key=lambda ref: ref.name))

    def __len__(self) -> int:
        return len(self._refs)

    def __contains__(self, name: object) -> bool:
        return name in self._refs

    def find(self, name: str) -> list[ArtifactRef]:
        """Return the artifact of a name, or those in the folder of that name; of ``""`` all.

        Raises:
            UsageError: There is none.
        """
        name = name.rstrip("/")
        refs = list(self)
        found = [ref for ref in refs if ref.name == name]
        found = found or [ref for ref in refs if not name or ref.name.startswith(f"{name}/")]
        if found:
            return found
        if not refs:
            raise UsageError(f"run {self.run} has stored no artifacts")
        from difflib import get_close_matches

        folders = {str(above) for ref in refs for above in PurePosixPath(ref.name).parents}
        close = get_close_matches(name, [*folders, *(ref.name for ref in refs)], n=1)
        raise UsageError(
            f"run {self.run} has no artifact {name!r}",
            cure=f"did you mean {close[0]!r}?" if close else "list them: scalable artifacts ls",
        )

    def fetch(
        self,
        name: str,
        to: str | Path | None = None,
        *,
        overwrite: bool = False,
        done: Callable[[ArtifactRef], None] = lambda ref: None,
    ) -> Path:
        """Fetch an artifact, or all in a folder, and check that they are what was stored.

        What is there already with the same bytes is not fetched again.

        Args:
            name: Of an artifact or a folder; ``""`` for all of the run.
            to: The file or folder to write; by default it has the last part of the name, in the current folder.
            overwrite: Write over files with other bytes; otherwise they are an error.
            done: Told of each artifact that is there.

        Raises:
            UsageError: There is no such artifact.
            ArtifactError: It is not what was stored, or cannot be read or written.
        """
        refs = self.find(name)
        name = name.rstrip("/")
        target = Path(to) if to is not None else Path(name.rpartition("/")[2] or self.run)
        if len(refs) == 1 and refs[0].name == name:
            if target.is_dir():
                target = target / name.rpartition("/")[2]
            pairs = [(refs[0], target)]
        else:
            pairs = [(ref, target / ref.name[len(name) :].lstrip("/")) for ref in refs]

        def get(pair: tuple[ArtifactRef, Path]) -> None:
            self._fetch(*pair, overwrite=overwrite)
            done(pair[0])

        for _ in self._at_once(get, pairs):
            pass
        return target

    def verify(self, name: str = "") -> Iterator[Check]:
        """Yield for each artifact whether it is there, whole and unchanged; all bytes are read.

        Args:
            name: Of an artifact or a folder; ``""`` for all of the run.
        """
        return self._at_once(self._check, self.find(name))

    def objects(self) -> list[StoredObject]:
        """Return everything that is below the run's prefix now, what it has no record of included.

        Raises:
            StorageError: The place cannot be read.
        """
        return list(self._place().list(f"{self.run}/"))

    def remove(self) -> None:
        """Remove everything that is below the run's prefix.

        Raises:
            StorageError: The place cannot be read, or something may not be removed.
        """
        place = self._place()
        for _ in self._at_once(lambda each: place.delete(each.key), self.objects()):
            pass
        if "://" not in self.storage:
            shutil.rmtree(Path(self.storage) / self.run, ignore_errors=True)  # the empty folders
        with self._lock:
            self._refs.clear()

    def merge(self) -> None:
        """Take in what others have added to the list beside the artifacts; this run's own records win.

        Raises:
            ArtifactError: The list is damaged.
            StorageError: The place cannot be read.
        """
        try:
            listed = read_index(self._place().get(f"{self.run}/{INDEX}"))
        except FileNotFoundError:
            return
        with self._lock:
            self._refs = {**{ref.name: ref for ref in listed}, **self._refs}

    def _fetch(self, ref: ArtifactRef, target: Path, *, overwrite: bool) -> None:
        if target.is_file() and not overwrite:
            if digest_of(target) == ref.digest:
                return
            raise ArtifactError(
                f"{target} exists, and is not artifact {ref.name!r}",
                cure="name another place (-o), or say that it may be overwritten (--overwrite)",
            )
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ArtifactError(f"{target.parent} cannot be made: {error.strerror}") from None
        fetch_one(ref, target, host=self._host, context=self.context())

    def _check(self, ref: ArtifactRef) -> Check:
        try:
            context = self.context()
            place = open_place(place_of(ref), host=self._host, context=context)
            progress = TransferProgress(context.events, ref.uri, ref.size)
            digest, size = digest_at(place, ref.name, arrived=progress.add)
        except FileNotFoundError:
            return Check(ref=ref, problem="is not there")
        except ScalableError as error:
            return Check(ref=ref, problem=error.message)
        if digest == ref.digest:
            return Check(ref=ref)
        what = f"has {size:,} bytes, not {ref.size:,}" if size != ref.size else "was changed"
        return Check(ref=ref, problem=f"{what}: its digest is {digest}, not {ref.digest}")

    def _at_once(self, function: Callable[[Any], Any], things: Sequence[Any]) -> Iterator[Any]:
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="scalable-artifacts") as pool:
            try:
                yield from pool.map(function, things)
            finally:
                pool.shutdown(cancel_futures=True)

    def _place(self) -> Storage:
        return open_place(self.storage, host=self._host, context=self.context())
