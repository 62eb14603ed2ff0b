"""Results by key: written whole, checked when read, on this machine and in a place that others share.

Nothing here ever fails a task: what cannot be read is a miss, what cannot be written is said and forgotten.
Nothing is ever removed but what is damaged or what the caller names, and both are said. A worker imports this:
standard library, and numpy, pandas, cloudpickle and fsspec when a value or a place needs them.
"""

from __future__ import annotations

import functools
import getpass
import hashlib
import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from scalable_core.cache.disk import Disk
from scalable_core.cache.level import CacheEvent, Level, check_names
from scalable_core.cache.metadata import SCHEMA, DamagedError, Entry, seal, unseal
from scalable_core.cache.uploads import Uploads
from scalable_core.cache.values import ENDINGS, Buffer, Encoded, decode, encode

#: Plain values up to so many bytes are kept inside their metadata.
_INLINE = 8192
#: Seconds for which a shared place that could not be read is left alone.
_REST = 60.0


class Store:
    """The results that are kept.

    Args:
        root: Folder on this machine; None when there is only a shared place.
        remote: The shared place; None when there is none. It is read when ``root`` lacks a key, and what is
            found there is copied to ``root``; what is written goes to ``root``, and from there to the shared
            place in the background.
        secret: The project's key, with which all that is written is signed. A pickle from the shared place is
            read only when it is signed with it.
        report: Hears of what is damaged, refused or cannot be written; from any thread.
        fsync: Have the disk confirm each entry; ``SCALABLE_CACHE_FSYNC`` when None.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None,
        *,
        remote: Level | None = None,
        secret: bytes | None = None,
        report: Callable[[CacheEvent], None] | None = None,
        fsync: bool | None = None,
    ) -> None:
        if root is None and remote is None:
            raise ValueError("a store needs a folder or a shared place")
        if fsync is None:
            fsync = os.environ.get("SCALABLE_CACHE_FSYNC", "") not in ("", "0")
        self.disk = None if root is None else Disk(Path(root), fsync=fsync)
        self.remote = remote
        self._secret = secret
        self._report = report or (lambda event: None)
        self._replace: set[str] = set()
        self._code: set[str] = set()
        self._out_of_reach = 0.0
        self._uploads: Uploads | None = None
        if self.disk is not None and remote is not None:
            self._uploads = Uploads(self.disk, remote, self._not_sent)

    def peek(self, key: str) -> Entry | None:
        """Return what is known of an entry, without its value; None when there is none."""
        for level in self._levels():
            found = self._read(level, key)
            if found is not None:
                return found[0]
        return None

    def get(self, key: str) -> Entry | None:
        """Return an entry with its value; None when there is none, or it is damaged, which is then said."""
        for level in self._levels():
            entry = self._get(level, key)
            if entry is not None:
                return entry
        return None

    def put(
        self, key: str, value: Any, note: Mapping[str, Any], *, only_if_absent: bool = True
    ) -> bool:
        """Keep a value.

        Args:
            key: Its key.
            value: The value.
            note: What goes into its metadata: ``function``, ``code``, ``parts``, ``seconds``, ``run``.
            only_if_absent: Leave an entry that is there.

        Returns:
            Whether it is there now, written by this call or before. False is said.
        """
        try:
            encoded = encode(value)
        except Exception as error:
            self._say("failed", key, f"the result of {note.get('function')}() is not kept: {error}")
            return False
        metadata, name = self._describe(key, encoded, note)
        buffers = encoded.buffers if name else ()
        only_if_absent = only_if_absent and key not in self._replace
        try:
            self._first().write(key, metadata, name, buffers, only_if_absent=only_if_absent)
        except Exception as error:
            message = f"the result of {note.get('function')}() is not kept: {error}"
            self._say("failed", key, message)
            return False
        if self._uploads is not None:
            self._uploads.add(key, replace=not only_if_absent)
        return True

    @contextmanager
    def computing(self, key: str) -> Iterator[Entry | None]:
        """Hold the right to compute a key, waiting for whoever holds it on this machine.

        Yields the entry when somebody else has computed it meanwhile: take its value and compute nothing. Where
        no lock can be had, two may compute; the first to write wins.
        """
        if self.disk is None:
            yield self.get(key)
            return
        with self.disk.lock(key):
            yield self.get(key)

    def write_code(self, digest: str, parts: Callable[[], Sequence[tuple[str, str, str]]]) -> None:
        """Keep the parts that all calls of a function share, once.

        Args:
            digest: `Fingerprint.code`.
            parts: Gives name, digest and text of each: `Fingerprint.code_parts`, not called.
        """
        if digest in self._code:
            return
        try:
            self._first().write_code(digest, json.dumps(parts(), indent=0).encode())
            self._code.add(digest)
        except Exception as error:
            self._say("failed", digest, f"the code of a function is not kept: {error}")

    def read_code(self, digest: str) -> tuple[tuple[str, str, str], ...] | None:
        """Return what `write_code` kept; None when it is not there or damaged."""
        for level in self._levels():
            try:
                data = level.read_code(digest)
                if data is not None:
                    return tuple((name, each, text) for name, each, text in json.loads(data))
            except Exception as error:
                self._say("unreadable", digest, f"the code of a function cannot be read: {error}")
        return None

    def entries(self) -> Iterator[Entry]:
        """Yield what is known of each entry on this machine, or of the shared place when there is no other."""
        level = self._first()
        for key in level.keys():  # noqa: SIM118 - a level is no mapping
            found = self._read(level, key)
            if found is not None:
                yield found[0]

    def remove(self, key: str) -> None:
        """Remove an entry here and in the shared place."""
        for level in self._levels():
            level.remove(key)

    def collect(self) -> int:
        """Remove what killed writers have left, and send what they have not sent; return how many files."""
        if self._uploads is not None:
            self._uploads.resume()
        return self._first().collect()

    def flush(self, timeout: float | None = None) -> bool:
        """Wait (s) until everything has reached the shared place or has failed; False when time ran out."""
        return self._uploads is None or self._uploads.flush(timeout)

    def _first(self) -> Level:
        return self._levels()[0]

    def _levels(self) -> list[Level]:
        return [level for level in (self.disk, self.remote) if level is not None]

    def _get(self, level: Level, key: str) -> Entry | None:
        """Read an entry of one level and check it; the place to which it is to be copied keeps a copy."""
        found = self._read(level, key)
        if found is None:
            return None
        entry, metadata = found
        if level is not self.disk and entry.kind == "pickle" and not entry.signed:
            message = f"a result of {entry.function}() in the shared cache is not signed; not read"
            self._replace.add(key)
            self._say("refused", key, message)
            return None
        try:
            data: Buffer = b""
            if entry.file is not None:
                data = level.read_value(entry.file)
                if hashlib.sha256(data).hexdigest() != entry.digest:
                    raise DamagedError("its value is damaged")
                entry = replace(entry, value=decode(entry.kind, data))
        except (DamagedError, FileNotFoundError) as error:
            again = self._read(level, key)
            if again is not None and again[1] != metadata:
                return self._get(level, key)  # it was replaced while it was read
            self._drop(level, entry, error)
            return None
        except Exception as error:  # not installed here, not permitted, out of reach
            message = f"a result of {entry.function}() cannot be read: {error}"
            self._replace.add(key)
            self._say("unreadable", key, message)
            return None
        if level is not self.disk and self.disk is not None:
            self._copy(key, metadata, entry.file, data)
        return entry

    def _read(self, level: Level, key: str) -> tuple[Entry, bytes] | None:
        if level is self.remote and time.monotonic() < self._out_of_reach:
            return None
        try:
            metadata = level.read(key)
        except Exception as error:
            self._out_of_reach = time.monotonic() + (_REST if level is self.remote else 0)
            self._say("unreadable", key, f"the cache cannot be read: {error}")
            return None
        if metadata is None:
            return None
        try:
            fields, signed = unseal(metadata, self._secret)
            del fields["schema"]
            parts = tuple((name, digest, text) for name, digest, text in fields.pop("parts"))
            entry = Entry(**fields, parts=parts, signed=signed)
            check_names(entry, key)
        except (DamagedError, TypeError, KeyError) as error:
            if level.read(key) == metadata:
                self._drop(level, Entry(key=key, function="?", kind="?", size=0, digest=""), error)
            return None
        return entry, metadata

    def _copy(self, key: str, metadata: bytes, name: str | None, data: Buffer) -> None:
        assert self.disk is not None
        try:
            buffers = [memoryview(data)] if name else []
            self.disk.write(key, metadata, name, buffers, only_if_absent=True)
        except OSError as error:
            self._say("failed", key, f"a shared result is not copied: {error}")

    def _describe(
        self, key: str, encoded: Encoded, note: Mapping[str, Any]
    ) -> tuple[bytes, str | None]:
        """Return the metadata of a value, and the name of its file; None when it is in the metadata."""
        hasher = hashlib.sha256()
        for buffer in encoded.buffers:
            hasher.update(buffer)
        digest = hasher.hexdigest()
        inline = encoded.kind == "json" and encoded.size <= _INLINE
        name = None if inline else f"{key}.{digest[:16]}.{ENDINGS[encoded.kind]}"
        fields: dict[str, Any] = {
            "schema": SCHEMA,
            "key": key,
            "function": note.get("function", ""),
            "kind": encoded.kind,
            "size": encoded.size,
            "digest": digest,
            "file": name,
            "seconds": round(float(note.get("seconds", 0.0)), 6),
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "by": {**_who(), "run": note.get("run")},
            "code": note.get("code", ""),
            "parts": [list(part) for part in note.get("parts", ())],
        }
        if inline:
            fields["value"] = json.loads(bytes(encoded.buffers[0]))
        return seal(fields, self._secret), name

    def _drop(self, level: Level, entry: Entry, error: Exception) -> None:
        what = "is gone" if isinstance(error, FileNotFoundError) else str(error)
        message = f"a result of {entry.function}() was damaged and is computed again: {what}"
        try:
            level.remove(entry.key)
        except Exception as failure:
            message += f"; it could not be removed: {failure}"
        self._say("damaged", entry.key, message)

    def _not_sent(self, key: str, error: Exception) -> None:
        self._say("failed", key, f"a result has not reached the shared cache yet: {error}")

    def _say(self, kind: str, key: str, message: str) -> None:
        self._report(CacheEvent(kind, key, message))


def _who() -> dict[str, Any]:
    return {"user": _user(), "host": socket.gethostname(), "pid": os.getpid()}


@functools.cache
def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user may have no name
        return str(os.getuid()) if hasattr(os, "getuid") else ""
