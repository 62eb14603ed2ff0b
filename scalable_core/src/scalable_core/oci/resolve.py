"""From the name of an image to its digest, platforms and size, as its registry tells them."""

from __future__ import annotations

import re
from typing import Any

from scalable_core.errors import ImageError
from scalable_core.oci.credentials import Credentials
from scalable_core.oci.reference import Reference, is_digest, parse_reference
from scalable_core.oci.registry import Registry, not_an_image
from scalable_core.types import ImageRequest, ResolvedImage

_PLATFORM = re.compile(r"[a-z0-9._-]+(/[a-z0-9._-]+){1,2}")
#: Variants that every machine of the architecture has; names leave them out.
_BASE_VARIANTS = ("linux/amd64/v1", "linux/arm64/v8")
_SHAPE_ERRORS = (LookupError, TypeError, ValueError, AttributeError, RecursionError)


def resolve(
    request: ImageRequest, *, timeout: float = 30.0, credentials: Credentials | None = None
) -> ResolvedImage:
    """Ask the image's registry what its name means now.

    Plain http is used when https fails, and for this machine only (``localhost``, 127.0.0.0/8, ``::1``).

    Args:
        request: The image and the platform it must have.
        timeout: Seconds for everything, retries and credential helpers included.
        credentials: Who asks; None looks where `podman login` and `docker login` leave credentials. They
            are used only when the registry asks for them.

    Returns:
        The image, pinned to the digest of the manifest or index that its name means.

    Raises:
        ImageError: The name is malformed, the image does not exist or may not be read, it lacks the
            platform, its digest is not what was said, or the registry cannot be reached or trusted in time.
    """
    try:
        reference = parse_reference(request.reference)
        return _resolve(request, reference, Registry(reference, timeout, credentials))
    except ImageError as error:
        if request.component is None:
            raise
        message = f"component {request.component!r}: {error.message}"
        raise ImageError(message, cure=error.cure) from error


def _resolve(request: ImageRequest, reference: Reference, registry: Registry) -> ResolvedImage:
    named = registry.read_manifest(reference.version)
    try:
        if named.is_index:
            members = list_members(named.content)
            platforms = tuple(members)
            _check_platform(request.platform, platforms, reference)
            manifest = registry.read_manifest(members[request.platform])
        else:
            manifest = named
            platforms = (_name_platform(registry.read_config(named.content["config"]["digest"])),)
            _check_platform(request.platform, platforms, reference)
        size = _measure(manifest.content)
    except _SHAPE_ERRORS as error:
        raise not_an_image(reference) from error
    return ResolvedImage(
        reference=request.reference,
        pinned=f"{reference.name}@{named.digest}",
        digest=named.digest,
        platforms=platforms,
        size=size,
        media_type=named.media_type,
        provider="oci",
    )


def list_members(index: dict[str, Any]) -> dict[str, str]:
    """Return the digest of each platform's manifest; what is no image (attestations) is left out."""
    members: dict[str, str] = {}
    for entry in index["manifests"]:
        platform = _name_platform(
            entry.get("platform") or {"os": "unknown", "architecture": "unknown"}
        )
        if not is_digest(entry["digest"]):
            raise ValueError(entry["digest"])
        if platform != "unknown/unknown":
            members.setdefault(platform, entry["digest"])
    return members


def _name_platform(data: dict[str, Any]) -> str:
    """Return ``os/architecture``, with the variant where it says something."""
    name = f"{data['os']}/{data['architecture']}"
    if data.get("variant"):
        name = f"{name}/{data['variant']}"
    if not _PLATFORM.fullmatch(name):
        raise ValueError(name)
    return name.rpartition("/")[0] if name in _BASE_VARIANTS else name


def _check_platform(wanted: str, platforms: tuple[str, ...], reference: Reference) -> None:
    if wanted not in platforms:
        raise ImageError(
            f"{reference} is not made for {wanted}, but for {', '.join(platforms) or 'no platform'}",
            cure=f"Build it for {wanted}, or choose a target with another architecture.",
        )


def _measure(manifest: dict[str, Any]) -> int:
    """Return the compressed bytes of an image: its layers and its configuration."""
    sizes = [part["size"] for part in (manifest["config"], *manifest["layers"])]
    if not all(isinstance(size, int) and size >= 0 for size in sizes):
        raise ValueError(sizes)
    return sum(sizes)
