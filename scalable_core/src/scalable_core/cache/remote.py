"""Entries in a place that is shared by everybody who can reach it: the same names as on disk.

An object is there when it is whole, so nothing is moved: the value is put first, then the metadata, on
condition that there are none.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from scalable_core.cache.values import Buffer

if TYPE_CHECKING:
    from scalable_core.types import Storage

_DAY = 86_400


class Opener(Protocol):
    """Opens a shared place in whatever process it has come to. It can be pickled, hashed and compared."""

    @property
    def uri(self) -> str:
        """Where the place is."""

    def __call__(self) -> Storage:
        """Return the place; nothing is contacted yet."""


class Remote:
    """Entries in a `scalable_core.types.Storage`.

    Args:
        storage: The place, or what opens it when it is first used.
        listed: List the keys once, at the first read, and believe the list: for who looks many keys up.
    """

    def __init__(self, storage: Storage | Opener, *, listed: bool = False) -> None:
        self._storage = storage
        self._listed = listed
        self._keys: set[str] | None = None

    @property
    def storage(self) -> Storage:
        """The place.

        Raises:
            StorageError: It cannot be opened here.
        """
        if callable(self._storage):
            self._storage = self._storage()
        return self._storage

    def read(self, key: str) -> bytes | None:
        """Return the metadata of an entry; None when there is none."""
        if self._listed:
            if self._keys is None:
                self._keys = set(self.keys())
            if key not in self._keys:
                return None
        return self._get(_entry(f"{key}.json"))

    def read_value(self, name: str) -> bytes:
        """Return the bytes of a value.

        Raises:
            FileNotFoundError: It is gone.
        """
        return self.storage.get(_entry(name))

    def keys(self) -> Iterator[str]:
        """Yield the keys of all entries."""
        for found in self.storage.list("entries/"):
            name, _, ending = found.key.rpartition("/")[2].partition(".")
            if ending == "json":
                yield name

    def read_code(self, digest: str) -> bytes | None:
        """Return what was kept under the digest of some code; None when nothing was."""
        return self._get(_code(digest))

    def write(
        self,
        key: str,
        metadata: bytes,
        name: str | None,
        buffers: Sequence[Buffer],
        *,
        only_if_absent: bool,
    ) -> bool:
        """Put an entry in its place; see `scalable_core.cache.disk.Disk.write`."""
        if only_if_absent and name is not None and self._get(_entry(f"{key}.json")) is not None:
            return False  # nothing is sent for an entry that is there
        if name is not None:
            self.storage.put(_entry(name), b"".join(buffers))
        if only_if_absent:
            written = self.storage.put_if_absent(_entry(f"{key}.json"), metadata)
        else:
            self.storage.put(_entry(f"{key}.json"), metadata)
            written = True
        if self._keys is not None:
            self._keys.add(key)
        return written

    def write_code(self, digest: str, data: bytes) -> None:
        """Keep what many entries share, once."""
        self.storage.put_if_absent(_code(digest), data)

    def remove(self, key: str) -> None:
        """Remove an entry and its value."""
        self.storage.delete(_entry(f"{key}.json"))
        for found in list(self.storage.list(_entry(f"{key}."))):
            self.storage.delete(found.key)

    def collect(self) -> int:
        """Remove values, older than a day, whose metadata never came; return how many."""
        objects = list(self.storage.list("entries/"))
        keys = {found.key for found in objects}
        count = 0
        for found in objects:
            name = found.key.rpartition("/")[2]
            if name.count(".") < 2 or _entry(f"{name.partition('.')[0]}.json") in keys:
                continue
            if found.modified is not None and time.time() - found.modified > _DAY:
                self.storage.delete(found.key)
                count += 1
        return count

    def _get(self, key: str) -> bytes | None:
        try:
            return self.storage.get(key)
        except FileNotFoundError:
            return None


def _entry(name: str) -> str:
    return f"entries/{name[:2]}/{name}"


def _code(digest: str) -> str:
    return f"code/{digest[:2]}/{digest}.json"
