"""The answer to a registry's challenge: none, Basic, or a Bearer token from the server it names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlencode

from scalable_core.errors import ImageError
from scalable_core.oci.credentials import Credentials, find_credentials
from scalable_core.oci.reference import Reference
from scalable_core.oci.transport import Transport

_HELPER_SECONDS = 15.0
_TOKEN = re.compile(r"[\x21-\x7e]+")
_WORD = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_PARAMETER_OR_SCHEME = re.compile(rf'({_WORD})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))|({_WORD})')


class Authenticator:
    """Proves to one registry who asks for one image.

    Args:
        reference: The image that is to be read.
        transport: Asks the token server.
        credentials: From the caller; None looks for them where Podman and Docker keep them, and only once
            the registry asks.
    """

    def __init__(
        self, reference: Reference, transport: Transport, credentials: Credentials | None
    ) -> None:
        self._reference = reference
        self._transport = transport
        self._credentials = credentials
        self._notes: list[str] = []

    def answer(self, headers: list[str]) -> str:
        """Answer the ``WWW-Authenticate`` headers of HTTP 401 with an Authorization header's value.

        Raises:
            ImageError: No credentials, refused credentials, or a challenge that cannot be answered.
        """
        challenges = dict(reversed(list(parse_challenges(headers))))  # the first of a kind counts
        if self._credentials is None:
            seconds = min(_HELPER_SECONDS, self._transport.remaining(self._reference.host))
            self._credentials = find_credentials(self._reference, self._notes, timeout=seconds)
        if "bearer" in challenges:
            return self._fetch_token(challenges["bearer"])
        if "basic" in challenges and self._credentials and self._credentials.username:
            return self._credentials.basic
        raise self.denied()

    def denied(self) -> ImageError:
        """Return the error of an image that may not be read, with what was tried."""
        registry, credentials = self._reference.registry, self._credentials
        if credentials is None:
            reason = "it needs a login, or does not exist"
        else:
            user = f"user {credentials.username!r}" if credentials.username else "the token"
            reason = f"{user} from {credentials.source} may not, or it does not exist"
        return ImageError(
            f"{registry} does not let {self._reference.repository} be read: "
            + "; ".join([reason, *self._notes]),
            cure=f"Check the name, then: podman login {registry} (or docker login {registry})",
        )

    def _fetch_token(self, challenge: Mapping[str, str]) -> str:
        scope = challenge.get("scope") or f"repository:{self._reference.repository}:pull"
        query = {"service": challenge["service"]} if "service" in challenge else {}
        realm = challenge.get("realm", "")
        credentials = self._credentials
        if credentials and credentials.identity_token:
            form = query | {"grant_type": "refresh_token", "client_id": "scalable", "scope": scope}
            form["refresh_token"] = credentials.identity_token
            response = self._transport.fetch(realm, form=urlencode(form).encode())
        else:
            pairs = [*query.items(), *(("scope", part) for part in scope.split())]
            response = self._transport.fetch(
                f"{realm}{'&' if '?' in realm else '?'}{urlencode(pairs)}",
                authorization=credentials.basic if credentials and credentials.username else None,
            )
        if response.status in (400, 401, 403):
            raise self.denied()
        try:
            answer = json.loads(response.body)
            token = answer.get("token") or answer["access_token"]
        except (ValueError, LookupError, AttributeError, RecursionError):
            token = None
        # What is no token must not become a header either: http.client would quote it in its error.
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise ImageError(
                f"the token server of {self._reference.registry} gave no token: HTTP {response.status}"
            )
        return f"Bearer {token}"


def parse_challenges(headers: list[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each scheme (lower case) of ``WWW-Authenticate`` headers with its parameters."""
    for header in headers:
        found: list[tuple[str, dict[str, str]]] = []
        for name, quoted, plain, scheme in _PARAMETER_OR_SCHEME.findall(header):
            if scheme:
                found.append((scheme.lower(), {}))
            elif found:
                found[-1][1][name.lower()] = plain or re.sub(r"\\(.)", r"\1", quoted)
        yield from found
