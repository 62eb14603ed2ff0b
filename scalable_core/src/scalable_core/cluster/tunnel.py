"""A way to the dashboard of a scheduler elsewhere, through the one port that is open. Imports distributed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from distributed.core import connect  # noqa: TID253

from scalable_core.member.carry import carry


class Tunnel:
    """Listens on this machine, and carries each connection to the scheduler's dashboard.

    Args:
        address: Of the scheduler, as this process reaches it.
        args: Of connections to it, with the run's TLS.

    Attributes:
        port: On which it listens; the loopback interface alone.
    """

    def __init__(self, address: str, args: Mapping[str, Any]) -> None:
        self._address, self._args = address, args
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    async def open(self) -> Tunnel:
        """Begin to listen."""
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def stop(self) -> None:
        """End all connections."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            comm = await connect(self._address, **self._args)
            await comm.write({"op": "scalable_tunnel", "reply": False})
            await carry(comm, reader, writer)
        except (OSError, asyncio.CancelledError):
            writer.close()
        finally:
            self._tasks.discard(task)
