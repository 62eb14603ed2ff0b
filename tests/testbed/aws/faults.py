"""A proxy in front of an AWS endpoint that does wrong what real networks and services do wrong, when told to.

It runs on a thread of its own, speaks HTTP on loopback, and notes every request:

    with FaultProxy("http://127.0.0.1:5000") as proxy:
        proxy.inject(Fault("refuse", method="PUT", status=503, code="SlowDown", times=2))
        ...
        assert [seen.fault for seen in proxy.seen] == ["refuse", "refuse", None]
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import yarl
from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector, web

_HOPS = {"connection", "keep-alive", "transfer-encoding", "te", "trailers", "upgrade", "expect"}
_QUIET = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")

Kind = Literal["refuse", "reset", "lose", "truncate", "alter", "wait"]


@dataclass
class Fault:
    """One way to go wrong, for the requests that it fits.

    Attributes:
        kind: ``refuse`` answers with a status and a code; ``reset`` breaks the connection while the request
            is read; ``lose`` lets the service do its work and breaks the connection before the answer;
            ``truncate`` breaks it in the answer's body; ``alter`` changes the first byte of that; ``wait``
            is slow.
        method: Of the requests meant; all when None.
        target: What their path and query contain.
        times: How many of them; all when None.
        skip: How many are let through before.
        after: Bytes of a body that get through before it breaks.
        seconds: How long ``wait`` takes.
        status: Of the answer of ``refuse``.
        code: In its body.
        headers: Of it.
    """

    kind: Kind
    method: str | None = None
    target: str = ""
    times: int | None = 1
    skip: int = 0
    after: int = 0
    seconds: float = 0.0
    status: int = 503
    code: str = "SlowDown"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Seen:
    """One request as the proxy saw it.

    Attributes:
        sha256: Hex digest of the whole body.
        status: What the service answered; 0 when it was not asked, or the answer was not waited for.
        fault: What went wrong; None for nothing.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    sha256: str = ""
    size: int = 0
    status: int = 0
    fault: Kind | None = None


class FaultProxy:
    """See the module; ``url`` is where it listens."""

    def __init__(self, upstream: str) -> None:
        self.upstream, self.url = upstream.rstrip("/"), ""
        self.faults: list[Fault] = []
        self.seen: list[Seen] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> FaultProxy:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(30)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    def inject(self, *faults: Fault) -> None:
        """Go wrong like this from now on; the first fault that fits a request counts."""
        self.faults.extend(faults)

    def named(self, method: str, part: str = "") -> list[Seen]:
        """Return the requests of a method whose path and query contain something."""
        return [seen for seen in self.seen if seen.method == method and part in seen.target]

    async def _start(self) -> None:
        self._session = ClientSession(
            connector=TCPConnector(limit=0),
            timeout=ClientTimeout(total=None),
            auto_decompress=False,
            cookie_jar=DummyCookieJar(),
        )
        app = web.Application(client_max_size=1 << 40)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        self.url = f"http://127.0.0.1:{port}"

    async def _stop(self) -> None:
        await self._session.close()
        await self._runner.cleanup()

    def _pick(self, request: web.Request) -> Fault | None:
        for fault in self.faults:
            if fault.method in (None, request.method) and fault.target in request.raw_path:
                if fault.skip:
                    fault.skip -= 1
                    continue
                if fault.times != 0:
                    fault.times = None if fault.times is None else fault.times - 1
                    return fault
        return None

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        seen = Seen(request.method, request.raw_path, dict(request.headers))
        self.seen.append(seen)
        fault = self._pick(request)
        seen.fault = fault.kind if fault else None
        body = b""
        async for piece in request.content.iter_any():
            body += piece
            if fault and fault.kind == "reset" and len(body) >= fault.after:
                return self._break(request)
        seen.size, seen.sha256 = len(body), hashlib.sha256(body).hexdigest()
        if fault and fault.kind == "reset":
            return self._break(request)
        if fault and fault.kind == "wait":
            await asyncio.sleep(fault.seconds)
        if fault and fault.kind == "refuse":
            text = f"<Error><Code>{fault.code}</Code><Message>as told</Message></Error>"
            return web.Response(
                status=fault.status,
                text=text,
                content_type="application/xml",
                headers=fault.headers,
            )
        return await self._pass_on(request, body, seen, fault)

    async def _pass_on(
        self, request: web.Request, body: bytes, seen: Seen, fault: Fault | None
    ) -> web.StreamResponse:
        kept = [
            (name, value) for name, value in request.headers.items() if name.lower() not in _HOPS
        ]
        url = yarl.URL(self.upstream + request.raw_path, encoded=True)
        async with self._session.request(
            request.method,
            url,
            headers=kept,
            data=body,
            allow_redirects=False,
            skip_auto_headers=_QUIET,
        ) as answer:
            content = await answer.read()
            seen.status = answer.status
            if fault and fault.kind == "lose":
                return self._break(request)
            if fault and fault.kind == "alter":
                content = bytes([content[0] ^ 1]) + content[1:]
            response = web.StreamResponse(status=answer.status, reason=answer.reason)
            for name, value in answer.headers.items():
                if name.lower() not in _HOPS:
                    response.headers[name] = value
            await response.prepare(request)
            if request.method != "HEAD":
                if fault and fault.kind == "truncate":
                    await response.write(content[: fault.after])
                    return self._break(request)
                for start in range(0, len(content), 1 << 18):
                    await response.write(content[start : start + (1 << 18)])
            await response.write_eof()
            return response

    def _break(self, request: web.Request) -> web.StreamResponse:
        """Break the connection without a word."""
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=503)
