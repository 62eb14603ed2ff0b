"""What a place for entries can do, what a store says of it, and what is believed of what it holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from scalable_core.cache.metadata import DamagedError, Entry
from scalable_core.cache.values import ENDINGS, Buffer


class CacheEvent(NamedTuple):
    """Something the user should hear of.

    Attributes:
        kind: ``damaged`` (removed, a miss), ``failed`` (not written), ``refused`` (an unsigned pickle),
            ``unreadable`` (left as it is, a miss).
        key: The entry's.
        message: One sentence.
    """

    kind: str
    key: str
    message: str


class Level(Protocol):
    """A place for entries: `scalable_core.cache.disk.Disk` or `scalable_core.cache.remote.Remote`."""

    def read(self, key: str) -> bytes | None:
        """Return the metadata of an entry; None when there is none."""

    def read_value(self, name: str) -> Buffer:
        """Return the bytes of a value."""

    def keys(self) -> Iterator[str]:
        """Yield the keys of all entries."""

    def read_code(self, digest: str) -> bytes | None:
        """Return what was kept under the digest of some code."""

    def write(
        self,
        key: str,
        metadata: bytes,
        name: str | None,
        buffers: Sequence[Buffer],
        *,
        only_if_absent: bool,
    ) -> bool:
        """Put an entry in its place."""

    def write_code(self, digest: str, data: bytes) -> None:
        """Keep what many entries share."""

    def remove(self, key: str) -> None:
        """Remove an entry and its value."""

    def collect(self) -> int:
        """Remove what killed writers left."""


def check_names(entry: Entry, key: str) -> None:
    """See that an entry is the one that was asked for, and that its file is no other than its own."""
    if entry.key != key:
        raise DamagedError("it stands under another key")
    own = f"{key}.{entry.digest[:16]}.{ENDINGS.get(entry.kind)}"
    if entry.kind not in ENDINGS or entry.file not in (None, own):
        raise DamagedError("it names a file that is not its own")
    if entry.file is None and entry.kind != "json":
        raise DamagedError("its value is nowhere")
