"""The door to Google Cloud: one session and one token, on one event loop in the background.

The only module that names Google's SDKs. Whoever calls a service of Google's writes coroutines over a
`Connection` and lets `run` wait for them; loop, connections and token are shared by all of the process.
"""

from __future__ import annotations

import asyncio
import gzip
import os
import queue
import threading
import urllib.request
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Mapping
from contextlib import suppress
from typing import Any, TypeVar
from urllib.parse import urlencode

import aiohttp
import google.auth  # noqa: TID253 - this module is itself imported only inside functions
from gcloud.aio.storage import Storage as StorageService  # noqa: TID253
from google.auth import exceptions as auth_errors  # noqa: TID253
from google.auth.credentials import Credentials  # noqa: TID253
from google.auth.transport.requests import Request  # noqa: TID253
from yarl import URL

T = TypeVar("T")

STORAGE_ROOT = "https://storage.googleapis.com"
_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
#: Seconds to get a token, and to clean up after an interruption.
_TOKEN, _FAREWELL = 30, 5


class CredentialsError(Exception):
    """There are no credentials, or they are no longer any good.

    Attributes:
        message: One sentence.
        cure: What to do.
        passing: Trying again may help.
    """

    def __init__(self, message: str, cure: str, *, passing: bool = False) -> None:
        super().__init__(message)
        self.message, self.cure, self.passing = message, cure, passing


def silence(seconds: float) -> aiohttp.ClientTimeout:
    """Return how long a call may take: as long as bytes come, and no more than some seconds without any."""
    return aiohttp.ClientTimeout(total=None, sock_connect=min(10, seconds), sock_read=seconds)


class Token:
    """An access token from google-auth's default credentials, fetched again before it runs out."""

    def __init__(self) -> None:
        self._credentials: Credentials | None = None
        self._lock = asyncio.Lock()

    async def get(self) -> str:
        """Return a token that is good for some minutes.

        Raises:
            CredentialsError: There is none to be had.
        """
        async with self._lock:
            if self._credentials is None or not self._credentials.valid:
                try:
                    async with asyncio.timeout(_TOKEN):
                        self._credentials = await asyncio.to_thread(_refreshed, self._credentials)
                except TimeoutError:
                    raise CredentialsError(
                        f"Google's token service has not answered within {_TOKEN} s",
                        "see that this machine reaches oauth2.googleapis.com",
                        passing=True,
                    ) from None
            return str(self._credentials.token)

    def forget(self) -> None:
        """Let the next `get` fetch a new token, as a service has refused this one."""
        self._credentials = None


def _refreshed(credentials: Credentials | None) -> Credentials:
    login = "run `gcloud auth application-default login`"
    try:
        if credentials is None:
            credentials, _ = google.auth.default(scopes=_SCOPES)
        credentials.refresh(Request())  # type: ignore[no-untyped-call]
    except auth_errors.DefaultCredentialsError as error:
        raise CredentialsError(
            f"there are no Google Cloud credentials: {_first_line(error)}",
            f"{login}, or set GOOGLE_APPLICATION_CREDENTIALS to the file of a service account",
        ) from error
    except auth_errors.TransportError as error:
        raise CredentialsError(
            f"Google's token service cannot be reached: {_first_line(error)}",
            "see that this machine reaches it",
            passing=True,
        ) from error
    except (auth_errors.GoogleAuthError, ValueError, OSError) as error:
        raise CredentialsError(
            f"the Google Cloud credentials have expired or are no good: {_first_line(error)}",
            f"{login} again, or renew the key of the service account",
            passing=bool(getattr(error, "retryable", False)),
        ) from error
    return credentials


def _first_line(error: Exception) -> str:
    said = str(error.args[0] if error.args else error)
    return said.partition("\n")[0].rstrip(". ")


class Connection:
    """One session with a service of Google's; lives on the background loop.

    Args:
        root: Where the service is.
        token: None where nobody asks for one, as an emulator.

    Attributes:
        storage: gcloud-aio-storage over this session and this token.
    """

    def __init__(self, root: str, token: Token | None) -> None:
        self.root, self.token = root, token
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=64),
            timeout=silence(30),
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=1024 * 1024,
            trust_env=bool(urllib.request.getproxies()),
        )
        # Without a token of ours it would look for credentials itself, and fail where there are none.
        self.storage = StorageService(
            session=self._session,
            token=token or Token(),
            api_root=root,
            api_is_dev=token is None,
        )

    async def call(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        data: Any = None,
        timeout: aiohttp.ClientTimeout,
        stored: bool = False,
    ) -> aiohttp.ClientResponse:
        """Send a request with the token; return the answer, its body unread.

        Args:
            method: Such as GET.
            url: Whatever is quoted in it stays as it is.
            headers: More headers.
            params: The query.
            data: The body.
            timeout: What `silence` says.
            stored: Give the body as it is stored, also where it is stored compressed.

        Raises:
            aiohttp.ClientError: It was refused (`aiohttp.ClientResponseError`) or not carried.
            CredentialsError: There is no token.
        """
        sent = dict(headers or {})
        if stored:
            sent["Accept-Encoding"] = "gzip"  # or the service would unpack it
        if self.token is not None:
            sent["Authorization"] = f"Bearer {await self.token.get()}"
        if params:
            url = f"{url}?{urlencode(params)}"
        response: aiohttp.ClientResponse = await self.storage.session.request(
            method,
            URL(url, encoded=True),  # to quote it once more would cost time, and some names
            headers=sent,
            data=data,
            timeout=timeout,
            allow_redirects=False,
            auto_raise_for_status=False,
            auto_decompress=not stored,
        )
        if response.status >= 400:
            raise await _refusal(response, packed=stored)
        return response


