"""Artifacts and storages in Google Cloud Storage: whole or not at all, and what was stored or a sentence."""

from __future__ import annotations

import hashlib
import os
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from scalable_core.errors import ArtifactError, ScalableError, StorageError
from scalable_core.types import Artifact, ArtifactRef, Event, HookContext, StoredObject
from scalable_gcp.client import connect, iterate, run
from scalable_gcp.storage_digests import digests_of, sha256_text
from scalable_gcp.storage_download import download
from scalable_gcp.storage_errors import (
    FAILURES,
    Action,
    DamagedError,
    Patience,
    is_absent,
    sentence,
)
from scalable_gcp.storage_objects import Bucket, Resource, TakenError, Write
from scalable_gcp.storage_upload import upload

#: Bytes up to which an object goes in one request.
SMALL = 8 * 1024 * 1024
_EVERY = 0.4
_BINARY = "application/octet-stream"


def store(
    artifact: Artifact, destination: str, context: HookContext, *, provider: str
) -> ArtifactRef:
    """Write an artifact to Cloud Storage and return where and what it is.

    Args:
        artifact: The bytes or the file, and who made it.
        destination: ``gs://bucket/name``; the name is taken literally.
        context: Where to tell the progress, and when to give up.
        provider: Who stores it.

    Raises:
        ArtifactError: The name is taken or is none, or the bucket is not there, denied or out of reach.
    """
    bucket, name = _place(destination, ArtifactError)
    patience = Patience().until(context.deadline)
    with _trouble(ArtifactError, "stored", destination):
        digests = digests_of(artifact.data)
        write = Write(
            name=name,
            digests=digests,
            media_type=artifact.media_type,
            create=not artifact.overwrite,
        )
        tell = _teller(destination, digests.size, context)
        try:
            run(_write(bucket, write, artifact.data, patience, tell))
        except TakenError:
            raise ArtifactError(
                f"{destination} exists already, and an artifact is never overwritten",
                cure="store it under another name, or with overwrite=True",
            ) from None
    return ArtifactRef(
        uri=destination,
        digest=digests.sha256,
        size=digests.size,
        media_type=artifact.media_type,
        run=artifact.run,
        task=artifact.task,
        component=artifact.component,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        provider=provider,
    )


def fetch(ref: ArtifactRef, destination: Path, context: HookContext) -> Path:
    """Copy an artifact to a file that gets its name only once its bytes are known to be right.

    Args:
        ref: What to fetch.
        destination: The file.
        context: Where to tell the progress, and when to give up.

    Raises:
        ArtifactError: It is not there, cannot be read, or is not what ``ref`` says.
    """
    bucket, name = _place(ref.uri, ArtifactError)
    patience = Patience().until(context.deadline)
    tell = _teller(ref.uri, ref.size, context)
    aside = destination.absolute().with_name(f".{uuid.uuid4().hex}.part")
    try:
        with _trouble(ArtifactError, "fetched", ref.uri):
            digest = run(_read_to(bucket, name, ref.size, aside, patience, tell))
            if digest == ref.digest:
                os.replace(aside, destination)
                return destination
        raise ArtifactError(
            f"{ref.uri} is not what was stored: its digest is {digest}, not {ref.digest}",
            cure="it was changed since; store it again",
        )
    finally:
        aside.unlink(missing_ok=True)


class GcsStorage:
    """The objects below a ``gs://`` URI; nothing is contacted before the first call.

    Args:
        uri: ``gs://bucket`` or ``gs://bucket/prefix``.
        patience: How long to go on trying.

    Raises:
        StorageError: The URI names no bucket.
    """

    def __init__(self, uri: str, *, patience: Patience | None = None) -> None:
        self.uri = uri.rstrip("/")
        self._bucket, _, base = self.uri.partition("://")[2].partition("/")
        if not self._bucket:
            raise StorageError(f"{uri!r} names no bucket", cure="write gs://bucket/prefix")
        self._base = f"{base}/" if base else ""
        self._patience = patience or Patience()

    def get(self, key: str) -> bytes:
        """Return the bytes of an object."""

        async def read(name: str) -> bytes:
            return await (await self._open()).read(name)

        with self._trouble("fetched", key):
            return run(read(self._name(key)))

    def put(self, key: str, data: bytes | Path) -> None:
        """Write an object, over one that is there."""
        self._put(key, data, create=False)

    def put_if_absent(self, key: str, data: bytes | Path) -> bool:
        """Write an object unless there is one, in one step; return whether this call has written it."""
        try:
            self._put(key, data, create=True)
        except TakenError:
            return False
        return True

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """Yield all objects whose key starts with a prefix, by key."""

        async def pages() -> AsyncGenerator[list[Resource], None]:
            bucket, token = await self._open(), None
            while True:
                items, token = await bucket.page(self._base + prefix, token)
                yield items
                if not token:
                    return

        with self._trouble("listed", prefix):
            for page in iterate(pages()):
                for item in page:
                    if not item["name"].endswith("/"):  # what consoles write to show a folder
                        yield StoredObject(
                            key=item["name"][len(self._base) :],
                            size=int(item["size"]),
                            modified=datetime.fromisoformat(item["updated"]).timestamp(),
                        )

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""

        async def remove(name: str) -> None:
            await (await self._open()).remove(name)

        with self._trouble("removed", key):
            run(remove(self._name(key)))

    def stream(self, key: str) -> Iterator[bytes]:
        """Yield the bytes of an object in pieces of bounded size."""

        async def pieces(name: str) -> AsyncGenerator[bytes, None]:
            bucket = await self._open()
            async for piece in bucket.pieces(name):
                yield piece

        with self._trouble("fetched", key):
            yield from iterate(pieces(self._name(key)))

    def _put(self, key: str, data: bytes | Path, *, create: bool) -> None:
        with self._trouble("stored", key):
            write = Write(
                name=self._name(key), digests=digests_of(data), media_type=_BINARY, create=create
            )
            run(_write(self._bucket, write, data, self._patience, _tell_nobody))

    def _name(self, key: str) -> str:
        parts = key.split("/")
        if any(part in ("", ".", "..") for part in parts) or "\\" in key:
            raise StorageError(
                f"{key!r} cannot name an object below {self.uri}",
                cure="use a relative path without '..'",
            )
        return _checked(self._base + key, StorageError)

    async def _open(self) -> Bucket:
        return Bucket(await connect(), self._bucket, self._patience)

    @contextmanager
    def _trouble(self, action: Action, key: str) -> Iterator[None]:
        with _trouble(StorageError, action, f"{self.uri}/{key}", absent=FileNotFoundError):
            yield


