"""Container images: asked for by name, answered by digest."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen


@frozen(kw_only=True)
class ImageRequest:
    """An image as the manifest writes it.

    Attributes:
        reference: ``ghcr.io/acme/model:2.0.1``, ``python:3.12``, or with ``@sha256:...``.
        platform: ``linux/amd64`` or ``linux/arm64``: what the workers will run on.
        component: The component it is for, to say so in errors.
        runtime: ``docker``, ``podman`` or ``apptainer`` where this machine's own runtime starts it, so
            that its local store may hold it; None elsewhere.
    """

    reference: str
    platform: str = "linux/amd64"
    component: str | None = None
    runtime: str | None = None


@frozen(kw_only=True)
class ResolvedImage:
    """An image pinned to the digest it had when it was resolved.

    Attributes:
        reference: The name as asked.
        pinned: ``registry/repository@sha256:...``: what is pulled.
        digest: ``sha256:`` and 64 hex digits of the manifest or index that the tag named.
        platforms: Such as ``linux/amd64``; of an index all of them.
        size: Compressed bytes of the wanted platform's layers and config; None when unknown.
        media_type: Media type of the manifest or index.
        versions: Of ``python`` (as 3.11), ``dask``, ``distributed`` and ``cloudpickle`` in it, those that the
            answering side knows; workers are compared once more when they start.
        provider: The plugin that answered; ``oci`` for the core's own resolver.
    """

    reference: str
    pinned: str
    digest: str
    platforms: tuple[str, ...] = ()
    size: int | None = None
    media_type: str | None = None
    versions: Mapping[str, str] = {}
    provider: str
