"""Bytes and files to S3: whole or not at all, large ones in parts and in parallel.

Every body carries its SHA-256 as the service's own checksum. A broken connection costs one part.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from attrs import define

from scalable_aws import client as aws
from scalable_aws.storage_bucket import (
    PART,
    SMALL,
    WINDOW,
    AbsentError,
    AlreadyThereError,
    Bucket,
    ChangedError,
    Moved,
    Progress,
    no_progress,
    off_loop,
)
from scalable_core.types.units import MIB

_SLICE = MIB // 2
_MOST_PARTS = 10_000
#: Seconds that an upload which is given up waits for word of whether it had begun.
_ANSWER = 5.0
#: Bytes a second: a body that leaves more slowly than that is given up, and sent again.
SLOWEST = 64 * 1024
#: A word of each write's own: by it a write knows its object again when the answer was lost on the way.
_WRITE = "x-amz-meta-scalable-write"


async def upload(
    bucket: Bucket,
    key: str,
    data: bytes | Path,
    *,
    create: bool,
    headers: Mapping[str, str] | None = None,
    progress: Progress = no_progress,
) -> Moved:
    """Store bytes or a file under a key.

    Args:
        bucket: Where.
        key: Its name.
        data: The bytes, or the path of a file.
        create: Only if there is no object of that name.
        headers: More of them, such as ``x-amz-meta-...``.
        progress: Hears of bytes done and of all.

    Raises:
        AlreadyThereError: There is one, and ``create`` was asked for.
    """
    write = _Upload(bucket, key, create, {**(headers or {}), _WRITE: uuid.uuid4().hex})
    if isinstance(data, bytes):
        return await write.all(memoryview(data), len(data), progress)
    source = await asyncio.to_thread(os.open, data, os.O_RDONLY)
    try:
        return await write.all(source, os.fstat(source).st_size, progress)
    finally:
        os.close(source)


@define
class _Upload:
    """One write of one object."""

    bucket: Bucket
    key: str
    create: bool
    headers: dict[str, str]

    async def all(self, source: int | memoryview, size: int, progress: Progress) -> Moved:
        """Store it all: in one request, or in parts that become an object in the last step."""
        if size > 2 * PART:
            return await self._parts(source, size, progress)
        piece = await off_loop(size, _read, source, 0, size)
        digest = await off_loop(size, hashlib.sha256, piece)
        headers = {**self.headers, "x-amz-meta-sha256": digest.hexdigest()}
        if self.create:
            headers["If-None-Match"] = "*"
        await self._finish(lambda: self._put(piece, digest.digest(), headers))
        return Moved(digest=digest.hexdigest(), size=size)

    async def _put(
        self, piece: memoryview, digest: bytes, headers: Mapping[str, str], query: str = ""
    ) -> str:
        """Send bytes once and return the entity tag."""
        sent = {
            **headers,
            "Content-Length": str(len(piece)),
            "x-amz-sdk-checksum-algorithm": "SHA256",
            "x-amz-checksum-sha256": base64.b64encode(digest).decode(),
        }
        async with asyncio.timeout(aws.READ_TIMEOUT + len(piece) / SLOWEST):
            answer = await self.bucket.send(
                "PUT", self.key, sent, lambda: _body(piece), sha256=digest.hex(), query=query
            )
            await answer.read()
        return str(answer.headers.get("ETag", ""))

    async def _finish(self, attempt: Callable[[], Awaitable[object]]) -> None:
        """Take the step that gives the object its name, and know whether it was this write that did.

        An attempt may have worked though its answer was lost, and HTTP clients send again unasked: then the
        next attempt is told that the name is taken, or that the parts are gone.
        """
        try:
            await aws.patiently(attempt)
        except aws.ClientError as error:
            taken = aws.status_of(error) == 412
            if (taken or aws.code_of(error) == "NoSuchUpload") and await self._is_there():
                return
            if taken and self.create:
                raise AlreadyThereError(self.key) from error
            raise

    async def _is_there(self) -> bool:
        """Whether the object of that name is this write's."""
        try:
            found = await self.bucket.ask("HEAD", self.key)
        except (AbsentError, aws.ClientError):
            return False
        return found.get(_WRITE) == self.headers[_WRITE]

    async def _parts(self, source: int | memoryview, size: int, progress: Progress) -> Moved:
        """Upload parts in parallel and join them; leave nothing of them when that fails."""
        client, where = self.bucket.client, {"Bucket": self.bucket.name, "Key": self.key}
        metadata = {
            name.removeprefix("x-amz-meta-"): value
            for name, value in self.headers.items()
            if name.startswith("x-amz-meta-")
        }
        media = {"ContentType": kind} if (kind := self.headers.get("Content-Type")) else {}
        beginning = asyncio.ensure_future(
            aws.patiently(
                lambda: client.create_multipart_upload(
                    **where, ChecksumAlgorithm="SHA256", Metadata=metadata, **media
                )
            )
        )
        try:
            begun = await asyncio.shield(beginning)
        except asyncio.CancelledError:
            # The service may have begun it already, and only its answer says what to remove.
            await asyncio.wait([beginning], timeout=_ANSWER)
            if beginning.done() and not beginning.exception():
                await self._abort({**where, "UploadId": beginning.result()["UploadId"]})
            raise
        upload = {**where, "UploadId": begun["UploadId"]}
        try:
            parts, digest = await self._send_parts(upload["UploadId"], source, size, progress)
            condition = {"IfNoneMatch": "*"} if self.create else {}
            await self._finish(
                lambda: client.complete_multipart_upload(
                    **upload, MultipartUpload={"Parts": parts}, **condition
                )
            )
        except BaseException:
            await asyncio.shield(self._abort(upload))
            raise
        return Moved(digest=digest, size=size)

    async def _abort(self, upload: Mapping[str, str]) -> None:
        """Remove the parts: those that stay are paid for."""
        try:
            await aws.patiently(lambda: self.bucket.client.abort_multipart_upload(**upload))
        except Exception as error:
            if aws.code_of(error) != "NoSuchUpload":
                where = "--bucket {Bucket} --key {Key!r} --upload-id {UploadId}".format(**upload)
                logging.getLogger("scalable.aws").warning(
                    "parts of an upload could not be removed (%s); "
                    "remove them with: aws s3api abort-multipart-upload %s",
                    error,
                    where,
                )

    async def _send_parts(
        self, upload: str, source: int | memoryview, size: int, progress: Progress
    ) -> tuple[list[dict[str, Any]], str]:
        """Return what the service wants to know of the parts to join them, and the digest of all bytes."""
        length = max(PART, -(-size // _MOST_PARTS // MIB) * MIB)
        room, whole, done = asyncio.Semaphore(WINDOW), hashlib.sha256(), 0
        spare = list[bytearray]()

        async def send(number: int, piece: memoryview) -> dict[str, Any]:
            nonlocal done
            digest = (await asyncio.to_thread(hashlib.sha256, piece)).digest()
            query = f"?partNumber={number}&uploadId={quote(upload, safe='')}"
            tag = await aws.patiently(lambda: self._put(piece, digest, {}, query))
            done += len(piece)
            progress(done, size)
            if isinstance(piece.obj, bytearray):
                spare.append(piece.obj)
            room.release()
            checksum = base64.b64encode(digest).decode()
            return {"PartNumber": number, "ETag": tag, "ChecksumSHA256": checksum}

        try:
            async with asyncio.TaskGroup() as group:
                tasks = []
                for number, start in enumerate(range(0, size, length), 1):
                    await room.acquire()
                    memory = spare.pop() if spare else None
                    wanted = min(length, size - start)
                    piece = await asyncio.to_thread(_read, source, start, wanted, memory)
                    tasks.append(group.create_task(send(number, piece)))
                    await asyncio.to_thread(whole.update, piece)
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return [task.result() for task in tasks], whole.hexdigest()


def _read(
    source: int | memoryview, start: int, length: int, memory: bytearray | None = None
) -> memoryview:
    """Return bytes of an open file, in memory that may be given, or of memory.

    Raises:
        ChangedError: The file is shorter than it was.
    """
    if isinstance(source, memoryview):
        return source[start : start + length]
    view, have = memoryview(memory or bytearray(length))[:length], 0
    while have < length:
        read = os.preadv(source, [view[have:]], start + have)
        if not read:
            raise ChangedError("the file became shorter while it was stored")
        have += read
    return view


def _body(piece: memoryview) -> Any:
    """Return a body that can be sent: small ones at once, large ones in slices that wait for the network."""
    return bytes(piece) if len(piece) <= SMALL else _slices(piece)


async def _slices(piece: memoryview) -> AsyncIterator[memoryview]:
    for start in range(0, len(piece), _SLICE):
        yield piece[start : start + _SLICE]
