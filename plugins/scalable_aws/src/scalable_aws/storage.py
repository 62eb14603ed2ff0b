"""Artifacts and storage on S3, for synchronous callers on any thread."""

from __future__ import annotations

import hashlib
import os
import re
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from scalable_aws import client as aws
from scalable_aws.refusals import refusal
from scalable_aws.storage_bucket import (
    PART,
    AbsentError,
    AlreadyThereError,
    Bucket,
    ChangedError,
    Moved,
    Progress,
    off_loop,
)
from scalable_aws.storage_download import download
from scalable_aws.storage_upload import upload
from scalable_core.errors import ArtifactError, ProviderError, StorageError
from scalable_core.types import Artifact, ArtifactRef, Event, HookContext, StoredObject

T = TypeVar("T")

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]\Z")
_LONGEST_KEY = 1024
_PROGRESS_PAUSE = 0.3
#: Bytes written at once: a page cache takes 8 MiB at once several times more slowly than in pieces.
_SLICE = 512 * 1024


# -- artifacts ------------------------------------------------------------------------------------------------


def store(
    artifact: Artifact, destination: str, context: HookContext, *, provider: str
) -> ArtifactRef:
    """Store an artifact under an ``s3://`` URI and return where and what it is.

    Raises:
        ArtifactError: The name is taken, or the bucket does not take it.
    """
    bucket, key = _split(destination, ArtifactError)
    headers = {"Content-Type": artifact.media_type}
    for name in ("run", "task", "component"):
        if value := getattr(artifact, name):
            headers[f"x-amz-meta-scalable-{name}"] = quote(value)
    with _sentences(destination, "written", "s3:PutObject", ArtifactError):
        written = _on(
            bucket,
            lambda place: upload(
                place,
                key,
                artifact.data,
                create=not artifact.overwrite,
                headers=headers,
                progress=_progress(context, destination),
            ),
            context.deadline,
        )
    return ArtifactRef(
        uri=destination,
        digest=f"sha256:{written.digest}",
        size=written.size,
        media_type=artifact.media_type,
        run=artifact.run,
        task=artifact.task,
        component=artifact.component,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        provider=provider,
    )


def fetch(ref: ArtifactRef, destination: Path, context: HookContext) -> Path:
    """Read an artifact into a file that gets its name only once its bytes are known to be right.

    Raises:
        ArtifactError: It is not there, may not be read, or is not what ``ref`` says.
    """
    bucket, key = _split(ref.uri, ArtifactError)
    aside = destination.with_name(f".{uuid.uuid4().hex}.part")
    progress = _progress(context, ref.uri)
    try:
        with _sentences(ref.uri, "read", "s3:GetObject", ArtifactError):
            found = _on(bucket, lambda place: _save(place, key, aside, progress), context.deadline)
        digest = f"sha256:{found.digest}"
        if digest != ref.digest:
            raise ArtifactError(
                f"{ref.uri} is not what was stored: its digest is {digest} ({found.size} bytes),"
                f" not {ref.digest} ({ref.size} bytes)",
                cure="it was changed since; store it again",
            )
        os.replace(aside, destination)
    except OSError as error:
        raise ArtifactError(
            f"{destination} cannot be written: {error.strerror or error}"
        ) from error
    finally:
        aside.unlink(missing_ok=True)
    return destination


async def _save(place: Bucket, key: str, path: Path, progress: Progress) -> Moved:
    """Write an object to a new file and to the disk; return its digest and size."""
    digest, size = hashlib.sha256(), 0

    def keep(part: memoryview) -> None:
        for start in range(0, len(part), _SLICE):
            out.write(part[start : start + _SLICE])
        digest.update(part)

    with open(path, "xb") as out:
        async for part in download(place, key, progress=progress):
            size += len(part)
            await off_loop(len(part), keep, part)
    return Moved(digest=digest.hexdigest(), size=size)


