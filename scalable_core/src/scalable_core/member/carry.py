"""Carries the bytes of a plain connection over one of Dask's, which has the run's TLS around it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

#: Bytes of one message at most.
PIECE = 2**18


async def carry(comm: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry both ways until either end closes; then close both.

    Args:
        comm: A connection of Dask's whose other end does the same.
        reader: Of the plain connection.
        writer: Of the plain connection.
    """

    async def outward() -> None:
        while data := await reader.read(PIECE):
            await comm.write(data)

    async def inward() -> None:
        while True:
            writer.write(bytes(await comm.read()))
            await writer.drain()

    ways = [asyncio.ensure_future(way) for way in (outward(), inward())]
    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    with contextlib.suppress(OSError):
        await comm.close()  # what was written last still goes out
    writer.close()
    for way in ways:
        way.cancel()
    await asyncio.gather(*ways, return_exceptions=True)
