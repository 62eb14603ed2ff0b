"""The laptop's way in: a port of this machine that leads to the scheduler's pod, through the API server.

Each connection is a `Session` of the relay; its links are web sockets of the API's own port-forwarding, opened
anew when they break. A thread carries each link, because the official client's web sockets block.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import select
import socket
import threading
import time
from typing import Any

from scalable_kubernetes.api import Api, path
from scalable_kubernetes.relay import COUNT, HELLO, HOLD, SILENCE, Session

logger = logging.getLogger("scalable.kubernetes")

#: Channels of the protocol: what is carried, and what the node says of it.
CARRIED, SAID = 0, 1


class Forward:
    """Listens on a port of this machine.

    Args:
        api: The API server.
        namespace: Of the pod.
        pod: Its name.
        port: Of the relay in it.

    Attributes:
        port: Of this machine, once it is open.
        links: How many links there have been.
    """

    def __init__(self, api: Api, namespace: str, pod: str, port: int) -> None:
        self._api = api
        self._where = path("v1", "pods", namespace, pod, "portforward")
        self._far_port = port
        self._server: asyncio.Server | None = None
        self._sessions: set[asyncio.Task[None]] = set()
        self.port = 0
        self.links = 0

    async def open(self) -> Forward:
        """Begin to listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def close(self) -> None:
        """Listen no more, and break off what is open."""
        if self._server is not None:
            self._server.close()
        for task in self._sessions:
            task.cancel()

    # -- inside ------------------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._sessions.add(task)
        session, name = Session(reader, writer), os.urandom(16)
        try:
            await self._keep(session, name)
        except asyncio.CancelledError:
            pass
        finally:
            session.close()
            self._sessions.discard(task)

    async def _keep(self, session: Session, name: bytes) -> None:
        """Give a session one link after the other, until it is over or nothing has carried it for too long."""
        seen, pause = time.monotonic(), 0.1
        while not session.over.is_set():
            try:
                link = await self._open_link()
            except Exception as error:
                if time.monotonic() - seen > HOLD:
                    logger.warning("the scheduler's pod cannot be reached any more: %s", error)
                    return
                await asyncio.sleep(pause)
                pause = min(2.0, pause * 2)
                continue
            reader, writer = link
            try:
                writer.write(HELLO.pack(name, session.received))
                answer = await asyncio.wait_for(reader.readexactly(COUNT.size), SILENCE)
                pause = 0.1
                await session.carry(reader, writer, *COUNT.unpack(answer))
                seen = time.monotonic()
            except (OSError, EOFError, TimeoutError):
                if session.received == 0 and not session.over.is_set() and not session.busy:
                    return  # nothing listens there yet: who connects finds out, and tries again
            finally:
                writer.close()
            if time.monotonic() - seen > HOLD:
                return
            await asyncio.sleep(pause)

    async def _open_link(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        query = f"ports={self._far_port}"
        web = await asyncio.wait_for(self._api.call(self._api.socket, self._where, query), 20)
        self.links += 1
        near, far = socket.socketpair()
        threading.Thread(target=_carry, args=(web, far), daemon=True).start()
        return await asyncio.open_connection(sock=near)


def _carry(web: Any, far: socket.socket) -> None:
    """Copy between a web socket and a socket, until either has ended."""
    with contextlib.suppress(Exception):
        heads = 0
        while True:
            ready = [web.sock] if web.sock.pending() else []
            ready = ready or select.select([web.sock, far], [], [])[0]
            if web.sock in ready:
                data = web.recv()
                if not data:
                    break
                if heads < 2:  # each channel begins with the number of its port
                    heads += 1
                elif data[0] == SAID:
                    break
                else:
                    far.sendall(data[1:])
            if far in ready:
                data = far.recv(2**17)
                if not data:
                    break
                web.send_binary(bytes([CARRIED]) + data)
    with contextlib.suppress(OSError):
        far.close()
    with contextlib.suppress(Exception):
        web.close(timeout=1)
