"""One bucket of S3: objects in and out, large ones in parts and in parallel, on the loop of `client`.

Every byte that is sent carries its SHA-256 as the service's own checksum. An object appears whole or not at
all; a broken connection costs the rest of one part. At most `_WINDOW` parts of a transfer are in memory.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import uuid
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from attrs import define, field, frozen

from scalable_aws import client as aws
from scalable_core.types import StoredObject
from scalable_core.types.units import MIB

T = TypeVar("T")

#: Bytes of a part; larger where more than 10,000 parts would be needed.
PART = 8 * MIB
_WINDOW = 6
_SLICE = MIB // 2
_MOST_PARTS = 10_000
_SMALL = 256 * 1024
_NOTHING = hashlib.sha256(b"").hexdigest()
#: A word of each write's own: by it a write knows its object again when the answer was lost on the way.
_WRITE = "x-amz-meta-scalable-write"

Progress = Callable[[int, int], None]


class AlreadyThereError(Exception):
    """The name is taken, and was to be free."""


class AbsentError(Exception):
    """There is no such object."""


class ChangedError(Exception):
    """What is read is no longer what it was when reading began."""


@frozen(kw_only=True)
class Written:
    """What was stored.

    Attributes:
        digest: Hex SHA-256 of the bytes.
        size: Bytes.
    """

    digest: str
    size: int


def _no_progress(done: int, total: int) -> None:
    """Say nothing."""


@define
class Bucket:
    """The objects of one bucket. All methods belong on the shared loop.

    Raises:
        AbsentError: There is no such object.
        Exception: What `client.patiently` gave up on.
    """

    name: str
    client: Any
    base: str = field(default="")

    @classmethod
    async def open(cls, name: str, region: str | None = None) -> Bucket:
        """Find out where requests for a bucket go; nothing is contacted."""
        bucket = cls(name, await aws.client("s3", region))
        # The SDK knows the rules of hosts, paths, regions and endpoints: it builds one address for us.
        signed = await bucket.client.generate_presigned_url(
            "get_object", Params={"Bucket": name, "Key": "k"}
        )
        bucket.base = signed.partition("?")[0].removesuffix("k")
        return bucket

    # -- writing ----------------------------------------------------------------------------------------------

    async def write(
        self,
        key: str,
        data: bytes | Path,
        *,
        create: bool,
        headers: Mapping[str, str] | None = None,
        progress: Progress = _no_progress,
    ) -> Written:
        """Store bytes or a file under a key.

        Args:
            key: Its name.
            data: The bytes, or the path of a file.
            create: Only if there is no object of that name.
            headers: More of them, such as ``x-amz-meta-...``.
            progress: Hears of bytes done and of all.

        Raises:
            AlreadyThereError: There is one, and ``create`` was asked for.
        """
        write = _Write(self, key, create, {**(headers or {}), _WRITE: uuid.uuid4().hex})
        if isinstance(data, bytes):
            return await write.all(memoryview(data), len(data), progress)
        source = await asyncio.to_thread(os.open, data, os.O_RDONLY)
        try:
            return await write.all(source, os.fstat(source).st_size, progress)
        finally:
            os.close(source)

    async def delete(self, key: str) -> None:
        """Remove an object, if there is one."""
        try:
            await self.ask("DELETE", key)
        except AbsentError:
            pass

    # -- reading ----------------------------------------------------------------------------------------------

    async def read(
        self, key: str, *, progress: Progress = _no_progress
    ) -> AsyncIterator[memoryview]:
        """Yield the bytes of an object in order, part by part; parts are read in parallel.

        What is yielded is good until the next is asked for: its memory is used again.

        Raises:
            ChangedError: Another object has taken its place meanwhile.
        """
        first = _Read(self, key)
        done, spare, coming = 0, list[bytearray](), deque[asyncio.Task[memoryview]]()
        part: memoryview | None = await first.part(0, PART)
        starts = iter(range(PART, first.total, PART))
        try:
            while part is not None:
                while len(coming) < _WINDOW and (start := next(starts, None)) is not None:
                    memory = spare.pop() if spare else bytearray(PART)
                    other = _Read(self, key, first.etag, first.total, memory)
                    coming.append(asyncio.create_task(other.part(start, PART)))
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

    async def list(self, prefix: str, after: str | None) -> tuple[list[StoredObject], str | None]:
        """Return one page of objects by key, and the word that asks for the next; None at the end."""
        more = {"ContinuationToken": after} if after else {}
        page = await aws.patiently(
            lambda: self.client.list_objects_v2(Bucket=self.name, Prefix=prefix, **more)
        )
        found = [
            StoredObject(key=row["Key"], size=row["Size"], modified=row["LastModified"].timestamp())
            for row in page.get("Contents", ())
        ]
        return found, page.get("NextContinuationToken")

    # -- requests ---------------------------------------------------------------------------------------------

    async def ask(
        self, method: str, key: str, headers: Mapping[str, str] | None = None
    ) -> Mapping[str, str]:
        """Send a request without a body, again if need be, and return the headers of the answer."""

        async def attempt() -> Mapping[str, str]:
            answer = await self.send(method, key, headers or {})
            await answer.read()
            return dict(answer.headers)

        return await aws.patiently(attempt)

    async def send(
        self,
        method: str,
        key: str,
        headers: Mapping[str, str],
        body: Callable[[], Any] = bytes,
        *,
        sha256: str = _NOTHING,
        query: str = "",
    ) -> Any:
        """Send one request, to the region where the bucket really is, and return the answer."""
        for _ in range(2):
            url = f"{self.base}{quote(key, safe='/~')}{query}"
            try:
                return await aws.send(
                    self.client, method, url, headers=headers, body=body(), sha256=sha256
                )
            except aws.ClientError as error:
                region = error.response["Error"].get("Region")
                if region and region != self.client.meta.region_name:
                    moved = await Bucket.open(self.name, region)
                    self.client, self.base = moved.client, moved.base
                    last = error
                    continue
                if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
                    raise AbsentError(key) from error
                raise
        raise last


@define
class _Write:
    """One write of one object."""

    bucket: Bucket
    key: str
    create: bool
    headers: dict[str, str]

    async def all(self, source: int | memoryview, size: int, progress: Progress) -> Written:
        """Store it all: in one request, or in parts that become an object in the last step."""
        if size > 2 * PART:
            return await self._parts(source, size, progress)
        piece = await off_loop(size, _read, source, 0, size)
        digest = await off_loop(size, hashlib.sha256, piece)
        headers = {**self.headers, "x-amz-meta-sha256": digest.hexdigest()}
        if self.create:
            headers["If-None-Match"] = "*"
        await self._finish(lambda: self._put(piece, digest.digest(), headers))
        return Written(digest=digest.hexdigest(), size=size)

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

    async def _parts(self, source: int | memoryview, size: int, progress: Progress) -> Written:
        """Upload parts in parallel and join them; leave nothing of them when that fails."""
        client, where = self.bucket.client, {"Bucket": self.bucket.name, "Key": self.key}
        metadata = {
            name.removeprefix("x-amz-meta-"): value
            for name, value in self.headers.items()
            if name.startswith("x-amz-meta-")
        }
        media = {"ContentType": kind} if (kind := self.headers.get("Content-Type")) else {}
        begun = await aws.patiently(
            lambda: client.create_multipart_upload(
                **where, ChecksumAlgorithm="SHA256", Metadata=metadata, **media
            )
        )
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
            await asyncio.shield(aws.patiently(lambda: client.abort_multipart_upload(**upload)))
            raise
        return Written(digest=digest, size=size)

    async def _send_parts(
        self, upload: str, source: int | memoryview, size: int, progress: Progress
    ) -> tuple[list[dict[str, Any]], str]:
        """Return what the service wants to know of the parts to join them, and the digest of all bytes."""
        length = max(PART, -(-size // _MOST_PARTS // MIB) * MIB)
        room, whole, done = asyncio.Semaphore(_WINDOW), hashlib.sha256(), 0
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


@define
class _Read:
    """One part of one object, which goes on where it broke off."""

    bucket: Bucket
    key: str
    etag: str | None = None
    total: int = -1
    memory: bytearray | None = None

    async def part(self, start: int, length: int) -> memoryview:
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


async def off_loop(size: int, work: Callable[..., T], *arguments: Any) -> T:
    """Do small work at once, and large work on a thread."""
    return work(*arguments) if size <= _SMALL else await asyncio.to_thread(work, *arguments)


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
    return bytes(piece) if len(piece) <= _SMALL else _slices(piece)


async def _slices(piece: memoryview) -> AsyncIterator[memoryview]:
    for start in range(0, len(piece), _SLICE):
        yield piece[start : start + _SLICE]
