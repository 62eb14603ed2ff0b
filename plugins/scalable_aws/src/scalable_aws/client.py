"""The one door to AWS: the only module that names its SDK. It is imported inside functions alone.

All calls of a process share one event loop on a thread of its own, one session, and one client for each
service and region, because making a client costs more than most calls. `run` is how synchronous code waits
for a coroutine; `patiently` is how every call is tried again.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import random
import re
import threading
import time
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Mapping
from html import unescape
from typing import Any, TypeVar

import aiohttp
from aiobotocore.config import AioConfig  # noqa: TID253
from aiobotocore.session import AioSession, get_session  # noqa: TID253
from attrs import frozen
from botocore import exceptions  # noqa: TID253
from botocore.auth import S3SigV4Auth, SigV4QueryAuth  # noqa: TID253
from botocore.awsrequest import AWSRequest  # noqa: TID253

T = TypeVar("T")

ClientError: Any = exceptions.ClientError

#: What decides which account, region and endpoint are meant; another value is another session.
_SETTINGS = (
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SESSION_TOKEN",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
)
_CONNECTIONS = 32
#: Seconds without a byte after which an attempt is given up.
READ_TIMEOUT = 30.0
_PASSING_STATUS = {408, 429, 500, 502, 503, 504}
_PASSING_CODES = {
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "TooManyRequestsException",
    "RequestTimeout",
    "RequestTimeoutException",
    "InternalError",
    "ServiceUnavailable",
    "ConditionalRequestConflict",
    "OperationAborted",
}


# -- the loop -------------------------------------------------------------------------------------------------


class _Loop:
    """An event loop on its own thread, with the clients that live there."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.loop = asyncio.new_event_loop()
        self.clients: dict[tuple[Any, ...], asyncio.Future[Any]] = {}
        self.sessions: dict[tuple[Any, ...], AioSession] = {}
        self.thread = threading.Thread(
            target=self.loop.run_forever, name="scalable-aws", daemon=True
        )
        self.thread.start()

    def close(self) -> None:
        """Let what runs end, for a few seconds, and close all connections."""

        async def end() -> None:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            if others:
                await asyncio.wait(others, timeout=5)
            await self.loop.shutdown_asyncgens()
            for client in self.clients.values():
                if client.done() and not client.cancelled() and client.exception() is None:
                    await client.result().close()

        if self.pid == os.getpid() and self.thread.is_alive():
            try:
                asyncio.run_coroutine_threadsafe(end(), self.loop).result(timeout=10)
            except Exception:  # the process is ending, and there is nobody to tell
                pass
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join(timeout=5)
            if not self.thread.is_alive():
                self.loop.close()


_lock = threading.Lock()
_current: _Loop | None = None


def _loop() -> _Loop:
    """Return this process's loop; a forked child has its own, as threads do not survive a fork."""
    global _current
    with _lock:
        if _current is None or _current.pid != os.getpid():
            _current = _Loop()
            atexit.register(_current.close)
        return _current


def run(work: Coroutine[Any, Any, T], *, deadline: float | None = None) -> T:
    """Run a coroutine on the shared loop and wait for it, from any other thread.

    Args:
        work: What to do.
        deadline: Monotonic time after which it is cancelled; None for no limit.

    Raises:
        TimeoutError: The deadline has passed.
    """
    try:
        future = asyncio.run_coroutine_threadsafe(work, _loop().loop)
    except RuntimeError:
        work.close()  # the process is ending, and the loop has ended before it
        raise
    try:
        return future.result(None if deadline is None else max(0.0, deadline - time.monotonic()))
    except BaseException:
        # Also Ctrl-C: what the work has begun is undone on the loop, and exit waits for that.
        future.cancel()
        raise


async def hop(work: Coroutine[Any, Any, T]) -> T:
    """Await a coroutine that runs on the shared loop, from whatever loop this is."""
    if asyncio.get_running_loop() is _loop().loop:
        return await work
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, _loop().loop))


def settings() -> tuple[str | int | None, ...]:
    """Return what decides which account, region and endpoint are meant now, in this process."""
    return (os.getpid(), *map(os.environ.get, _SETTINGS))


async def client(service: str, region: str | None = None, profile: str | None = None) -> Any:
    """Return the shared client of a service; call it on the loop.

    Endpoint, profile, region and credentials are found as every AWS tool finds them (``AWS_ENDPOINT_URL``,
    ``AWS_PROFILE``, ``AWS_REGION``, ...). It tries everything once: `patiently` is for the rest.
    """
    kept = _loop().clients
    key = (service, region, profile, *settings())
    if key not in kept:
        kept[key] = asyncio.ensure_future(_new_client(service, region, profile))
    try:
        return await asyncio.shield(kept[key])
    except Exception:
        kept.pop(key, None)
        raise


async def _new_client(service: str, region: str | None, profile: str | None) -> Any:
    # One session for each user: it has read what all services have in common, which takes its time.
    sessions = _loop().sessions
    who = (profile, *settings())
    if who not in sessions:
        sessions[who] = AioSession(profile=profile) if profile else get_session()
    session: AioSession = sessions[who]
    where = region or os.environ.get("AWS_REGION") or session.get_config_variable("region")
    if where is None and service == "s3":
        where = "us-east-1"  # S3 says of each bucket where it really is.
    config = AioConfig(
        max_pool_connections=_CONNECTIONS,
        connect_timeout=10,
        read_timeout=READ_TIMEOUT,
        retries={"total_max_attempts": 1},
        # Not the old global name, which answers for other regions with redirects.
        s3={"us_east_1_regional_endpoint": "regional"},
    )
    return await session.create_client(service, region_name=where, config=config).__aenter__()


