"""One patient, careful HTTP client: deadline, retries, redirects, limits. Knows nothing of images.

What it promises: no answer over 4 MiB is kept, though longer ones can be read as they come; plain http reaches
this machine only; an Authorization header goes to the origin it was meant for and nowhere else.
"""

from __future__ import annotations

import email.utils
import http.client
import random
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import Message
from typing import Any
from urllib.parse import urljoin, urlsplit

from attrs import frozen

from scalable_core.errors import ImageError
from scalable_core.oci.reference import is_loopback

MAX_BYTES = 4 * 1024**2
_ATTEMPTS = 5
_REDIRECTS = 5


class NotTlsError(ImageError):
    """The server does not speak TLS at all (a bad certificate is another matter)."""


@frozen(kw_only=True)
class Response:
    """What a server answered, whatever its status.

    Attributes:
        status: HTTP status.
        headers: Header fields; names in any case.
        body: At most `MAX_BYTES` bytes.
    """

    status: int
    headers: Message
    body: bytes


class Transport:
    """Fetches until a deadline.

    Args:
        timeout: Seconds from now on for everything that is fetched.
        plain: Plain http to this machine may be used.
    """

    def __init__(self, *, timeout: float, plain: bool) -> None:
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        self._plain = plain
        tls = ssl.create_default_context()
        self._direct = _build_opener(urllib.request.ProxyHandler({}), tls)
        self._proxied = _build_opener(urllib.request.ProxyHandler(), tls)

    def remaining(self, host: str) -> float:
        """Return the seconds that are left; an `ImageError` when there are none."""
        seconds = self._deadline - time.monotonic()
        if seconds <= 0:
            raise self._too_slow(host)
        return seconds

    def fetch(
        self,
        url: str,
        *,
        accept: str = "*/*",
        authorization: str | None = None,
        form: bytes | None = None,
        take: Callable[[Any], None] | None = None,
    ) -> Response:
        """GET ``url``, or POST ``form`` to it, again when the server is busy or breaks off.

        Args:
            url: What is asked for.
            accept: Media types.
            authorization: The header's value.
            form: What to POST.
            take: Reads a good answer as it comes, instead of keeping it; it may stop before the end, and is
                called again for another try.

        Raises:
            NotTlsError: An https URL, and no TLS behind it.
            ImageError: No answer in time, no connection, a broken or too long answer, or busy for longer
                than the time that is left.
        """
        host = _host(url)
        for attempt in range(1, _ATTEMPTS + 1):
            wait = random.uniform(0.5, 1) * min(0.25 * 2**attempt, 8)
            try:
                response = self._follow(url, accept, authorization, form, take)
            except (OSError, http.client.HTTPException, ValueError) as error:
                failure = self._explain(error, url)
                if isinstance(failure, NotTlsError) or not _is_broken_off(error):
                    raise failure from error
            else:
                if response.status not in (408, 429) and response.status < 500:
                    return response
                asked = _retry_after(response.headers)
                wait = wait if asked is None else asked + random.uniform(0, 0.25)
                failure = ImageError(
                    f"{host} cannot answer now: HTTP {response.status}",
                    cure="Try again later." if asked is None else f"Try again in {asked:.0f} s.",
                )
            if attempt == _ATTEMPTS or wait >= self.remaining(host):
                break
            time.sleep(wait)
        raise failure

    def _follow(
        self,
        url: str,
        accept: str,
        authorization: str | None,
        form: bytes | None,
        take: Callable[[Any], None] | None,
    ) -> Response:
        for _ in range(_REDIRECTS + 1):
            response = self._exchange(url, accept, authorization, form, take)
            location = response.headers.get("Location")
            if response.status not in (301, 302, 303, 307, 308) or not location or form:
                return response
            target = urljoin(url, location)
            if _origin(target) != _origin(url):
                authorization = None
            url = target
        raise ImageError(f"{_host(url)} redirects in a circle")

    def _exchange(
        self,
        url: str,
        accept: str,
        authorization: str | None,
        form: bytes | None,
        take: Callable[[Any], None] | None,
    ) -> Response:
        host = _host(url)
        here = is_loopback(host)
        scheme = url.partition(":")[0]
        allowed = scheme == "https" or (scheme == "http" and here and self._plain)
        if not (allowed and host and url.isascii() and url.isprintable()):
            raise ImageError(f"{url!r} is not asked: its address must start with https")
        headers = {"Accept": accept, "User-Agent": "scalable"}
        if authorization:
            headers["Authorization"] = authorization
        request = urllib.request.Request(url, data=form, headers=headers)
        opener = self._direct if here else self._proxied
        with opener.open(request, timeout=self.remaining(host)) as reply:
            if take is not None and reply.status == 200:
                take(_Timed(reply, lambda: self.remaining(host)))
                return Response(status=200, headers=reply.headers, body=b"")
            body = self._read(reply, host)
            return Response(status=reply.status, headers=reply.headers, body=body)

    def _read(self, reply: Any, host: str) -> bytes:
        body = bytearray()
        while chunk := reply.read1(65536):
            body += chunk
            if len(body) > MAX_BYTES:
                raise ImageError(
                    f"{host} sent more than {MAX_BYTES} bytes where a manifest belongs"
                )
            self.remaining(host)
        # http.client says nothing of a body that is shorter than promised when it is read in parts.
        if len(body) < int(reply.headers.get("Content-Length") or 0):
            raise http.client.IncompleteRead(bytes(body))
        return bytes(body)

    def _explain(self, error: Exception, url: str) -> ImageError:
        host = _host(url)
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(cause, TimeoutError):
            return self._too_slow(host)
        if isinstance(cause, ssl.SSLCertVerificationError):
            return ImageError(
                f"the certificate of {host} is not trusted: {cause.verify_message}",
                cure="Set SSL_CERT_FILE to the PEM file of the authority that signed it.",
            )
        # A server without TLS answers a handshake with nonsense, or just hangs up.
        hung_up = isinstance(cause, (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError))
        here = url.startswith("https:") and is_loopback(host)
        if (hung_up and here) or (isinstance(cause, ssl.SSLError) and not hung_up):
            return NotTlsError(
                f"no TLS connection with {host}: {cause}",
                cure="Check host and port; plain http is used for this machine only.",
            )
        reason = "it broke off" if _is_broken_off(error) else cause
        return ImageError(
            f"{host} cannot be reached: {reason}",
            cure="Check its name, the network and the proxy variables (HTTPS_PROXY, NO_PROXY).",
        )

    def _too_slow(self, host: str) -> ImageError:
        return ImageError(
            f"{host} did not answer within {self._timeout:g} s",
            cure="Check the network and the proxy variables (HTTPS_PROXY, NO_PROXY), or try again.",
        )


