"""Lets others reach workers that accept no connections: they dial out, to a relay beside the scheduler.

    peer ──dials──> port of the relay ··splices·· connection that the worker has opened <── worker
     └─────────────────── TLS of the run, end to end: the relay sees sealed bytes ───────────┘

Each worker has a port of its own at the relay, which is the address that it tells the scheduler. A **line**,
which is a connection of Dask's with the run's mutual TLS, stays open between the two: for each caller the
relay sends a word over it that is good once, and the worker opens a connection to the relay's own port that
begins with that word. So nobody without the run's certificates can have a port or answer a call. When a line
breaks, the worker has some time to come back to its port. Nothing here knows any provider.

A worker on ``auto`` asks the scheduler to dial it first, and takes the relay only when that fails.

It runs in images that have none of our code, from the travelling code: the standard library and, inside
functions, distributed.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

#: Characters of the words that connections begin with.
WORD = 32
#: Bytes that are read at once.
PIECE = 256 * 1024
#: Seconds that a caller waits for the worker, and that a worker has to come back.
ANSWER, COME_BACK = 30.0, 60.0
#: Seconds between the words that keep a line open.
BEAT = 20.0
#: Seconds between tries to reach the other side.
PAUSE = 0.5

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Relay:
    """The side of the scheduler.

    Args:
        host: Where to listen.
        port: For the connections that workers open.
        ports: First and last of those that workers are reached at.
    """

    def __init__(self, host: str, port: int, ports: tuple[int, int]) -> None:
        self._host, self._port, self._ports = host, port, ports
        self._server: asyncio.Server | None = None
        self._doors: dict[str, _Door] = {}
        self._callers: dict[str, asyncio.Future[Stream]] = {}
        self._tasks = _Tasks()

    async def open(self) -> Relay:
        """Begin to listen."""
        self._server = await asyncio.start_server(self._take, self._host, self._port, limit=PIECE)
        return self

    def close(self) -> None:
        """End everything."""
        for server in filter(None, [self._server, *(door.server for door in self._doors.values())]):
            server.close()
        self._tasks.cancel()
        self._doors.clear()

    async def serve(self, line: Any, key: str | None = None, port: int = 0) -> None:
        """Give a worker a port, and call it over its line until that breaks.

        Args:
            line: A connection of Dask's.
            key: From an earlier line of the same worker, which it wants its port back with.
            port: The one that it had.
        """
        door = self._doors.get(key or "")
        if door is None or key is None:
            key = key or secrets.token_hex(WORD // 2)
            door = self._doors[key] = _Door()
            await self._listen(door, port)
        door.turn += 1
        turn, door.line = door.turn, line
        door.ready.set()
        try:
            await line.write({"key": key, "port": door.port})
            while True:
                await line.read()  # that it is still there
        except OSError:
            pass
        if door.turn != turn:
            return  # it has come back already
        door.ready.clear()
        await asyncio.sleep(COME_BACK)
        if door.turn == turn and self._doors.pop(key, None) is not None and door.server:
            door.server.close()

    async def _listen(self, door: _Door, wanted: int) -> None:
        async def call(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._tasks.hold(self._call(door, (reader, writer)))

        first, last = self._ports
        taken = {each.port for each in self._doors.values()}
        free = (each for each in range(first, last + 1) if each not in taken)
        for port in [wanted] * bool(wanted) + list(free):
            try:
                door.server = await asyncio.start_server(call, self._host, port, limit=PIECE)
            except OSError:
                continue
            door.port = port
            return
        raise OSError(f"all ports of the relay from {first} to {last} are taken")

    async def _call(self, door: _Door, caller: Stream) -> None:
        """Call a worker, and join its connection with the caller's."""
        word = secrets.token_hex(WORD // 2)
        self._callers[word] = answer = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(ANSWER):
                await door.ready.wait()
                await door.line.write({"word": word})
                other = await answer
        except (OSError, TimeoutError):
            caller[1].close()
            return
        finally:
            self._callers.pop(word, None)
        await splice(caller, other)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a connection that a worker has opened."""
        try:
            word = (await asyncio.wait_for(reader.readexactly(WORD), ANSWER)).decode(
                "ascii", "replace"
            )
        except (OSError, EOFError, TimeoutError):
            word = ""
        caller = self._callers.pop(word, None)
        if caller is None or caller.done():
            writer.close()
        else:
            caller.set_result((reader, writer))


class Outlet:
    """The side of a worker.

    Args:
        scheduler: Its address.
        args: Of connections to it, with the run's TLS.
        port: Of the relay, at the scheduler's host.
        own: Host and port at which the worker listens.
        lost: Called with a reason when the relay cannot be reached any more.
    """

    def __init__(
        self,
        scheduler: str,
        args: Mapping[str, Any],
        port: int,
        own: tuple[str, int],
        lost: Callable[[str], None],
    ) -> None:
        self._scheduler, self._args, self._own, self._lost = scheduler, args, own, lost
        self._host, self._port = scheduler.partition("://")[2].rpartition(":")[0], port
        self._key: str | None = None
        self._door = 0
        self._tasks = _Tasks()

    async def open(self) -> str:
        """Get a port, and return the address under which others reach this worker.

        Raises:
            OSError: There is no relay.
        """
        line = await self._connect()
        self._tasks.start(self._follow(line))
        return f"tls://{self._host}:{self._door}"

    def close(self) -> None:
        """End everything."""
        self._tasks.cancel()

    async def _connect(self) -> Any:
        from distributed.core import connect

        line = await connect(self._scheduler, **self._args)
        ask = {"op": "scalable_relay", "reply": False, "key": self._key, "port": self._door}
        await line.write(ask)
        said = await line.read()
        if "refused" in said:
            raise OSError(said["refused"])
        self._key, door = said["key"], said["port"]
        if self._door and door != self._door:
            raise OSError("the relay has given this worker's port to another")
        self._door = door
        return line

    async def _follow(self, line: Any) -> None:
        """Answer calls, over one line after the other."""
        while True:
            beat = asyncio.ensure_future(self._beat(line))
            try:
                while True:
                    said = await line.read()
                    self._tasks.start(self._answer(said["word"]))
            except OSError:
                beat.cancel()
                line.abort()
            until, error = time.monotonic() + COME_BACK, "it does not answer"
            while True:
                try:
                    line = await self._connect()
                    break
                except OSError as failure:
                    error = str(failure)
                if time.monotonic() > until:
                    self._lost(f"the relay cannot be reached any more: {error}")
                    return
                await asyncio.sleep(PAUSE)

    async def _beat(self, line: Any) -> None:
        with contextlib.suppress(OSError):
            while True:
                await asyncio.sleep(BEAT)
                await line.write({})

    async def _answer(self, word: str) -> None:
        """Open a connection for one caller, and join it with the worker."""
        with contextlib.suppress(OSError):
            host, port = self._own
            worker = await asyncio.open_connection(host, port, local_addr=(host, 0), limit=PIECE)
            try:
                relay = await asyncio.open_connection(self._host, self._port, limit=PIECE)
            except OSError:
                worker[1].close()
                raise
            relay[1].write(word.encode())
            await splice(worker, relay)


async def splice(one: Stream, other: Stream) -> None:
    """Carry bytes between two connections, both ways, until both have ended."""
    try:
        await asyncio.gather(_carry(one[0], other[1]), _carry(other[0], one[1]))
    finally:
        one[1].close()
        other[1].close()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(PIECE):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.close()


async def reach(host: str, port: int, word: str, seconds: float) -> str | None:
    """Dial a worker that waits with `await_dial`; return None once it was reached, else why it was not.

    Args:
        host: Its own.
        port: At which it will listen.
        word: With which it answers.
        seconds: How long to go on trying: the first connection may take a minute.
    """
    until, reason = time.monotonic() + seconds, "nothing listens there"
    while True:
        try:
            async with asyncio.timeout(max(1.0, min(10.0, until - time.monotonic()))):
                reader, writer = await asyncio.open_connection(host, port)
                try:
                    said = await reader.read(len(word))
                finally:
                    writer.close()
            if said == word.encode():
                return None
            reason = "what listens there is something else" if said else "the connection is closed"
        except TimeoutError:
            reason = "there is no answer"
        except OSError as error:
            reason = error.strerror or str(error)
        if time.monotonic() >= until:
            return reason
        await asyncio.sleep(PAUSE)


async def await_dial(
    host: str, port: int, ask: Callable[[str], Coroutine[Any, Any, str | None]]
) -> str | None:
    """Listen as the worker will, have somebody dial, and return what `reach` returned there.

    Args:
        host: Own address.
        port: At which the worker will listen.
        ask: Has the scheduler dial; it gets the word.
    """
    word = secrets.token_hex(WORD // 2)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(word.encode())
        writer.close()

    server = await asyncio.start_server(answer, host, port)
    try:
        return await ask(word)
    finally:
        server.close()


class _Door:
    """The port of one worker."""

    def __init__(self) -> None:
        self.port, self.turn = 0, 0
        self.server: asyncio.Server | None = None
        self.line: Any = None
        self.ready = asyncio.Event()


class _Tasks:
    """What goes on beside."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def hold(self, work: Coroutine[Any, Any, None]) -> None:
        await asyncio.gather(self.start(work), return_exceptions=True)

    def cancel(self) -> None:
        for task in list(self._tasks):
            task.cancel()