# -- trying again ---------------------------------------------------------------------------------------------


@frozen(kw_only=True)
class Patience:
    """How long a call is tried again.

    Attributes:
        attempts: How often at most.
        first: Seconds: the most that the first pause takes; it doubles each time, and is drawn at random.
        longest: Seconds: the most that a pause takes.
        total: Seconds after the first attempt when no other is begun.
    """

    attempts: int = 7
    first: float = 0.2
    longest: float = 10.0
    total: float = 90.0


PATIENCE = Patience()


async def patiently(attempt: Callable[[], Awaitable[T]]) -> T:
    """Await an attempt again, with growing and random pauses, as long as what it raises may pass."""
    started, patience, number = time.monotonic(), PATIENCE, 1
    while True:
        try:
            return await attempt()
        except Exception as error:
            late = time.monotonic() - started > patience.total
            if number >= patience.attempts or late or not passes(error):
                raise
        await asyncio.sleep(
            random.uniform(0, min(patience.longest, patience.first * 2 ** (number - 1)))
        )
        number += 1


def passes(error: BaseException) -> bool:
    """Whether an error may be over soon: a broken connection, an overloaded service."""
    if isinstance(error, ClientError):
        return status_of(error) in _PASSING_STATUS or code_of(error) in _PASSING_CODES
    if isinstance(error, exceptions.SSLError):
        return False
    return isinstance(
        error,
        (
            exceptions.HTTPClientError,
            exceptions.ConnectionError,
            aiohttp.ClientError,
            TimeoutError,
            ConnectionError,
            EOFError,
        ),
    )


def code_of(error: BaseException) -> str:
    """Return the service's own word for a refusal, such as ``AccessDenied``; empty when it said none."""
    return str(error.response["Error"].get("Code", "")) if isinstance(error, ClientError) else ""


def status_of(error: BaseException) -> int:
    """Return the HTTP status of a refusal; 0 when there was no answer."""
    if not isinstance(error, ClientError):
        return 0
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


# -- signed requests ------------------------------------------------------------------------------------------


class _Signer(S3SigV4Auth):  # type: ignore[misc]
    """Signs with a digest that is known already, where the SDK would read all bytes once more."""

    def payload(self, request: Any) -> str:
        return str(request.context["sha256"])


async def send(
    client: Any,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    body: bytes | AsyncIterable[memoryview] = b"",
    sha256: str,
) -> aiohttp.ClientResponse:
    """Send one signed request of S3 and return the answer with its body unread.

    It goes the SDK's way for credentials, signature, proxies and connections, and past its checks, rules,
    parsers and handlers, which take three times as long as all the rest for a small object.

    Args:
        client: The shared client of S3.
        method: ``GET``, ``PUT``, ...
        url: Of the object, quoted.
        headers: Beside those of the signature.
        body: The bytes, or pieces of them; then ``Content-Length`` is among the headers.
        sha256: Hex digest of the body.

    Raises:
        ClientError: The answer is a refusal.
    """
    signer = client._request_signer
    if signer._credentials is None:
        raise exceptions.NoCredentialsError
    credentials = await signer._credentials.get_frozen_credentials()
    request = AWSRequest(method, url, headers=dict(headers))
    request.context["sha256"] = sha256
    _Signer(credentials, "s3", client.meta.region_name).add_auth(request)
    prepared = request.prepare()
    prepared.body, prepared.stream_output = body, True
    answer = (await client._endpoint.http_session.send(prepared)).raw
    if answer.status >= 300:
        text = (await answer.read()).decode("utf-8", "replace")
        raise ClientError(_parsed(answer, text), method)
    return answer  # type: ignore[no-any-return]


async def identity_url(sts: Any, *, expires: int, headers: Mapping[str, str]) -> str:
    """Return an address at which STS says who has signed it, to whoever sends these headers along.

    Args:
        sts: The shared client of STS.
        expires: Seconds, as the address says it.
        headers: Signed with it.

    Raises:
        NoCredentialsError: There are none.
    """
    signer, region = sts._request_signer, sts.meta.region_name
    if signer._credentials is None:
        raise exceptions.NoCredentialsError
    credentials = await signer._credentials.get_frozen_credentials()
    # The old global name signs for another region; who checks the address knows the regional ones.
    root = sts.meta.endpoint_url.replace("//sts.amazonaws.com", f"//sts.{region}.amazonaws.com")
    question = {"Action": "GetCallerIdentity", "Version": "2011-06-15"}
    request = AWSRequest("GET", f"{root.rstrip('/')}/", headers=dict(headers), params=question)
    SigV4QueryAuth(credentials, "sts", region, expires=expires).add_auth(request)
    return str(request.prepare().url)


def _parsed(answer: aiohttp.ClientResponse, text: str) -> dict[str, Any]:
    """Return a refusal in the SDK's form."""

    def tag(name: str, otherwise: str = "") -> str:
        found = re.search(f"<{name}>(.*?)</{name}>", text, re.DOTALL)
        return unescape(found[1]) if found else otherwise

    said = {"Code": tag("Code", str(answer.status)), "Message": tag("Message", answer.reason or "")}
    if region := answer.headers.get("x-amz-bucket-region") or tag("Region"):
        said["Region"] = region
    return {"Error": said, "ResponseMetadata": {"HTTPStatusCode": answer.status}}