def _progress(context: HookContext, uri: str) -> Progress:
    """Return what tells a run how far a long transfer is, a few times a second."""
    last = 0.0

    def tell(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if total <= PART or (now - last < _PROGRESS_PAUSE and done < total):
            return
        last = now
        data = {"uri": uri, "done": done, "total": total}
        context.events.emit(Event(time=time.time(), kind="artifact.progress", data=data))

    return tell


# -- storage --------------------------------------------------------------------------------------------------


class S3Storage:
    """The objects below one ``s3://`` URI; see `scalable_core.types.Storage`.

    Raises:
        StorageError: The URI makes no sense.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri.rstrip("/")
        self._bucket, prefix = _split(self.uri + "/", StorageError)
        self._prefix = prefix and prefix.rstrip("/") + "/"

    def get(self, key: str) -> bytes:
        """Return the bytes of an object."""

        async def read(place: Bucket) -> bytes:
            return b"".join([bytes(part) async for part in download(place, name)])

        name = self._name(key)
        with self._said(key, "read", "s3:GetObject"):
            return _on(self._bucket, read)

    def put(self, key: str, data: bytes | Path) -> None:
        """Write an object, over one that is there."""
        name = self._name(key)
        with self._said(key, "written", "s3:PutObject"):
            _on(self._bucket, lambda place: upload(place, name, data, create=False))

    def put_if_absent(self, key: str, data: bytes | Path) -> bool:
        """Write an object unless there is one; return whether this call has written it."""
        name = self._name(key)
        with self._said(key, "written", "s3:PutObject"):
            try:
                _on(self._bucket, lambda place: upload(place, name, data, create=True))
            except AlreadyThereError:
                return False
        return True

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """Yield all objects whose key starts with a prefix, by key."""
        after: str | None = None

        async def next_page(place: Bucket) -> tuple[list[StoredObject], str | None]:
            return await place.list(self._prefix + prefix, after)

        while True:
            with _sentences(self.uri, "listed", "s3:ListBucket", StorageError):
                page, after = _on(self._bucket, next_page)
            for found in page:
                if not found.key.endswith("/"):  # a marker that consoles make for a folder
                    key = found.key.removeprefix(self._prefix)
                    yield StoredObject(key=key, size=found.size, modified=found.modified)
            if after is None:
                return

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""
        name = self._name(key)
        with self._said(key, "removed", "s3:DeleteObject"):
            _on(self._bucket, lambda place: place.delete(name))

    def stream(self, key: str) -> Iterator[bytes]:
        """Yield the bytes of an object in pieces of bounded size."""

        async def begin(place: Bucket) -> AsyncGenerator[memoryview, None]:
            return download(place, name)

        async def step() -> bytes | None:
            part = await anext(parts, None)
            return None if part is None else bytes(part)

        name = self._name(key)
        with self._said(key, "read", "s3:GetObject"):
            parts = _on(self._bucket, begin)
        try:
            while True:
                with self._said(key, "read", "s3:GetObject"):
                    piece = aws.run(step())
                if piece is None:
                    return
                yield piece
        finally:
            with suppress(RuntimeError):  # the process is ending, and the loop has ended before
                aws.run(parts.aclose())

    def _name(self, key: str) -> str:
        """Return the whole key in the bucket of a key below the URI."""
        if any(part in ("", ".", "..") for part in key.split("/")) or "\0" in key:
            raise StorageError(
                f"{key!r} cannot be a key below {self.uri}",
                cure="use a relative path without '..', such as runs/run.json",
            )
        return _checked(self._prefix + key, f"{self.uri}/{key}", StorageError)

    def _said(self, key: str, doing: str, permission: str) -> Any:
        return _sentences(f"{self.uri}/{key}", doing, permission, StorageError)


# -- both -----------------------------------------------------------------------------------------------------


_places: dict[tuple[Any, ...], Bucket] = {}


def _on(
    bucket: str,
    work: Callable[[Bucket], Coroutine[Any, Any, T]],
    deadline: float | None = None,
) -> T:
    """Do something with a bucket on the shared loop, and wait for it."""

    async def go() -> T:
        key = (bucket, *aws.settings())
        if key not in _places:
            _places[key] = await Bucket.open(bucket)
        return await work(_places[key])

    return aws.run(go(), deadline=deadline)


def _split(uri: str, error: type[ProviderError]) -> tuple[str, str]:
    """Return bucket and key of an ``s3://`` URI; the key is all that follows, as it stands."""
    scheme, found, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if not found or scheme != "s3" or not _BUCKET.match(bucket):
        raise error(f"{uri} does not name a bucket of S3", cure="write s3://bucket/prefix")
    if bucket.endswith("--x-s3"):
        raise error(f"{uri} is in a directory bucket", cure="use a general purpose bucket of S3")
    if error is ArtifactError and any(part in ("", ".", "..") for part in key.split("/")):
        raise error(f"{uri} cannot be the place of an object", cure="write s3://bucket/path/name")
    return bucket, _checked(key, uri, error)


def _checked(key: str, uri: str, error: type[ProviderError]) -> str:
    try:
        length = len(key.encode())
    except UnicodeEncodeError:
        raise error(f"{uri!r} holds characters that no text has", cure="rename it") from None
    if length > _LONGEST_KEY:
        raise error(
            f"the key of {uri[:60]}... has {length} bytes, and S3 takes {_LONGEST_KEY}",
            cure="use a shorter name or prefix",
        )
    return key


@contextmanager
def _sentences(uri: str, doing: str, permission: str, kind: type[ProviderError]) -> Iterator[None]:
    """Turn what the service and the network say into one sentence with its cure."""
    bucket, _, key = uri.partition("://")[2].partition("/")
    try:
        yield
    except ProviderError:
        raise
    except AlreadyThereError:
        if kind is StorageError:
            raise
        raise kind(
            f"{uri} exists already", cure="store it under another name, or say overwrite=True"
        ) from None
    except AbsentError:
        if kind is StorageError:
            raise FileNotFoundError(uri) from None
        raise kind(f"{uri} is not there", cure="see 'scalable artifacts ls'") from None
    except ChangedError as error:
        raise kind(f"{uri} was changed meanwhile: {error}", cure="try again") from error
    except Exception as error:
        code = aws.code_of(error)
        if isinstance(error, OSError) and not aws.passes(error):
            raise kind(
                f"{uri} cannot be {doing}: {error.filename or 'the local file'}: {error.strerror}",
                cure="look at the file, its folder and the free space",
            ) from error
        if code == "NoSuchBucket":
            raise kind(
                f"{uri} cannot be {doing}: there is no bucket {bucket!r}",
                cure=f"make it with 'aws s3 mb s3://{bucket}', or correct the name",
            ) from error
        what = f"arn:aws:s3:::{bucket}"
        if permission != "s3:ListBucket":
            what += f"/{key}"
        why = refusal(error, permission=permission, resource=what)
        raise kind(f"{uri} cannot be {doing}: {why.reason}", cure=why.cure) from error
