"""Names of images: ``python:3.12``, ``ghcr.io/acme/model@sha256:...``. Pure; nothing is asked."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from attrs import frozen

from scalable_core.errors import ImageError

DOCKER_HUB = "docker.io"

_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_REGISTRY = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:]+\])(?::[0-9]{{1,5}})?")
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_EXAMPLE = "Write it like python:3.12 or ghcr.io/acme/model:2.0.1."


@frozen(kw_only=True)
class Reference:
    """An image's full name; exactly one of ``tag`` and ``digest`` decides what it means.

    Attributes:
        registry: ``docker.io``, ``localhost:5000``; lower case, with the port if one was written.
        repository: ``library/python``; lower case.
        tag: ``latest`` when neither tag nor digest was written; kept beside a digest, but not used.
        digest: ``sha256:`` and 64 hex digits, or None.
    """

    registry: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    @property
    def name(self) -> str:
        """``docker.io/library/python``: what a digest is appended to."""
        return f"{self.registry}/{self.repository}"

    @property
    def host(self) -> str:
        """Where the registry's API is served: Docker Hub's is not at ``docker.io``."""
        return "registry-1.docker.io" if self.registry == DOCKER_HUB else self.registry

    @property
    def version(self) -> str:
        """The digest, or else the tag."""
        return self.digest or self.tag or "latest"

    def __str__(self) -> str:
        return f"{self.name}{'@' if self.digest else ':'}{self.version}"


def parse_reference(text: str) -> Reference:
    """Read an image's name as Docker and Podman do, with Docker Hub as the default registry.

    Raises:
        ImageError: It is not the name of an image; the cure says how to write it.
    """
    if "://" in text:
        bare = text.partition("://")[2]
        raise _malformed(text, "it starts with a scheme", f"Write it without: {bare}")
    rest, at, digest = text.partition("@")
    if at and not is_digest(digest):
        raise _malformed(text, "its digest is not sha256: and 64 hex digits", _EXAMPLE)
    # A colon after the last slash starts a tag; one before it belongs to the registry's port.
    name, colon, tag = rest.rpartition(":")
    if not colon or "/" in tag:
        name, colon, tag = rest, "", ""
    if colon and not is_tag(tag):
        raise _malformed(text, f"{tag!r} is not a tag", _EXAMPLE)
    registry, repository = _split_name(name)
    if repository != repository.lower():
        lower = text.replace(repository, repository.lower(), 1)
        raise _malformed(text, "the repository has upper case letters", f"Write {lower}")
    if not _REPOSITORY.fullmatch(repository) or len(f"{registry}/{repository}") > 255:
        raise _malformed(text, f"{repository!r} is not a repository", _EXAMPLE)
    if not _REGISTRY.fullmatch(registry) or not _has_valid_port(registry):
        raise _malformed(text, f"{registry!r} is not a registry's host", _EXAMPLE)
    tag = tag or ("" if digest else "latest")
    return Reference(
        registry=registry, repository=repository, tag=tag or None, digest=digest or None
    )


def _split_name(name: str) -> tuple[str, str]:
    """Tell the registry from the repository: a first part with a dot or a port, or ``localhost``."""
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first.lower() == "localhost"):
        registry, repository = first.lower(), rest
    else:
        registry, repository = DOCKER_HUB, name
    if registry == "index.docker.io":
        registry = DOCKER_HUB
    if registry == DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    return registry, repository


def _has_valid_port(registry: str) -> bool:
    try:
        return urlsplit(f"//{registry}").port != 0
    except ValueError:
        return False


def _malformed(text: str, reason: str, cure: str) -> ImageError:
    return ImageError(f"{text!r} is not the name of an image: {reason}", cure=cure)


def is_digest(text: str) -> bool:
    """Whether ``text`` is ``sha256:`` and 64 lower case hex digits."""
    return _DIGEST.fullmatch(text) is not None


def is_tag(text: str) -> bool:
    """Whether ``text`` can be a tag."""
    return _TAG.fullmatch(text) is not None


def is_loopback(host: str) -> bool:
    """Whether ``host`` (with or without a port) is certainly this machine itself."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
