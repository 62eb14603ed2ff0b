"""Large objects: a resumable upload that is carried to its end, and never taken for whole before.

The body goes in one request. Whatever breaks it, the service is asked how much it has kept, and gets the rest.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

import aiohttp

from scalable_gcp.client import silence
from scalable_gcp.storage_errors import FAILURES, DamagedError, status
from scalable_gcp.storage_objects import Bucket, Resource, TakenError, Write

_PIECE = 1024 * 1024
_FAREWELL = aiohttp.ClientTimeout(total=5)


class Source:
    """Bytes to be read from any place, several times: bytes, or an open file."""

    def __init__(self, data: bytes | IO[bytes]) -> None:
        self._data = data

    async def piece(self, start: int, end: int) -> bytes | memoryview:
        """Return some of the bytes from ``start``, at most up to ``end``."""
        size = min(_PIECE, end - start)
        if isinstance(self._data, bytes):
            return memoryview(self._data)[start : start + size]
        return await asyncio.to_thread(os.pread, self._data.fileno(), size, start)


class Upload:
    """One write of a large object.

    Args:
        bucket: Where to.
        write: What.
        source: The bytes.
        progress: Told the number of bytes sent so far.
    """

    def __init__(
        self, bucket: Bucket, write: Write, source: Source, progress: Callable[[int], None]
    ) -> None:
        self._bucket, self._write, self._source = bucket, write, source
        self._progress, self._size = progress, write.digests.size
        self._session, self._changed = "", False

    async def run(self) -> Resource:
        """Write it and return what the service says of it; nothing is left behind on failure.

        Raises:
            TakenError: The name is not free.
            DamagedError: The file has changed while it was sent.
        """
        try:
            self._session = await self._bucket.again(self._begin)
            return await self._send()
        except TakenError:
            await self._drop()
            # By an earlier session of this very write, perhaps, whose last answer was lost.
            return await self._bucket.mine_after_all(self._write, True)
        except BaseException:
            await asyncio.shield(self._drop())
            raise

    async def _begin(self) -> str:
        """Open a session and return its address, in which a grant to write is contained."""
        write = self._write
        connection = self._bucket.connection
        try:
            response = await connection.call(
                "POST",
                f"{connection.root}/upload/storage/v1/b/{self._bucket.name}/o",
                params={"uploadType": "resumable", "name": write.name, **write.params},
                headers={
                    "Content-Type": "application/json; charset=UTF-8",
                    "X-Upload-Content-Type": write.media_type,
                    "X-Upload-Content-Length": str(self._size),
                },
                data=json.dumps(
                    {"name": write.name, "contentType": write.media_type, **write.metadata}
                ).encode(),
                timeout=self._bucket.timeout,
            )
        except FAILURES as error:
            if write.create and status(error) == 412:
                raise TakenError(write.name) from None
            raise
        async with response:
            return response.headers["Location"]

    async def _send(self) -> Resource:
        tries = self._bucket.tries()
        kept, furthest, ask = 0, 0, False
        while True:
            try:
                response = await (self._ask() if ask else self._put(kept))
                async with response:
                    if response.status != 308:
                        resource: Resource = await response.json(content_type=None)
                        return resource
                    kept = _kept(response)
                if kept > furthest:
                    furthest = kept
                    tries.progress()
                else:
                    await tries.wait(
                        aiohttp.ClientPayloadError(
                            f"the service keeps {kept} of {self._size} bytes and no more"
                        )
                    )
                self._progress(kept)
                ask = kept == self._size  # all is there, and not yet put together
            except FAILURES as error:
                if self._changed:
                    raise DamagedError("the file has changed while it was stored") from None
                if self._write.create and status(error) == 412:
                    raise TakenError(self._write.name) from None
                if status(error) in (404, 410):  # begin anew, within this patience
                    await tries.wait(aiohttp.ServerDisconnectedError("the upload was forgotten"))
                    self._session = await self._bucket.again(self._begin)
                    kept, furthest, ask = 0, 0, False
                    continue
                await tries.wait(error)
                ask = True

    async def _put(self, start: int) -> aiohttp.ClientResponse:
        """Send all bytes from ``start``; a connection that takes none for a while is given up."""
        loop, stall = asyncio.get_running_loop(), self._bucket.patience.stall

        async def body(clock: asyncio.Timeout) -> AsyncIterator[bytes | memoryview]:
            at = start
            while at < self._size:
                piece = await self._source.piece(at, self._size)
                if not piece:
                    self._changed = True
                    raise DamagedError("the file has become shorter")
                clock.reschedule(loop.time() + stall)
                yield piece
                at += len(piece)
                self._progress(at)
            clock.reschedule(None)

        async with asyncio.timeout(stall) as clock:
            return await self._bucket.connection.call(
                "PUT",
                self._session,
                headers={
                    "Content-Length": str(self._size - start),
                    "Content-Range": f"bytes {start}-{self._size - 1}/{self._size}",
                },
                data=body(clock),
                # Megabytes may still be on a slow line when the last piece has been taken off our hands.
                timeout=silence(4 * stall),
            )

    async def _ask(self) -> aiohttp.ClientResponse:
        """Ask how many bytes are kept; all of them are an object from then on."""
        return await self._bucket.connection.call(
            "PUT",
            self._session,
            headers={"Content-Range": f"bytes */{self._size}"},
            timeout=self._bucket.timeout,
        )

    async def _drop(self) -> None:
        """Tell the service to forget the session; it would by itself, in a week."""
        with suppress(Exception):  # 499 is the answer that says so
            if self._session:
                await self._bucket.connection.call("DELETE", self._session, timeout=_FAREWELL)


def _kept(response: aiohttp.ClientResponse) -> int:
    """How many bytes an unfinished upload has kept: ``Range: bytes=0-41`` says 42, no header none."""
    last = response.headers.get("Range", "").rpartition("-")[2]
    return int(last) + 1 if last.isdigit() else 0


async def upload(
    bucket: Bucket, write: Write, data: bytes | Path, progress: Callable[[int], None]
) -> Resource:
    """Write a large object from bytes or a file, as `Upload` does."""
    if isinstance(data, bytes):
        return await Upload(bucket, write, Source(data), progress).run()
    with open(data, "rb", buffering=0) as file:
        return await Upload(bucket, write, Source(file), progress).run()
