"""Connections that outlive what carries them: when a link breaks, they go on over the next one.

A way through an API server breaks when that server is restarted or a load balancer loses patience. What
Dask has is one connection whose end is the end of all its futures. So each connection of a driver is a
`Session` here, and one in the scheduler's pod; a link between the two may come and go. Each end keeps what the
other has not confirmed, and says on a new link how much it has received.

Both ends run this module: in a pod, its text alone, so it needs nothing but the standard library.

    hello     16 bytes of the session's name, 8 of how much has been received; the answer is 8 bytes, too
    frame     1 byte of kind, 8 of a number: DATA and its size, ACK and what has been received, END
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from typing import Any

HELLO = struct.Struct(">16sQ")
COUNT = struct.Struct(">Q")
FRAME = struct.Struct(">cQ")
DATA, ACK, END = b"d", b"a", b"e"

#: Bytes that one end keeps before it reads no more; and after how many received it confirms.
ROOM, CONFIRM = 2**24, 2**18
#: Seconds between signs of life; without one for a few of them, a link is dead.
BEAT, SILENCE = 4.0, 14.0
#: Seconds for which a session waits for its next link.
HOLD = 120.0


class Session:
    """One connection.

    Args:
        reader: Of the connection.
        writer: Of the connection.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._kept = bytearray()  # sent or to be sent, and not confirmed
        self._confirmed = 0  # what the other end has, so where _kept begins
        self.received = 0
        self._told = 0
        self._news, self._room = asyncio.Event(), asyncio.Event()
        self._ended = False  # the connection has nothing more to say
        self.over = asyncio.Event()
        self._reading = asyncio.ensure_future(self._read())
        self._link: asyncio.Future[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether the other end has ever answered."""
        return self._link is not None

    async def carry(self, reader: Any, writer: Any, confirmed: int) -> None:
        """Use a link until it breaks or all is said. An older one is given up.

        Args:
            reader: Of the link.
            writer: Of the link.
            confirmed: How much the other end has received.
        """
        if self._link is not None:
            self._link.cancel()
        self._confirm(confirmed)
        ends = [self._send(writer), self._receive(reader)]
        tasks = [asyncio.ensure_future(end) for end in ends]
        self._link = asyncio.ensure_future(_first(tasks))
        with contextlib.suppress(OSError, EOFError, TimeoutError, asyncio.CancelledError):
            await self._link

    def close(self) -> None:
        """End the connection."""
        self.over.set()
        self._reading.cancel()
        if self._link is not None:
            self._link.cancel()
        self._writer.close()

    async def _read(self) -> None:
        with contextlib.suppress(OSError):
            while data := await self._reader.read(2**17):
                self._kept += data
                self._news.set()
                while len(self._kept) > ROOM:
                    self._room.clear()
                    await self._room.wait()
        self._ended = True
        self._news.set()

    def _confirm(self, count: int) -> None:
        if count > self._confirmed:
            del self._kept[: count - self._confirmed]
            self._confirmed = count
            self._room.set()

    async def _send(self, writer: Any) -> None:
        sent = self._confirmed
        while True:
            self._news.clear()
            while sent < (end := self._confirmed + len(self._kept)):
                sent = max(sent, self._confirmed)
                start = sent - self._confirmed
                part = bytes(self._kept[start : start + 2**17])
                writer.write(FRAME.pack(DATA, len(part)) + part)
                sent = min(end, sent + len(part))
                await writer.drain()
            self._told = self.received
            writer.write(FRAME.pack(ACK, self.received))
            if self._ended or self.over.is_set():
                writer.write(FRAME.pack(END, 0))
            await writer.drain()
            if self.over.is_set():
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), BEAT)

    async def _receive(self, reader: Any) -> None:
        while True:
            head = await asyncio.wait_for(reader.readexactly(FRAME.size), SILENCE)
            kind, number = FRAME.unpack(head)
            if kind == DATA:
                data = await asyncio.wait_for(reader.readexactly(number), SILENCE)
                self._writer.write(data)
                self.received += number
                with contextlib.suppress(OSError):
                    await self._writer.drain()
                if self.received - self._told > CONFIRM:
                    self._news.set()
            elif kind == ACK:
                self._confirm(number)
            else:  # all that was said before it has arrived
                self.over.set()
                self._news.set()
                await asyncio.sleep(1.0)  # the other end is told; it closes the link
                return


async def _first(tasks: list[Any]) -> None:
    """Wait for the first task to end, and end the others."""
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Relay:
    """The end in the pod: joins each session to a connection of its own.

    Args:
        host: Where they lead.
        port: Where they lead.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._sessions: dict[bytes, Session] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a link."""
        try:
            hello = await asyncio.wait_for(reader.readexactly(HELLO.size), SILENCE)
            name, received = HELLO.unpack(hello)
            session = self._sessions.get(name)
            if session is None and received == 0:
                near = await asyncio.open_connection(self._host, self._port)
                session = self._sessions[name] = Session(*near)
            if session is not None:
                writer.write(COUNT.pack(session.received))
                await session.carry(reader, writer, received)
                writer.close()
                await self._await_next(name, session)
        except (OSError, EOFError, TimeoutError):
            pass
        finally:
            writer.close()

    async def _await_next(self, name: bytes, session: Session) -> None:
        link = session._link
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(session.over.wait(), HOLD)
        if session.over.is_set() or session._link is link:  # no other link has come
            self._sessions.pop(name, None)
            session.close()


def run_relay(hosts: list[str], port: int, target: tuple[str, int]) -> None:
    """Serve in this thread, on each of the addresses that can be had."""

    async def main() -> None:
        relay = Relay(*target)
        for host in hosts:
            with contextlib.suppress(OSError):
                await asyncio.start_server(relay.serve, host, port)
        await asyncio.Event().wait()

    asyncio.run(main())
