"""The one place that speaks to an API server: paths, JSON, patience, and refusals with the server's own words.

A thin layer over the official client's `DynamicClient`, whose requests are all that is used of it: bodies are
plain dicts, and no model class is ever loaded. Everything here blocks; `Api.call` brings it to an event loop.
"""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from scalable_kubernetes.access import Access

#: Requests that may be under way at one time.
IN_FLIGHT = 20
#: Seconds to connect, and to wait for an answer.
CONNECT, ANSWER = 5.0, 30.0
#: Seconds for which a request is tried again that the server could not take.
PATIENCE = 45.0
#: The same for what is good to know, and no more; a server that does not answer at all is then asked once.
BRIEF = 3.0
#: Answers after which a request is tried again: too many requests, and what a server says that is not well.
AGAIN = frozenset({0, 429, 500, 502, 503, 504})

Query = Sequence[tuple[str, Any]]


class ApiError(Exception):
    """The API server has refused a request, or did not answer.

    Args:
        status: Of HTTP; 0 without an answer.
        reason: The server's word for it, such as ``Forbidden`` or ``Expired``.
        message: Its sentence.
        retry_after: Seconds that it wants to be left alone.
    """

    def __init__(
        self, status: int, reason: str, message: str, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message
        self.retry_after = retry_after


def path(
    api_version: str, plural: str, namespace: str | None, name: str | None = None, part: str = ""
) -> str:
    """Return the path of a kind of object, of one object, or of a part of it such as ``log``."""
    root = "/api/v1" if api_version == "v1" else f"/apis/{api_version}"
    words = [root, *(["namespaces", namespace] if namespace else []), plural]
    return "/".join([*words, *filter(None, [name, part])])


class Api:
    """Asks one API server. Safe from any thread.

    Args:
        access: Where it is, and who asks.

    Attributes:
        requests: How many have been sent.
    """

    def __init__(self, access: Access) -> None:
        self.access = access
        self.requests = 0
        self._lock = threading.Lock()
        self._dynamic: Any = None
        self._pool: ThreadPoolExecutor | None = None

    async def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run something that blocks, at most `IN_FLIGHT` at one time."""
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="kubernetes")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: function(*args, **kwargs))

    def get(self, where: str, query: Query = (), *, patience: float = PATIENCE) -> Any:
        """Return a document."""
        return self.request("GET", where, query=query, patience=patience)

    def create(
        self, namespace: str, plural: str, body: Mapping[str, Any], query: Query = ()
    ) -> Any:
        """Create an object and return it as the server has it."""
        return self.request("POST", path(body["apiVersion"], plural, namespace), body, query)

    def delete(self, where: str, query: Query = (), body: Any = None) -> bool:
        """Delete an object, or all that a query selects; return whether there was any."""
        try:
            self.request("DELETE", where, body, query)
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        return True

    def request(
        self,
        method: str,
        where: str,
        body: Any = None,
        query: Query = (),
        *,
        patience: float = PATIENCE,
        content_type: str | None = None,
    ) -> Any:
        """Ask, again if the server could not take it, and return the document of the answer.

        Args:
            method: Of HTTP.
            where: The path.
            body: Plain data.
            query: What stands behind the path.
            patience: Seconds for which it is tried again.
            content_type: Of the body; that of plain JSON when None.

        Raises:
            ApiError: It was refused.
        """
        answer = self._insist(patience, method, where, body, query, content_type)
        return json.loads(answer.data)

    def stream(self, where: str, query: Query = (), *, silence: float = 60.0) -> Iterator[bytes]:
        """Yield lines as the server writes them, until it ends; ``silence`` is the longest wait, in seconds."""
        limits = (CONNECT, silence)
        answer = self._insist(0.0, "GET", where, None, query, None, timeout=limits)
        rest = b""
        try:
            for chunk in answer.stream(2**16):
                *lines, rest = (rest + chunk).split(b"\n")
                yield from lines
            if rest:
                yield rest
        except Exception as error:
            raise _no_answer(error) from error
        finally:
            answer.close()

    def text(self, where: str, query: Query = ()) -> str:
        """Return an answer that is no document, such as a log."""
        data: bytes = self._insist(BRIEF, "GET", where, None, query, None).data
        return data.decode(errors="replace")

    def socket(self, where: str, query: str) -> Any:
        """Open a web socket."""
        from kubernetes.stream.ws_client import create_websocket

        client = self.client().client
        config = client.configuration
        headers = {each["key"]: each["value"] for each in config.auth_settings().values()}
        url = config.host.replace("http", "ws", 1) + f"{where}?{query}"
        protocol = {"sec-websocket-protocol": "v4.channel.k8s.io"}
        self._count()
        try:
            return create_websocket(config, url, {**headers, **protocol})
        except Exception as error:
            if getattr(error, "status_code", None) == 401:  # who tries again has fresh credentials
                self.renew()
            raise

    def client(self) -> Any:
        """Return the client, made when it is first needed."""
        with self._lock:
            if self._dynamic is None:
                self._dynamic = _dynamic_client(self.access.connect())
            return self._dynamic

    def renew(self) -> None:
        """Begin anew with fresh credentials."""
        self.access.renew()
        with self._lock:
            self._dynamic = None

    def close(self) -> None:
        """Give back threads; requests that are under way end by themselves."""
        if self._pool is not None:
            self._pool.shutdown(wait=False)

    # -- inside ------------------------------------------------------------------------------------------

    def _insist(self, patience: float, *request: Any, **more: Any) -> Any:
        """Send, again for so many seconds if the server could not take it, and return the answer."""
        give_up = time.monotonic() + patience
        pause, renewed = 0.2, False
        while True:
            try:
                return self._send(*request, **more)
            except ApiError as error:
                if error.status == 401 and not renewed:
                    renewed = True
                    self.renew()
                    continue
                wait = max(error.retry_after or 0.0, pause * random.uniform(0.7, 1.3))
                # A quota that others use at the same time is a conflict that passes.
                again = error.status in AGAIN or error.reason == "Conflict"
                again = again and (error.status != 0 or patience > BRIEF)
                if not again or time.monotonic() + wait > give_up:
                    raise
                time.sleep(wait)
                pause = min(5.0, pause * 2)

    def _send(
        self,
        method: str,
        where: str,
        body: Any,
        query: Query,
        content_type: str | None,
        timeout: tuple[float, float] = (CONNECT, ANSWER),
    ) -> Any:
        from kubernetes.client.exceptions import ApiException

        self._count()
        more = {"content_type": content_type} if content_type else {}
        try:
            return self.client().request(
                method.lower(),
                where,
                body=body,
                query_params=list(query),
                header_params={},
                serialize=False,
                _request_timeout=timeout,
                **more,
            )
        except ApiException as error:
            raise _refusal(error) from error
        except OSError as error:
            raise _no_answer(error) from error
        except Exception as error:
            if type(error).__module__.startswith("urllib3"):
                raise _no_answer(error) from error
            raise

    def _count(self) -> None:
        with self._lock:
            self.requests += 1


def _dynamic_client(client: Any) -> Any:
    """Return the client without its discovery, which asks for every kind that there is, and writes a file."""
    from kubernetes.dynamic import DynamicClient

    return DynamicClient(client, discoverer=lambda *_: None)


def _refusal(error: Any) -> ApiError:
    status = int(error.status or 0)
    headers = error.headers or {}
    try:
        said = json.loads(error.body)
        reason, message = said.get("reason") or "", said.get("message") or ""
    except (TypeError, ValueError):
        reason, message = error.reason or "", str(error.body or error.reason or "")
    wait = headers.get("Retry-After")
    seconds = float(wait) if wait and wait.isdigit() else None
    return ApiError(status, reason, message.strip() or reason or f"HTTP {status}", seconds)


def _no_answer(error: Exception) -> ApiError:
    cause: BaseException = error
    while (inner := getattr(cause, "reason", None) or cause.__cause__) and isinstance(
        inner, BaseException
    ):
        cause = inner
    text = " ".join(str(cause).split())
    return ApiError(0, "NoAnswer", text or type(cause).__name__)
