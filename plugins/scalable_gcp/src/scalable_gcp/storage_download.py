"""Large objects to files: several ranges at once, each continued where it broke, digested as they come in."""

from __future__ import annotations

import asyncio
import hashlib
import mmap
import os
from collections.abc import Callable
from pathlib import Path

from scalable_gcp.storage_digests import sha256_text
from scalable_gcp.storage_objects import Bucket

_RANGE = 16 * 1024 * 1024
_AT_ONCE = 4


class Download:
    """The way of one object into one file.

    Args:
        bucket: Where from.
        name: The object's.
        generation: Which one, so that all ranges are of the same.
        size: Its bytes.
        file: The descriptor of a file that is open for reading and writing.
        progress: Told the number of bytes received so far.
    """

    def __init__(
        self,
        bucket: Bucket,
        name: str,
        *,
        generation: str,
        size: int,
        file: int,
        progress: Callable[[int], None],
    ) -> None:
        self._bucket, self._name, self._generation = bucket, name, generation
        self._size, self._file, self._progress = size, file, progress
        self._received, self._sha256 = 0, hashlib.sha256()

    async def run(self) -> str:
        """Fetch all of it and return the SHA-256 of what has arrived."""
        ranges = [
            (start, min(start + _RANGE, self._size)) for start in range(0, self._size, _RANGE)
        ]
        places = asyncio.Semaphore(_AT_ONCE)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._fetch(*each, places)) for each in ranges]
                # In order, while later ranges still come in; what was just written is still in memory.
                for task, (start, end) in zip(tasks, ranges, strict=True):
                    await task
                    await asyncio.to_thread(self._digest, start, end)
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return sha256_text(self._sha256.digest())

    async def _fetch(self, start: int, end: int, places: asyncio.Semaphore) -> None:
        async with places:
            pieces = self._bucket.pieces(
                self._name, start=start, end=end, generation=self._generation
            )
            async for piece in pieces:
                os.pwrite(self._file, piece, start)
                start += len(piece)
                self._received += len(piece)
                self._progress(self._received)

    def _digest(self, start: int, end: int) -> None:
        with mmap.mmap(self._file, end - start, offset=start, prot=mmap.PROT_READ) as view:
            self._sha256.update(view)  # in one go, while other threads may run


async def download(bucket: Bucket, name: str, path: Path, progress: Callable[[int], None]) -> str:
    """Fetch a large object to a new file and return the SHA-256 of what has arrived."""
    found = await bucket.describe(name)
    with open(path, "x+b", buffering=0) as file:
        way = Download(
            bucket,
            name,
            generation=str(found["generation"]),
            size=int(found["size"]),
            file=file.fileno(),
            progress=progress,
        )
        return await way.run()
