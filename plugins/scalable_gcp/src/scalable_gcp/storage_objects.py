"""The objects of one bucket, as coroutines that try again: small writes, reads that go on, listings."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import quote

import aiohttp
from attrs import field, frozen

from scalable_gcp.client import Connection, silence
from scalable_gcp.storage_digests import Crc32c, Digests, header_crc32c
from scalable_gcp.storage_errors import FAILURES, DamagedError, Patience, Tries, is_absent, status

T = TypeVar("T")
Resource = dict[str, Any]

#: Names in an object's metadata: its SHA-256, and which write has made it.
SHA256, WRITE = "scalable-sha256", "scalable-write"
_FIELDS = "nextPageToken,items(name,size,updated)"


@frozen(kw_only=True)
class Write:
    """What is to be written, and how the service knows it again.

    Attributes:
        name: The object's name in its bucket.
        digests: Of its bytes; the service refuses others.
        media_type: Such as ``application/json``.
        create: Only if the name is free.
        mark: Tells this write from all others, should its answer be lost.
    """

    name: str
    digests: Digests
    media_type: str
    create: bool
    mark: str = field(factory=lambda: uuid.uuid4().hex)

    @property
    def params(self) -> dict[str, str]:
        """The condition."""
        return {"ifGenerationMatch": "0"} if self.create else {}

    @property
    def metadata(self) -> Resource:
        """What the service keeps with the bytes."""
        kept = {SHA256: self.digests.sha256.removeprefix("sha256:"), WRITE: self.mark}
        return {"crc32c": self.digests.crc32c, "metadata": kept}


class TakenError(Exception):
    """The name is taken already."""


class Bucket:
    """The objects of one bucket.

    Args:
        connection: To the service.
        name: The bucket's.
        patience: For each piece of work.
    """

    def __init__(self, connection: Connection, name: str, patience: Patience) -> None:
        self.connection, self.name, self.patience = connection, name, patience
        self.timeout = silence(patience.stall)

    def url(self, name: str) -> str:
        """Return where an object is."""
        return f"{self.connection.root}/storage/v1/b/{self.name}/o/{quote(name, safe='')}"

    def tries(self) -> Tries:
        """Return what counts the tries of one piece of work."""
        return Tries(self.patience, self.connection.token)

    async def again(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call until it succeeds."""
        tries = self.tries()
        while True:
            try:
                return await call()
            except FAILURES as error:
                await tries.wait(error)

    async def describe(self, name: str) -> Resource:
        """Return what the service says of an object."""
        storage = self.connection.storage
        return await self.again(
            lambda: storage.download_metadata(self.name, name, timeout=self.timeout)
        )

    async def insert(self, write: Write, data: bytes) -> Resource:
        """Write a small object in one request and return what the service says of it.

        Raises:
            TakenError: The name is not free.
        """
        tries = self.tries()
        body, kind = _multipart(write, data)
        url = f"{self.connection.root}/upload/storage/v1/b/{self.name}/o"
        params = {"uploadType": "multipart", **write.params}
        headers = {"Content-Type": kind}
        while True:
            try:
                response = await self.connection.call(
                    "POST", url, headers=headers, params=params, data=body, timeout=self.timeout
                )
                found: Resource = json.loads(await response.read())
                return found
            except FAILURES as error:
                if write.create and status(error) == 412:
                    return await self.mine_after_all(write, tries.failed > 0)
                await tries.wait(error)

    async def mine_after_all(self, write: Write, lost: bool) -> Resource:
        """Return the object whose name was found taken, if this very write has made it.

        Args:
            write: The write that was refused.
            lost: An earlier try may have succeeded, and its answer was lost.

        Raises:
            TakenError: Somebody else has made it.
        """
        if lost:
            try:
                found = await self.describe(write.name)
            except FAILURES:
                raise TakenError(write.name) from None
            if found.get("metadata", {}).get(WRITE) == write.mark:
                return found
        raise TakenError(write.name)

    async def remove(self, name: str, params: Mapping[str, str] | None = None) -> None:
        """Remove an object; one that is not there is no error."""

        async def call() -> None:
            try:
                await self.connection.storage.delete(
                    self.name, name, params=dict(params or {}), timeout=self.timeout
                )
            except aiohttp.ClientResponseError as error:
                if not is_absent(error):
                    raise

        await self.again(call)

    async def page(self, prefix: str, token: str | None) -> tuple[list[Resource], str | None]:
        """Return some objects whose names start with a prefix, and what asks for those after them."""
        params = {"prefix": prefix, "fields": _FIELDS, "maxResults": "1000"}
        if token:
            params["pageToken"] = token
        storage = self.connection.storage
        found = await self.again(
            lambda: storage.list_objects(self.name, params=dict(params), timeout=self.timeout)
        )
        return found.get("items", []), found.get("nextPageToken")

    async def read(self, name: str) -> bytes:
        """Return the bytes of an object."""
        return b"".join([piece async for piece in self.pieces(name)])

    async def pieces(
        self,
        name: str,
        *,
        start: int = 0,
        end: int | None = None,
        generation: str | None = None,
    ) -> AsyncGenerator[bytes, None]:
        """Yield the bytes of an object; a body that is cut short is continued where it broke.

        Args:
            name: The object's.
            start: The first byte.
            end: The byte after the last; None for all.
            generation: Which one; the newest, and that one to the end, when None.

        Raises:
            DamagedError: It is the whole object, and not what the service says of it.
        """
        tries, crc32c, expected = self.tries(), Crc32c(), None
        whole = not start and end is None
        while True:
            try:
                params = {"alt": "media"} | ({"generation": generation} if generation else {})
                headers = {}
                if start or end is not None:
                    headers["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
                response = await self.connection.call(
                    "GET",
                    self.url(name),
                    headers=headers,
                    params=params,
                    timeout=self.timeout,
                    stored=True,
                )
                async with response:
                    told = response.headers
                    generation = generation or told.get("x-goog-generation")
                    end = _size(response) if end is None else end
                    if whole and not start:
                        expected = header_crc32c(",".join(told.getall("x-goog-hash", ())))
                    async for piece in response.content.iter_any():
                        start += len(piece)
                        if whole:
                            crc32c.update(piece)
                        tries.progress()
                        yield piece
                if end is None or start >= end:
                    break
                raise aiohttp.ClientPayloadError(f"the answer ends {end - start} bytes too early")
            except FAILURES as error:
                await tries.wait(error)
        if expected not in (None, str(crc32c)):
            raise DamagedError(
                f"its CRC-32C is {crc32c}, and Cloud Storage says that it is {expected}"
            )


def _size(response: aiohttp.ClientResponse) -> int | None:
    """How many bytes an object has, by an answer with all of it or with a part."""
    whole = response.headers.get("Content-Range", "").rpartition("/")[2]
    return int(whole) if whole.isdigit() else response.content_length


def _multipart(write: Write, data: bytes) -> tuple[bytes, str]:
    """Return the body of a request that holds an object and what is kept with it, and its media type."""
    meta = json.dumps({"name": write.name, **write.metadata}).encode()
    edge = write.mark.encode()  # random, so not in the data
    body = b"--%b\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n%b\r\n" % (edge, meta)
    body += b"--%b\r\nContent-Type: %b\r\n\r\n" % (edge, write.media_type.encode())
    return b"".join(
        (body, data, b"\r\n--%b--\r\n" % edge)
    ), f"multipart/related; boundary={write.mark}"
