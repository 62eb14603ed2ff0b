"""One bucket of S3: where its requests go, and what is asked of it, on the loop of `client`."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import quote

from attrs import define, field, frozen

from scalable_aws import client as aws
from scalable_core.types import StoredObject
from scalable_core.types.units import MIB

T = TypeVar("T")

#: Bytes of a part of a large object, and how many of them a transfer has in memory.
PART = 8 * MIB
WINDOW = 6
#: Bytes that are copied or hashed on the loop itself.
SMALL = 256 * 1024
_NOTHING = hashlib.sha256(b"").hexdigest()

#: Hears of bytes done and of all.
Progress = Callable[[int, int], None]


class AlreadyThereError(Exception):
    """The name is taken, and was to be free."""


class AbsentError(Exception):
    """There is no such object."""


class ChangedError(Exception):
    """What is read is no longer what it was when reading began."""


@frozen(kw_only=True)
class Moved:
    """What was stored or read.

    Attributes:
        digest: Hex SHA-256 of the bytes.
        size: Bytes.
    """

    digest: str
    size: int


def no_progress(done: int, total: int) -> None:
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
        base = signed.partition("?")[0].removesuffix("k")
        # What it signs for later use has the old global name, whose redirects a body cannot follow.
        regional = f".s3.{bucket.client.meta.region_name}.amazonaws.com/"
        bucket.base = base.replace(".s3.amazonaws.com/", regional)
        return bucket

    async def delete(self, key: str) -> None:
        """Remove an object, if there is one."""
        try:
            await self.ask("DELETE", key)
        except AbsentError:
            pass

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
        for last in (False, True):
            client, url = self.client, f"{self.base}{quote(key, safe='/~')}{query}"
            try:
                return await aws.send(
                    client, method, url, headers=headers, body=body(), sha256=sha256
                )
            except aws.ClientError as error:
                region = error.response["Error"].get("Region")
                if region and region != client.meta.region_name and not last:
                    moved = await Bucket.open(self.name, region)
                    self.client, self.base = moved.client, moved.base
                    continue
                if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
                    raise AbsentError(key) from error
                raise
        raise AssertionError("the second request ends it")


async def off_loop(size: int, work: Callable[..., T], *arguments: Any) -> T:
    """Do small work at once, and large work on a thread."""
    return work(*arguments) if size <= SMALL else await asyncio.to_thread(work, *arguments)
