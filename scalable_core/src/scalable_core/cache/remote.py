"""Entries below any fsspec URI, shared by everybody who can reach it: the same names as on disk.

An object store shows an object when it is whole, so nothing is moved: the value is put first, then the
metadata, on condition that there are none where the file system can do that.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

from scalable_core.cache.values import Buffer

_DAY = 86_400


class Remote:
    """Entries below a URI.

    Args:
        uri: Such as ``s3://bucket/prefix`` or ``memory://cache``.
        listed: List the keys once, at the first read, and believe the list: for who looks many keys up.
        options: Handed to fsspec.
    """

    def __init__(
        self, uri: str, *, listed: bool = False, options: dict[str, Any] | None = None
    ) -> None:
        from fsspec.core import url_to_fs

        self.uri = uri
        self._fs, base = url_to_fs(uri, **(options or {}))
        self._base = base.rstrip("/")
        self._listed = listed
        self._keys: set[str] | None = None

    def read(self, key: str) -> bytes | None:
        """Return the metadata of an entry; None when there is none."""
        if self._listed:
            if self._keys is None:
                self._keys = set(self.keys())
            if key not in self._keys:
                return None
        return self._get(self._entry(f"{key}.json"))

    def read_value(self, name: str) -> bytes:
        """Return the bytes of a value.

        Raises:
            FileNotFoundError: It is gone.
        """
        data: bytes = self._fs.cat_file(self._entry(name))
        return data

    def keys(self) -> Iterator[str]:
        """Yield the keys of all entries."""
        for path in self._list():
            name, _, ending = path.rpartition("/")[2].partition(".")
            if ending == "json":
                yield name

    def read_code(self, digest: str) -> bytes | None:
        """Return what was kept under the digest of some code; None when nothing was."""
        return self._get(f"{self._base}/code/{digest[:2]}/{digest}.json")

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
        place = self._entry(f"{key}.json")
        if only_if_absent and self._fs.exists(place):
            return False
        if name is not None:
            self._put(self._entry(name), b"".join(buffers))
        written = self._put(place, metadata, only_if_absent=only_if_absent)
        if self._keys is not None:
            self._keys.add(key)
        return written

    def write_code(self, digest: str, data: bytes) -> None:
        """Keep what many entries share, once."""
        self._put(f"{self._base}/code/{digest[:2]}/{digest}.json", data, only_if_absent=True)

    def remove(self, key: str) -> None:
        """Remove an entry and its value."""
        place = self._entry(f"{key}.json")
        for path in [place, *(each for each in self._list(key[:2]) if f"/{key}." in each)]:
            try:
                self._fs.rm_file(path)
            except FileNotFoundError:
                pass

    def collect(self) -> int:
        """Remove values, older than a day, whose metadata never came; return how many."""
        paths = self._list()
        keys = {path.rpartition("/")[2] for path in paths}
        count = 0
        for path in paths:
            name = path.rpartition("/")[2]
            if name.count(".") < 2 or f"{name.partition('.')[0]}.json" in keys:
                continue
            if time.time() - self._fs.modified(path).timestamp() > _DAY:
                self._fs.rm_file(path)
                count += 1
        return count

    def _entry(self, name: str) -> str:
        return f"{self._base}/entries/{name[:2]}/{name}"

    def _list(self, shard: str = "") -> list[str]:
        try:
            self._fs.invalidate_cache()
            return list(self._fs.find(f"{self._base}/entries/{shard}".rstrip("/")))
        except FileNotFoundError:
            return []

    def _get(self, path: str) -> bytes | None:
        try:
            data: bytes = self._fs.cat_file(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return data

    def _put(self, path: str, data: bytes, *, only_if_absent: bool = False) -> bool:
        self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
        if not only_if_absent:
            self._fs.pipe_file(path, data)
            return True
        try:
            self._fs.pipe_file(path, data, mode="create")
        except FileExistsError:
            return False
        except (TypeError, NotImplementedError):  # this file system knows no conditions
            if self._fs.exists(path):
                return False
            self._fs.pipe_file(path, data)
        return True
