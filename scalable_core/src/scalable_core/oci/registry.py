"""One repository of one registry: its manifests, configurations and tags, each checked by digest."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Callable
from typing import Any

from attrs import frozen

from scalable_core.errors import ImageError
from scalable_core.oci.auth import Authenticator
from scalable_core.oci.credentials import Credentials
from scalable_core.oci.reference import Reference, is_digest, is_loopback, is_tag
from scalable_core.oci.transport import NotTlsError, Response, Transport

_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)


@frozen(kw_only=True)
class Document:
    """A manifest or an index, checked against its digest but not yet against its form."""

    digest: str
    media_type: str
    content: dict[str, Any]

    @property
    def is_index(self) -> bool:
        """Whether it names one manifest for each platform."""
        return self.media_type in _INDEXES


class Registry:
    """One repository of one registry, for one resolution.

    Args:
        reference: The image that is asked for.
        timeout: Seconds from now on for everything.
        credentials: Who asks; None finds out when the registry asks.
    """

    def __init__(
        self, reference: Reference, timeout: float, credentials: Credentials | None
    ) -> None:
        self._reference = reference
        here = is_loopback(reference.host)
        self._transport = Transport(timeout=timeout, plain=here)
        self._authenticator = Authenticator(reference, self._transport, credentials)
        self._authorization: str | None = None
        self._scheme = "https"
        self._is_scheme_known = not here

    def read_manifest(self, version: str) -> Document:
        """Return the manifest or index of a tag or a digest."""
        path = f"{self._reference.repository}/manifests/{version}"
        response = self._get(path, accept=", ".join(_INDEXES + _MANIFESTS))
        if response.status == 404:
            raise self._explain_absence(version, response)
        digest = self._verify(response, version)
        content = _parse(response.body)
        if content is None:
            raise self._not_a_registry()
        header = str(response.headers.get("Content-Type")).partition(";")[0].strip()
        # Two media types that disagree are an old trick to show different images to different readers.
        types = {str(content.get("mediaType")), header}.intersection(_INDEXES + _MANIFESTS)
        if len(types) != 1:
            raise not_an_image(self._reference)
        return Document(digest=digest, media_type=types.pop(), content=content)

    def read_config(self, digest: object) -> dict[str, Any]:
        """Return an image's configuration: what it was built for."""
        if not isinstance(digest, str) or not is_digest(digest):
            raise not_an_image(self._reference)
        response = self._get(f"{self._reference.repository}/blobs/{digest}")
        self._verify(response, digest)
        return _parse(response.body) or {}

    def read_layer(self, digest: object, take: Callable[[Any], None]) -> None:
        """Let ``take`` read a layer as it comes; it may stop before the end. Not compared with its digest."""
        if not isinstance(digest, str) or not is_digest(digest):
            raise not_an_image(self._reference)
        response = self._get(f"{self._reference.repository}/blobs/{digest}", take=take)
        if response.status != 200:
            raise ImageError(f"{self._reference.registry} answered HTTP {response.status}")

    def _get(
        self, path: str, *, accept: str = "*/*", take: Callable[[Any], None] | None = None
    ) -> Response:
        response = self._send(path, accept, take)
        if response.status == 401 and self._authorization is None:
            challenges = response.headers.get_all("WWW-Authenticate") or []
            self._authorization = self._authenticator.answer(challenges)
            response = self._send(path, accept, take)
        if response.status in (401, 403):
            raise self._authenticator.denied()
        return response

    def _send(
        self, path: str, accept: str = "*/*", take: Callable[[Any], None] | None = None
    ) -> Response:
        url = f"{self._scheme}://{self._reference.host}/v2/{path}"
        try:
            response = self._transport.fetch(
                url, accept=accept, authorization=self._authorization, take=take
            )
        except NotTlsError:
            if self._is_scheme_known:
                raise
            self._scheme, self._is_scheme_known = "http", True
            return self._send(path, accept, take)
        self._is_scheme_known = True
        return response

    def _verify(self, response: Response, version: str) -> str:
        """Return the digest of what was sent, if it is the one that was asked for and announced."""
        registry = self._reference.registry
        if response.status != 200:
            raise ImageError(
                f"{registry} answered HTTP {response.status} instead of {self._reference}"
            )
        digest = f"sha256:{hashlib.sha256(response.body).hexdigest()}"
        announced = response.headers.get("Docker-Content-Digest") or digest
        wanted = version if is_digest(version) else digest
        if not digest == announced == wanted:
            raise ImageError(
                f"{registry} sent something else than it should: of {self._reference} came {digest}, "
                f"and not {wanted if wanted != digest else announced!r}",
                cure="Try again; if it stays so, a proxy or a mirror changes what the registry sends.",
            )
        return digest

    def _explain_absence(self, version: str, response: Response) -> ImageError:
        reference = self._reference
        if _parse(response.body) is None and self._send("").status not in (200, 401):
            return self._not_a_registry()
        if is_digest(version):
            message = f"{reference.registry} has no {reference.name}@{version}"
            return ImageError(
                message, cure="Check the digest; registries may delete untagged images."
            )
        tags = self._list_tags()
        if tags is None:
            message = f"{reference.registry} has no repository {reference.repository}"
            return ImageError(message, cure="Check its name.")
        nearest = difflib.get_close_matches(version, tags, n=3, cutoff=0.0)
        return ImageError(
            f"{reference.registry} has no tag {version!r} of {reference.repository}",
            cure=f"It has for example: {', '.join(nearest)}" if nearest else "Check the tag.",
        )

    def _list_tags(self) -> list[str] | None:
        """Return some tags, as far as the registry tells; None when there is no such repository."""
        try:
            response = self._get(f"{self._reference.repository}/tags/list?n=1000")
        except (
            ImageError
        ):  # it is the missing tag that must be told, not that others may not be listed
            return []
        if response.status == 404:
            return None
        tags = (_parse(response.body) or {}).get("tags")
        tags = tags if isinstance(tags, list) else []
        return [tag for tag in tags if isinstance(tag, str) and is_tag(tag)]

    def _not_a_registry(self) -> ImageError:
        return ImageError(
            f"{self._reference.registry} does not answer as a container registry does",
            cure="Check its name and port.",
        )


def not_an_image(reference: Reference) -> ImageError:
    """Return the error of a name that means something else than an image."""
    return ImageError(
        f"{reference} is not a container image",
        cure="Name an image in the OCI or Docker (version 2, schema 2) format.",
    )


def _parse(body: bytes) -> dict[str, Any] | None:
    """Return the JSON object in ``body``, or None when it is something else."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
