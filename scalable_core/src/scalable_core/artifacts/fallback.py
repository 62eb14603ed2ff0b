"""Artifacts where no plugin has a better way: any file system that fsspec reaches.

What is written gets its name once it is whole, and a name that is taken is refused. Two writers at one moment
in two processes are told apart as well as the file system can: most have no write that fails if there is one.
"""

from __future__ import annotations

import hashlib
import os
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scalable_core.errors import ArtifactError
from scalable_core.types import Artifact, ArtifactRef, EventSink, TransferProgress

#: Such references say that no plugin has made them.
PROVIDER = "fsspec"
_PIECE = 1024 * 1024
_naming = threading.Lock()


def store(artifact: Artifact, destination: str, *, events: EventSink) -> ArtifactRef:
    """Write an artifact and return where and what it is.

    Raises:
        ArtifactError: Something has that name already, fsspec does not know the scheme, or the place cannot be
            written.
    """
    system, path = _open(destination)
    with _trouble(destination, "stored"):
        if not artifact.overwrite and system.exists(path):
            raise _taken(destination)
        folder = path.rpartition("/")[0]
        system.makedirs(folder, exist_ok=True)
        aside = f"{folder}/.{uuid.uuid4().hex}.part"
        try:
            digest, size = _send(artifact.data, system, aside, destination, events)
            with _naming:
                if not artifact.overwrite and system.exists(path):
                    raise _taken(destination)
                system.mv(aside, path)
        except BaseException:
            with suppress(Exception):
                system.rm_file(aside)
            raise
    return ArtifactRef(
        uri=destination,
        digest=digest,
        size=size,
        media_type=artifact.media_type,
        run=artifact.run,
        task=artifact.task,
        component=artifact.component,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        provider=PROVIDER,
        name=artifact.name,
    )


def fetch(ref: ArtifactRef, destination: Path, *, events: EventSink) -> Path:
    """Copy an artifact to a file that gets its name only once its bytes are known to be right.

    Raises:
        ArtifactError: It is not there, cannot be read, or is not what ``ref`` says.
    """
    system, path = _open(ref.uri)
    aside = destination.with_name(f".{uuid.uuid4().hex}.part")
    progress = TransferProgress(events, ref.uri, ref.size)
    digest = hashlib.sha256()
    try:
        with (
            _trouble(ref.uri, "fetched"),
            system.open(path, "rb", cache_type="none") as source,
            aside.open("xb") as file,
        ):
            while piece := source.read(_PIECE):
                file.write(piece)
                digest.update(piece)
                progress.add(len(piece))
        if f"sha256:{digest.hexdigest()}" != ref.digest:
            raise ArtifactError(
                f"{ref.uri} is not what was stored: its digest is sha256:{digest.hexdigest()}, "
                f"not {ref.digest}",
                cure="it was changed since; store it again",
            )
        os.replace(aside, destination)
    finally:
        aside.unlink(missing_ok=True)
    return destination


def _open(uri: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    try:
        system, path = url_to_fs(uri)
    except (ImportError, ValueError) as error:
        raise ArtifactError(
            f"{uri} cannot be opened: {error}",
            cure="install the plugin or the fsspec package of its scheme, or name another default_storage",
        ) from error
    return system, str(path)


def _send(
    data: bytes | Path, system: Any, path: str, uri: str, events: EventSink
) -> tuple[str, int]:
    """Write bytes, or those of a file, and return digest and size."""
    digest, size = hashlib.sha256(), 0
    total = len(data) if isinstance(data, bytes) else data.stat().st_size
    progress = TransferProgress(events, uri, total)
    with system.open(path, "wb") as out:
        for piece in _pieces(data):
            out.write(piece)
            digest.update(piece)
            size += len(piece)
            progress.add(len(piece))
    return f"sha256:{digest.hexdigest()}", size


def _pieces(data: bytes | Path) -> Iterator[bytes]:
    if isinstance(data, bytes):
        yield data
        return
    with data.open("rb") as source:
        while piece := source.read(_PIECE):
            yield piece


@contextmanager
def _trouble(uri: str, what: str) -> Iterator[None]:
    try:
        yield
    except ArtifactError:
        raise
    except FileNotFoundError as error:
        raise ArtifactError(f"{uri} cannot be {what}: it is not there") from error
    except Exception as error:
        raise ArtifactError(
            f"{uri} cannot be {what}: {error or type(error).__name__}",
            cure="see that the place exists, that you may use it, and that it can be reached",
        ) from error


def _taken(uri: str) -> ArtifactError:
    return ArtifactError(
        f"{uri} exists already, and an artifact is not overwritten by itself",
        cure="store it under another name, or with overwrite=True",
    )
