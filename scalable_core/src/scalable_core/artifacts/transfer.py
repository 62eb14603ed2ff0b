"""Artifacts to their place and back: through the plugin of the URI's scheme, or through fsspec."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from attrs import evolve

from scalable_core.artifacts import fallback
from scalable_core.artifacts.storage import plain_storage
from scalable_core.errors import ArtifactError
from scalable_core.plugins import PluginHost
from scalable_core.plugins.host import uri_scheme
from scalable_core.types import Artifact, ArtifactRef, HookContext, Storage

#: Schemes that are never left to fsspec: their plugins promise more.
_OF_PLUGINS = frozenset({"s3", "gs", "gcs"})


def store(
    artifact: Artifact, destination: str, *, host: PluginHost, context: HookContext
) -> ArtifactRef:
    """Store an artifact at a URI; safe from any thread.

    Raises:
        ArtifactError: Something is there already, or the place cannot be written.
        ProviderError: The plugin of the scheme is not installed, or broken.
    """
    if _has_plugin(destination, host):
        ref = host.store_artifact(artifact, destination, context)
    else:
        ref = fallback.store(artifact, destination, events=context.events)
    return evolve(ref, name=artifact.name)


def store_once(
    artifact: Artifact,
    destination: str,
    *,
    host: PluginHost,
    context: HookContext,
    known: Callable[[], ArtifactRef | None] = lambda: None,
) -> tuple[ArtifactRef, bool]:
    """Store what a task has made; what the task stored in an earlier attempt is there already.

    Returns:
        The reference, and whether it was stored now.

    Args:
        artifact: What a task made.
        destination: Where it goes.
        host: The plugins.
        context: The run.
        known: Says what the run knows of that name.

    Raises:
        ArtifactError: Other bytes have the name, or another task has made them.
    """
    try:
        return store(artifact, destination, host=host, context=context), True
    except ArtifactError:
        earlier = known()
        if earlier is not None:
            if (earlier.task, earlier.digest) == (artifact.task, digest_of(artifact.data)):
                return earlier, False
            raise
        found = _bytes_at(artifact, destination, host=host, context=context)
        if found is None:
            raise
        return found, False


def fetch(ref: ArtifactRef, destination: Path, *, host: PluginHost, context: HookContext) -> Path:
    """Fetch an artifact to a file whose folder exists; safe from any thread.

    Raises:
        ArtifactError: It is not there, cannot be read, or is not what ``ref`` says.
        ProviderError: The plugin of the scheme is not installed, or broken.
    """
    if _has_plugin(ref.uri, host):
        return host.fetch_artifact(ref, destination, context)
    return fallback.fetch(ref, destination, events=context.events)


def open_place(uri: str, *, host: PluginHost, context: HookContext) -> Storage:
    """Return the objects below a URI.

    Raises:
        StorageError: The URI makes no sense, or nothing that is installed knows its scheme.
    """
    return host.open_storage(uri, context) or plain_storage(uri)


def digest_of(data: bytes | Path) -> str:
    """Return ``sha256:`` and the digest of bytes, or of those of a file."""
    if isinstance(data, bytes):
        return f"sha256:{hashlib.sha256(data).hexdigest()}"
    with data.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def digest_at(
    storage: Storage, key: str, *, arrived: Callable[[int], None] = lambda count: None
) -> tuple[str, int]:
    """Read an object to its end and return its digest, as `digest_of`, and how many bytes it has.

    Args:
        storage: Where it is.
        key: Its name there.
        arrived: Told of each piece, how many bytes it has.

    Raises:
        FileNotFoundError: It is not there.
        StorageError: It cannot be read.
    """
    digest, size = hashlib.sha256(), 0
    for piece in storage.stream(key):
        digest.update(piece)
        size += len(piece)
        arrived(len(piece))
    return f"sha256:{digest.hexdigest()}", size


def _has_plugin(uri: str, host: PluginHost) -> bool:
    return host.provider_of(uri) is not None or uri_scheme(uri) in _OF_PLUGINS


def _bytes_at(
    artifact: Artifact, destination: str, *, host: PluginHost, context: HookContext
) -> ArtifactRef | None:
    """Return what is at a place, as if the artifact had been stored there, if its bytes are the same."""
    place, _, key = destination.rpartition("/")
    try:
        digest, size = digest_at(open_place(place, host=host, context=context), key)
    except Exception:
        return None  # what went wrong with storing says more
    if digest != digest_of(artifact.data):
        return None
    plain = "://" not in destination
    return ArtifactRef(
        uri=Path(destination).absolute().as_uri() if plain else destination,
        digest=digest,
        size=size,
        media_type=artifact.media_type,
        run=artifact.run,
        task=artifact.task,
        component=artifact.component,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        provider=host.provider_of(destination) or fallback.PROVIDER,
        name=artifact.name,
    )
