"""Objects by key below a URI: how the core reads and writes a folder, a bucket or any other place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

from attrs import frozen


@frozen(kw_only=True)
class StoredObject:
    """What a listing says of one object.

    Attributes:
        key: Its name below the storage's URI, with forward slashes.
        size: Bytes.
        modified: When it was written, in seconds since 1970; None when the place does not say.
    """

    key: str
    size: int
    modified: float | None = None


@runtime_checkable
class Storage(Protocol):
    """The objects below one URI. Synchronous, and safe from any thread.

    A key is a relative path with forward slashes; no object outside of the URI can be named. An object is
    there whole or not at all, whatever kills its writer. What is not there raises `FileNotFoundError`; what may
    not be read or written, a place that does not exist, and a service that cannot be reached after some tries,
    raise `scalable_core.errors.StorageError` with a cure.

    Attributes:
        uri: Where it is, without a slash at the end, such as ``s3://bucket/prefix``.
    """

    uri: str

    def get(self, key: str) -> bytes:
        """Return the bytes of an object."""

    def put(self, key: str, data: bytes | Path) -> None:
        """Write an object, over one that is there. ``data`` may be the path of a file that holds the bytes."""

    def put_if_absent(self, key: str, data: bytes | Path) -> bool:
        """Write an object unless there is one, in one step; return whether this call has written it."""

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """Yield all objects whose key starts with a prefix, by key; ``""`` for all."""

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""

    def stream(self, key: str) -> Iterator[bytes]:
        """Yield the bytes of an object in pieces of bounded size."""