async def _refusal(
    response: aiohttp.ClientResponse, *, packed: bool
) -> aiohttp.ClientResponseError:
    """Return the error that an answer is, with all that the service says."""
    said = await response.read()
    if packed and response.headers.get("Content-Encoding") == "gzip":
        said = gzip.decompress(said)
    return aiohttp.ClientResponseError(
        response.request_info,
        response.history,
        status=response.status,
        message=f"{response.reason}: {said.decode(errors='replace')}",
        headers=response.headers,
    )


class _Background:
    """An event loop on a thread of its own, and what lives on it."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(_report)
        self.connections: dict[str, Connection] = {}
        self.token: Token | None = None
        self._waiting: deque[Callable[[], object]] = deque()
        self._woken = False
        threading.Thread(target=self.loop.run_forever, name="scalable-gcp", daemon=True).start()

    def submit(self, call: Callable[[], object]) -> None:
        """Make a call on the loop; many threads that come at once wake it once."""
        self._waiting.append(call)
        if not self._woken:
            self._woken = True
            self.loop.call_soon_threadsafe(self._make_calls)

    def _make_calls(self) -> None:
        self._woken = False  # first, so that who comes from now on wakes the loop again
        while self._waiting:
            self._waiting.popleft()()


def _report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Report what goes wrong on the loop, save that connections are still open when the process ends."""
    if not str(context.get("message")).startswith("Unclosed"):
        loop.default_exception_handler(context)


_lock = threading.Lock()
_background: _Background | None = None
#: A parent's, in a child: to let go of one would take its sockets out of the selector that both share.
_inherited: list[_Background | None] = []


def _loop() -> _Background:
    global _background
    with _lock:
        if _background is None:
            _background = _Background()
        return _background


def _after_fork() -> None:
    """A child has neither the thread nor a use for the parent's sockets."""
    global _background, _lock
    _inherited.append(_background)
    _background, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


async def connect(root: str | None = None) -> Connection:
    """Return the connection to Cloud Storage, or to the emulator that ``STORAGE_EMULATOR_HOST`` names.

    Args:
        root: Another service of Google's, such as ``https://run.googleapis.com``.
    """
    background = _loop()
    emulator = None if root else os.environ.get("STORAGE_EMULATOR_HOST")
    if emulator and "://" not in emulator:
        emulator = f"http://{emulator}"
    place = (root or emulator or STORAGE_ROOT).rstrip("/")
    found = background.connections.get(place)
    if found is None:
        if background.token is None and not emulator:
            background.token = Token()
        found = Connection(place, None if emulator else background.token)
        background.connections[place] = found
    return found


async def access_token(*, again: bool = False) -> str:
    """Return a token of google-auth's default credentials that is good for some minutes.

    Args:
        again: A service has refused the last one.

    Raises:
        CredentialsError: There is none to be had.
    """
    background = _loop()
    if background.token is None:
        background.token = Token()
    if again:
        background.token.forget()
    return await background.token.get()


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the background loop and wait for it. Must not be called from that loop.

    Who is interrupted while he waits gives the coroutine some seconds to clean up.
    """
    background = _loop()
    # Half as dear as `asyncio.run_coroutine_threadsafe`, which small objects feel.
    done: queue.SimpleQueue[asyncio.Task[T]] = queue.SimpleQueue()
    tasks: list[asyncio.Task[T]] = []

    def start() -> None:
        tasks.append(background.loop.create_task(work))
        tasks[0].add_done_callback(done.put)

    background.submit(start)
    try:
        return done.get().result()
    except BaseException:
        if not (tasks and tasks[0].done()):
            background.submit(lambda: tasks[0].cancel())
            with suppress(queue.Empty):
                done.get(timeout=_FAREWELL)
        raise


async def hop(work: Coroutine[Any, Any, T]) -> T:
    """Await a coroutine that runs on the background loop, from whatever loop this is."""
    if asyncio.get_running_loop() is _loop().loop:
        return await work
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, _loop().loop))


def iterate(work: AsyncGenerator[T, None]) -> Iterator[T]:
    """Yield what an asynchronous generator on the background loop yields; it is closed in the end."""

    async def following() -> tuple[T] | None:
        try:
            return (await anext(work),)
        except StopAsyncIteration:
            return None

    async def close() -> None:
        await work.aclose()

    try:
        while (found := run(following())) is not None:
            yield found[0]
    finally:
        # Not waited for: the collector may end a generator on the loop's own thread.
        asyncio.run_coroutine_threadsafe(close(), _loop().loop)