async def _write(
    bucket: str, write: Write, data: bytes | Path, patience: Patience, tell: Callable[[int], None]
) -> Resource:
    """Write an object by the way that fits its size, and see that the service has what was meant."""
    there = Bucket(await connect(), bucket, patience)
    if write.digests.size <= SMALL:
        small = data if isinstance(data, bytes) else data.read_bytes()
        found = await there.insert(write, small)
    else:
        found = await upload(there, write, data, tell)
    size, crc32c = int(found["size"]), found["crc32c"]
    if (size, crc32c) != (write.digests.size, write.digests.crc32c):
        await there.remove(write.name, {"ifGenerationMatch": found["generation"]})
        raise DamagedError(
            f"{size} bytes with CRC-32C {crc32c} have arrived,"
            f" not {write.digests.size} with {write.digests.crc32c}"
        )
    return found


async def _read_to(
    bucket: str,
    name: str,
    size: int,
    path: Path,
    patience: Patience,
    tell: Callable[[int], None],
) -> str:
    """Read an object to a new file, by the way that fits the size it should have, and return its SHA-256."""
    there = Bucket(await connect(), bucket, patience)
    if size > SMALL:
        return await download(there, name, path, tell)
    sha256 = hashlib.sha256()
    with open(path, "xb") as file:
        async for piece in there.pieces(name):
            sha256.update(piece)
            file.write(piece)
    return sha256_text(sha256.digest())


def _place(uri: str, kind: type[ScalableError]) -> tuple[str, str]:
    bucket, _, name = uri.partition("://")[2].partition("/")
    if not bucket or not name:
        raise kind(f"{uri!r} names no object", cure="write gs://bucket/name")
    return bucket, _checked(name, kind)


def _checked(name: str, kind: type[ScalableError]) -> str:
    """Return a name that Cloud Storage takes."""
    reason = None
    if any(letter in name for letter in "\r\n\0"):
        reason = "it breaks lines or holds a NUL"
    elif any("\ud800" <= letter <= "\udfff" for letter in name):
        reason = "it is not Unicode text"
    elif len(name.encode()) > 1024:
        reason = f"it has {len(name.encode())} bytes, and 1,024 is the most"
    elif any(part in (".", "..") for part in name.split("/")):
        reason = "'.' and '..' lead elsewhere in other tools"
    if reason:
        shown = name if len(name) < 60 else f"{name[:56]}..."
        raise kind(
            f"{shown!r} cannot name an object in Cloud Storage: {reason}", cure="use another name"
        )
    return name


@contextmanager
def _trouble(
    kind: type[ScalableError],
    action: Action,
    uri: str,
    *,
    absent: type[FileNotFoundError] | None = None,
) -> Iterator[None]:
    """Say in a sentence what went wrong on the way to Cloud Storage, or with a file of this machine."""
    try:
        yield
    except (*FAILURES, DamagedError) as error:
        if is_absent(error) and action != "stored":
            if absent is not None:
                raise absent(f"there is no {uri}") from None
            raise kind(
                f"there is no {uri}", cure="see what `scalable artifacts ls` lists"
            ) from None
        raise sentence(kind, action, uri, error) from error
    except OSError as error:
        place = error.filename or uri
        raise kind(
            f"{place} cannot be read or written: {error.strerror or error}",
            cure="see that it is there, that you may use it, and that there is room",
        ) from error


def _tell_nobody(done: int) -> None:
    """Take notice of nothing."""


def _teller(uri: str, total: int, context: HookContext) -> Callable[[int], None]:
    """Return what tells how far a large transfer is: some times in a second, and at the end."""
    if total <= SMALL:
        return _tell_nobody
    last = 0.0

    def tell(done: int) -> None:
        nonlocal last
        now = time.monotonic()
        if done < total and now - last < _EVERY:
            return
        last = now
        context.events.emit(
            Event(
                time=time.time(),
                kind="artifact.progress",
                data={"uri": uri, "done": done, "total": total},
            )
        )

    return tell
