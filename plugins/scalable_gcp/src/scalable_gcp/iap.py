"""A port of a machine without a public address, through Identity-Aware Proxy: TCP in a websocket.

The protocol is that of gcloud's own tunnels (sub-protocol ``relay.tunnel.cloudproxy.app``). A frame begins
with a tag of two bytes; numbers are big-endian:

    0x0001 CONNECT_SUCCESS_SID     length (4), id of the session
    0x0002 RECONNECT_SUCCESS_ACK   bytes that have arrived (8)
    0x0004 DATA                    length (4, at most 16384), bytes
    0x0007 ACK                     bytes that have arrived (8)
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import struct
from typing import Any
from urllib.parse import urlencode

from scalable_core.errors import ClusterError

ROOT = "wss://tunnel.cloudproxy.app/v4"
#: Names another place, for an IAP of one's own.
VARIABLE = "SCALABLE_IAP_ROOT"
PROTOCOL = "relay.tunnel.cloudproxy.app"
ORIGIN = "bot:iap-tunneler"
SID, RECONNECTED, DATA, ACK = 0x0001, 0x0002, 0x0004, 0x0007
#: Bytes of one frame, and those after which the other side wants to hear that they have arrived.
LARGEST, ACK_EVERY = 16384, 2 * 16384
#: Bytes that may be on their way unacknowledged, which are sent again after a reconnect.
WINDOW = 4 * 1024 * 1024
#: Tries to take a broken session up again, and seconds between them.
RECONNECTS, PAUSE = 5, 1.0


class Tunnel:
    """Listens on this machine, and carries each connection to a port of a machine.

    Args:
        project: Of the machine.
        zone: Of the machine.
        instance: Its name.
        port: On it.
    """

    def __init__(self, project: str, zone: str, instance: str, port: int) -> None:
        self._params = {
            "project": project,
            "port": str(port),
            "newWebsocket": "True",
            "zone": zone,
            "instance": instance,
            "interface": "nic0",
        }
        self._zone = zone
        self._session: Any = None
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def open(self) -> int:
        """Begin to listen, and return the port.

        Raises:
            ClusterError: IAP refuses.
        """
        import aiohttp

        self._session = aiohttp.ClientSession(trust_env=True)
        with contextlib.suppress(ConnectionError):  # it may be back when somebody comes
            await (await self._dial(None, 0)).close()
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        """End all connections."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await _Session(self._dial, reader, writer).carry()
        except (OSError, ClusterError, asyncio.CancelledError):
            pass  # who has connected here sees that it ends
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _dial(self, sid: str | None, received: int) -> Any:
        """Open a websocket, for a new session or an old one.

        Raises:
            ClusterError: IAP refuses.
        """
        import aiohttp

        from scalable_gcp import client
        from scalable_gcp.cloud import root_of

        params = self._params
        verb = "connect"
        if sid is not None:
            verb = "reconnect"
            params = {
                "sid": sid,
                "ack": str(received),
                "newWebsocket": "True",
                "zone": self._zone,
            }
        connection = await client.hop(client.connect(root_of("compute")))
        headers = {}
        if connection.token is not None:
            headers["Authorization"] = f"Bearer {await client.hop(connection.token.get())}"
        url = f"{os.environ.get(VARIABLE, ROOT)}/{verb}?{urlencode(params)}"
        try:
            return await self._session.ws_connect(
                url, protocols=(PROTOCOL,), origin=ORIGIN, headers=headers, max_msg_size=0
            )
        except aiohttp.WSServerHandshakeError as error:
            raise ClusterError(
                f"IAP does not let this machine through to {self._params['instance']}: {error.status}",
                cure="grant roles/iap.tunnelResourceAccessor, and enable iap.googleapis.com",
            ) from error
        except aiohttp.ClientError as error:
            raise ConnectionError(f"IAP cannot be reached: {error}") from error


class _Session:
    """One connection, over one websocket after the other."""

    def __init__(
        self, dial: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._dial, self._reader, self._writer = dial, reader, writer
        self._sid: str | None = None
        self._received = self._told = 0
        self._sent = self._kept_from = 0
        self._kept = bytearray()
        self._room = asyncio.Event()
        self._room.set()
        self._ended = False

    async def carry(self) -> None:
        """Carry until one side ends."""
        failed = 0
        while not self._ended:
            try:
                socket = await self._dial(self._sid, self._received)
            except ConnectionError:
                failed += 1
                if failed > RECONNECTS:
                    raise
                await asyncio.sleep(PAUSE)
                continue
            failed = 0
            async with socket:
                await self._over(socket)

    async def _over(self, socket: Any) -> None:
        """Carry over one websocket, until it breaks or all is done."""
        ready = asyncio.Event()
        if self._sid is None:
            ready.set()
        tasks = [
            asyncio.ensure_future(self._up(socket, ready)),
            asyncio.ensure_future(self._down(socket, ready)),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if tasks[0] in done:  # this side has ended, and all of it was sent
                self._ended = True
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _up(self, socket: Any, ready: asyncio.Event) -> None:
        await ready.wait()
        again = bytes(self._kept)  # what arrives of it meanwhile is let go of
        try:
            for start in range(0, len(again), LARGEST):
                await _send(socket, again[start : start + LARGEST])
            while True:
                while len(self._kept) >= WINDOW:
                    self._room.clear()
                    await self._room.wait()
                data = await self._reader.read(LARGEST)
                if not data:
                    await socket.close()
                    return
                self._kept += data
                await _send(socket, data)
        except (ConnectionResetError, RuntimeError):
            if self._reader.exception() is not None:
                raise  # it is this side that has broken
            await asyncio.sleep(3600)  # what is kept goes over the next websocket

    async def _down(self, socket: Any, ready: asyncio.Event) -> None:
        import aiohttp

        async for message in socket:
            if message.type is not aiohttp.WSMsgType.BINARY:
                break
            frame = memoryview(message.data)
            (tag,) = struct.unpack(">H", frame[:2])
            if tag == SID:
                (length,) = struct.unpack(">I", frame[2:6])
                self._sid = bytes(frame[6 : 6 + length]).decode()
            elif tag in (ACK, RECONNECTED):
                (arrived,) = struct.unpack(">Q", frame[2:10])
                self._forget(arrived)
                ready.set()
            elif tag == DATA:
                (length,) = struct.unpack(">I", frame[2:6])
                self._writer.write(bytes(frame[6 : 6 + length]))
                self._received += length
                await self._writer.drain()
                if self._received - self._told >= ACK_EVERY:
                    self._told = self._received
                    with contextlib.suppress(ConnectionResetError, RuntimeError):
                        # What could not be said is said when the session is taken up again.
                        await socket.send_bytes(struct.pack(">HQ", ACK, self._received))
        if self._sid is None or socket.close_code in (1000, 4000, 4003, 4004, 4010, 4033, 4047):
            self._ended = True  # refused, or the machine has hung up

    def _forget(self, arrived: int) -> None:
        """Let go of what has arrived."""
        del self._kept[: max(0, arrived - self._kept_from)]
        self._kept_from = max(self._kept_from, arrived)
        self._room.set()


async def _send(socket: Any, data: bytes) -> None:
    await socket.send_bytes(struct.pack(">HI", DATA, len(data)) + data)
