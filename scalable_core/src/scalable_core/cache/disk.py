"""A folder of entries: nothing in it is ever half there, and what a killed writer left is found and removed.

    entries/ab/<key>.json            metadata, and small plain values
    entries/ab/<key>.<digest>.npy    the value, named by its content
    code/ab/<digest>.json            what many entries share: the code they were computed with
    aside/<writer>.json, .value      what is being written
    locks                            who is computing what

A writer leaves its metadata aside first, then moves the value to its place, then the metadata: what it had
done when it was killed can be told from what is still aside.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from scalable_core.cache.locks import hold
from scalable_core.cache.values import Buffer
from scalable_core.cache.writers import is_orphan, new_name

_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EACCES})


class Disk:
    """Entries below a folder.

    Args:
        root: The folder; made when the first entry is written.
        fsync: Have the disk confirm every entry before it counts as written.
    """

    def __init__(self, root: Path, *, fsync: bool = False) -> None:
        self.root = root
        self._fsync = fsync
        self._base, self._locks = str(root), root / "locks"

    # Reading

    def read(self, key: str) -> bytes | None:
        """Return the metadata of an entry; None when there is none."""
        try:
            with open(self._entry(f"{key}.json"), "rb") as file:
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def read_value(self, name: str) -> bytearray | memoryview:
        """Return the bytes of a value, in memory that may be written.

        Raises:
            FileNotFoundError: It is gone.
        """
        with open(self._entry(name), "rb", buffering=0) as file:
            size, at = os.fstat(file.fileno()).st_size, 0
            data = _memory(size) if name.endswith(".npy") else bytearray(size)
            view = memoryview(data)
            while at < size and (count := file.readinto(view[at:])):
                at += count
            return data if at == size else view[:at]

    def keys(self) -> Iterator[str]:
        """Yield the keys of all entries."""
        for shard in _scan(self.root / "entries"):
            for entry in _scan(shard):
                name, _, ending = entry.name.partition(".")
                if ending == "json":
                    yield name

    def read_code(self, digest: str) -> bytes | None:
        """Return what was kept under the digest of some code; None when nothing was."""
        try:
            return self._code_file(digest).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    # Writing

    def write(
        self,
        key: str,
        metadata: bytes,
        name: str | None,
        buffers: Sequence[Buffer],
        *,
        only_if_absent: bool,
    ) -> bool:
        """Put an entry in its place.

        Args:
            key: Its key.
            metadata: Its metadata.
            name: Name of the file for its value; None when there is none.
            buffers: The value.
            only_if_absent: Leave an entry that is there.

        Returns:
            False when an entry was there and was left.

        Raises:
            OSError: It cannot be written; nothing of it is left.
        """
        place = self._entry(f"{key}.json")
        name_aside = new_name()
        note, value = self._aside(f"{name_aside}.json"), self._aside(f"{name_aside}.value")
        moved = False
        try:
            self._write_file(note, [metadata])
            if name is not None:
                self._write_file(value, buffers)
            with nullcontext() if only_if_absent else self._replacing(key):
                if name is not None:
                    _move(value, self._entry(name))
                    moved = True
                if (
                    only_if_absent and name is None
                ):  # of two at once the last wins, and is whole too
                    written = not place.exists() and _move(note, place)
                elif only_if_absent:
                    written = _link(note, place)
                else:
                    self._write_file(value, [metadata])
                    written = _move(value, place)
                    self._drop_values(key)
            if self._fsync:
                _sync_folder(place.parent)
            if name is not None and not written:
                self._drop_value(key, name)
        except BaseException:
            if moved and name is not None:
                self._drop_value(key, name)
            value.unlink(missing_ok=True)
            note.unlink(missing_ok=True)
            raise
        note.unlink(missing_ok=True)
        return written

    def write_code(self, digest: str, data: bytes) -> None:
        """Keep what many entries share, once."""
        place = self._code_file(digest)
        if place.exists():
            return
        aside = self._aside(f"{new_name()}.value")
        try:
            self._write_file(aside, [data])
            _move(aside, place)
        finally:
            aside.unlink(missing_ok=True)

    def remove(self, key: str) -> None:
        """Remove an entry and its value."""
        place = self._entry(f"{key}.json")
        place.unlink(missing_ok=True)
        for file in _scan(place.parent):
            if file.name.startswith(f"{key}."):
                Path(file.path).unlink(missing_ok=True)

    def _write_file(self, path: Path, buffers: Sequence[Buffer]) -> None:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            for buffer in buffers:
                view = memoryview(buffer)
                while view.nbytes:
                    view = view[file.write(view) :]
            if self._fsync:
                os.fsync(file.fileno())

    def _replacing(self, key: str) -> AbstractContextManager[bool]:
        return hold(self._locks, f"{key} replaced")

    def _drop_value(self, key: str, name: str) -> None:
        """Remove a value that was moved to its place for metadata that did not come."""
        if value_name(self.read(key)) != name:
            self._entry(name).unlink(missing_ok=True)

    def _drop_values(self, key: str) -> int:
        """Remove the values of an entry that its metadata do not name; return how many."""
        named, count = value_name(self.read(key)), 0
        for file in _scan(self.root / "entries" / key[:2]):
            if file.name.startswith(f"{key}.") and file.name not in (f"{key}.json", named):
                Path(file.path).unlink(missing_ok=True)
                count += 1
        return count

    def _aside(self, name: str) -> Path:
        return Path(f"{self._base}/aside/{name}")

    def _entry(self, name: str) -> Path:
        return Path(f"{self._base}/entries/{name[:2]}/{name}")

    def _code_file(self, digest: str) -> Path:
        return Path(f"{self._base}/code/{digest[:2]}/{digest}.json")

    def lock(self, key: str) -> AbstractContextManager[bool]:
        """Wait for, and hold, the right to compute a key; False where locks cannot be had."""
        return hold(self._locks, key)

    # Orphans

    def collect(self) -> int:
        """Remove what writers that are no more have left behind; return how many files."""
        count = 0
        for file in _scan(self.root / "aside"):
            if not is_orphan(file):
                continue
            if file.name.endswith(".json"):
                key = _key_in(Path(file.path))
                with self._replacing(key):
                    count += self._drop_values(key)
            Path(file.path).unlink(missing_ok=True)
            count += 1
        return count


def _memory(size: int) -> memoryview:
    """Return memory that is not filled with zeros first, for arrays."""
    import numpy as np

    return np.empty(size, np.uint8).data


def value_name(metadata: bytes | None) -> str | None:
    """Return the name of the value's file as the metadata have it, damaged or not."""
    try:
        name = json.loads(metadata or b"")["file"]
    except (ValueError, KeyError, TypeError):
        return None
    return name if isinstance(name, str) else None


def _key_in(note: Path) -> str:
    """Return the key of metadata that were left aside; none of any entry when they were not yet written."""
    try:
        return str(json.loads(note.read_bytes())["key"])
    except (OSError, ValueError, KeyError, TypeError):
        return "none"


def _scan(folder: Any) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _move(source: Path, place: Path) -> bool:
    try:
        os.replace(source, place)
    except FileNotFoundError:
        place.parent.mkdir(parents=True, exist_ok=True)
        os.replace(source, place)
    return True


def _link(source: Path, place: Path) -> bool:
    """Move a file to a place where nothing is; False when something is there."""
    try:
        try:
            os.link(source, place)
        except FileNotFoundError:
            place.parent.mkdir(parents=True, exist_ok=True)
            os.link(source, place)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return not place.exists() and _move(source, place)
    return True


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
