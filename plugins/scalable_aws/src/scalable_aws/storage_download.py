"""Objects of S3 to memory, in order, part by part: read in parallel, and continued where a connection broke."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from typing import Any

from attrs import define

from scalable_aws import client as aws
from scalable_aws.storage_bucket import (
    PART,
    WINDOW,
    AbsentError,
    Bucket,
    ChangedError,
    Progress,
    no_progress,
)


async def download(
    bucket: Bucket, key: str, *, progress: Progress = no_progress
) -> AsyncGenerator[memoryview, None]:
    """Yield the bytes of an object in order, part by part; parts are read in parallel.

    What is yielded is good until the next is asked for: its memory is used again.

    Raises:
        ChangedError: Another object has taken its place meanwhile.
    """
    first = _Part(bucket, key)
    done, spare, coming = 0, list[bytearray](), deque[asyncio.Task[memoryview]]()
    part: memoryview | None = await first.read(0, PART)
    starts = iter(range(PART, first.total, PART))
    try:
        while part is not None:
            while len(coming) < WINDOW and (start := next(starts, None)) is not None:
                memory = spare.pop() if spare else bytearray(PART)
                other = _Part(bucket, key, first.etag, first.total, memory)
                coming.append(asyncio.create_task(other.read(start, PART)))
            yield part
            done += len(part)
            progress(done, first.total)
            if first.total > PART:
                spare.append(part.obj)  # type: ignore[arg-type]
            part = await coming.popleft() if coming else None
    finally:
        for task in coming:
            task.cancel()
        await asyncio.gather(*coming, return_exceptions=True)


@define
class _Part:
    """One part of one object, which goes on where it broke off."""

    bucket: Bucket
    key: str
    etag: str | None = None
    total: int = -1
    memory: bytearray | None = None

    async def read(self, start: int, length: int) -> memoryview:
        """Return the bytes from ``start`` on; fewer than ``length`` at the end of the object."""
        have = 0

        async def attempt() -> None:
            nonlocal have
            if 0 <= self.total <= start + have:
                return
            headers = {"Range": f"bytes={start + have}-{start + length - 1}"}
            if self.etag:
                headers["If-Match"] = self.etag
            answer = await self.bucket.send("GET", self.key, headers)
            try:
                self._see(answer)
                wanted = min(length, self.total - start)
                if self.memory is None:
                    self.memory = bytearray(wanted)
                view = memoryview(self.memory)
                async for piece in answer.content.iter_any():
                    view[have : have + len(piece)] = piece
                    have += len(piece)
            finally:
                answer.release() if answer.content.is_eof() else answer.close()
            if have < wanted:
                raise EOFError("the answer was shorter than it said")

        try:
            await aws.patiently(attempt)
        except aws.ClientError as error:
            status = aws.status_of(error)
            if status == 416 and start == 0:
                self.total = 0
            elif status in (412, 416):
                raise ChangedError("another object has its name now") from error
            else:
                raise
        except AbsentError as error:
            if self.etag:
                raise ChangedError("it was removed") from error
            raise
        return memoryview(self.memory or b"")[:have]

    def _see(self, answer: Any) -> None:
        """Note the size of the whole object, and which object it is."""
        covered = answer.headers.get("Content-Range", "").rpartition("/")[2]
        self.total = int(covered or answer.headers.get("Content-Length") or 0)
        self.etag = self.etag or answer.headers.get("ETag")