@frozen
class _Timed:
    """A body that is read as long as there is time."""

    reply: Any
    remaining: Callable[[], float]

    def read(self, size: int = -1) -> bytes:
        self.remaining()
        data: bytes = self.reply.read(size)
        return data


def _build_opener(
    proxies: urllib.request.ProxyHandler, tls: ssl.SSLContext
) -> urllib.request.OpenerDirector:
    """Return an opener for http and https only, that hands back every answer as it is.

    The opener that urllib builds by itself follows redirects, and takes the Authorization header along.
    """
    opener = urllib.request.OpenerDirector()
    https = urllib.request.HTTPSHandler(context=tls)
    for handler in (proxies, urllib.request.HTTPHandler(), https):
        opener.add_handler(handler)
    return opener


def _is_broken_off(error: Exception) -> bool:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    broken = (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError, http.client.IncompleteRead)
    return isinstance(cause, broken)


def _retry_after(headers: Message) -> float | None:
    """Seconds to wait: the header has a number of seconds or a date."""
    text = str(headers.get("Retry-After") or "").strip()
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None


def _host(url: str) -> str:
    """Return the host and port as written; unlike `urlsplit` never an error, whatever a server sent."""
    match = re.match(r"https?://([^/?#\s@]*)(?=[/?#]|$)", url)
    return match[1] if match else ""


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)
