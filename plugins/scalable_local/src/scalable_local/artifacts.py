"""Artifacts in folders of this machine: whole or not at all, and never one over another."""

from __future__ import annotations

import functools
import hashlib
import os
import re
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

from scalable_core.errors import ArtifactError
from scalable_core.types import Artifact, ArtifactRef, EventSink, NullSink, TransferProgress

_CHUNK = 1024 * 1024
_DAY = 86_400
_ASIDE = re.compile(r"\.[0-9a-f]{32}\.part")


def local_path(uri: str) -> Path:
    """Return the path that a ``file:`` URI or a plain path names.

    Raises:
        ArtifactError: The URI names another machine or another scheme.
    """
    if "://" not in uri:
        return Path(uri)
    parts = urlsplit(uri)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        raise ArtifactError(
            f"{uri} is not a file of this machine", cure="write file:///path/to/file"
        )
    return Path(unquote(parts.path))


def store(
    artifact: Artifact, destination: str, *, provider: str, events: EventSink | None = None
) -> ArtifactRef:
    """Write an artifact to a path of its own and return where and what it is.

    The bytes are written aside, flushed to disk, and get their name in one step that fails if it is taken,
    unless the artifact says that it may be overwritten.

    Raises:
        ArtifactError: Something has that name already, or the folder cannot be written.
    """
    path = local_path(destination).absolute()
    try:
        if not artifact.overwrite and path.exists():
            raise _taken(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent)
        progress = TransferProgress(events or NullSink(), path.as_uri(), _size(artifact.data))
        with _aside(path) as aside:
            digest, size = _copy(artifact.data, aside, progress, flush=True)
            if artifact.overwrite:
                os.replace(aside, path)
            else:
                _take_name(aside, path)
    except OSError as error:
        raise ArtifactError(f"{path} cannot be written: {error.strerror or error}") from error
    return ArtifactRef(
        uri=path.as_uri(),
        digest=digest,
        size=size,
        media_type=artifact.media_type,
        run=artifact.run,
        task=artifact.task,
        component=artifact.component,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        provider=provider,
    )


def fetch(ref: ArtifactRef, destination: Path, *, events: EventSink | None = None) -> Path:
    """Copy an artifact to a file that gets its name only once its bytes are known to be right.

    Raises:
        ArtifactError: It is not there, cannot be read, or is not what ``ref`` says.
    """
    source = local_path(ref.uri)
    progress = TransferProgress(events or NullSink(), ref.uri, ref.size)
    try:
        with _aside(destination.absolute()) as aside:
            digest, _ = _copy(source, aside, progress, flush=False)
            if digest != ref.digest:
                raise ArtifactError(
                    f"{source} is not what was stored: its digest is {digest}, not {ref.digest}",
                    cure="it was changed since; store it again",
                )
            os.replace(aside, destination)
    except OSError as error:
        place = error.filename or source
        raise ArtifactError(
            f"{place} cannot be read or written: {error.strerror or error}"
        ) from error
    return destination


@functools.cache
def _sweep(folder: Path) -> None:
    """Remove, once for each folder, what killed writers have left aside; one of today may still write."""
    for entry in os.scandir(folder):
        if _ASIDE.fullmatch(entry.name):
            with suppress(FileNotFoundError):
                if time.time() - entry.stat().st_mtime > _DAY:
                    os.unlink(entry.path)


@contextmanager
def _aside(path: Path) -> Iterator[Path]:
    """A free name beside a path; nothing is left under it in the end."""
    aside = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        yield aside
    finally:
        aside.unlink(missing_ok=True)


def _copy(
    data: bytes | Path, to: Path, progress: TransferProgress, *, flush: bool
) -> tuple[str, int]:
    """Write bytes, or those of a file, to a new file; return digest and size.

    ``flush``: they are on the disk at the end, so that no loss of power leaves a name with half of them.
    """
    digest, size = hashlib.sha256(), 0
    with open(to, "xb") as out, _beside(digest.update, _size(data)) as update:
        for chunk in _chunks(data):
            update(chunk)
            out.write(chunk)
            size += len(chunk)
            progress.add(len(chunk))
        if flush:
            out.flush()
            os.fsync(out.fileno())
    return f"sha256:{digest.hexdigest()}", size


@contextmanager
def _beside(work: Callable[[bytes], None], size: int) -> Iterator[Callable[[bytes], None]]:
    """Do the work on each chunk in a thread of its own, a few chunks behind, when there are many of them."""
    if size <= 4 * _CHUNK:
        yield work
        return
    behind: deque[Future[None]] = deque()

    def submit(chunk: bytes) -> None:
        behind.append(pool.submit(work, chunk))
        if len(behind) > 8:
            behind.popleft().result()

    with ThreadPoolExecutor(1, thread_name_prefix="scalable-digest") as pool:
        yield submit


def _size(data: bytes | Path) -> int:
    return len(data) if isinstance(data, bytes) else data.stat().st_size


def _chunks(data: bytes | Path) -> Iterator[bytes]:
    if isinstance(data, bytes):
        yield data
        return
    with open(data, "rb") as source:
        while chunk := source.read(_CHUNK):
            yield chunk


def _take_name(aside: Path, path: Path) -> None:
    """Give a file its name, in one step and only if the name is free."""
    try:
        try:
            os.link(aside, path)
        except FileExistsError:
            raise
        except OSError:
            # No hard links here, as on some network file systems: take the name, then fill it.
            path.touch(exist_ok=False)
            os.replace(aside, path)
    except FileExistsError:
        raise _taken(path) from None


def _taken(path: Path) -> ArtifactError:
    return ArtifactError(
        f"{path} exists already, and an artifact is not overwritten by itself",
        cure="store it under another name, or with overwrite=True",
    )
