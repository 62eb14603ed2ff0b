"""The run's documents in SSM Parameter Store, encrypted, below one path that only members of the project read.

Documents that are published together travel as one parcel: JSON, compressed, cut into parameters of the
standard tier (4 KB each, free of charge), named ``<path>/<number>-<part>-<parts>``.
"""

from __future__ import annotations

import asyncio
import base64
import json
import zlib
from collections.abc import Mapping, Sequence

from scalable_aws.account import Account, CallError
from scalable_aws.requests import tag_list
from scalable_core.cluster.ledger import Ledger
from scalable_core.types import Resource

KIND = "ssm:parameters"
#: Characters of one parameter of the standard tier.
LARGEST = 4096


class SecretStore:
    """The documents of one run.

    Args:
        account: Where.
        path: Below which they are.
        tags: Of each parameter.
        ledger: Of the run; None when the path is found without one.
    """

    def __init__(
        self,
        account: Account,
        path: str,
        tags: Mapping[str, str],
        ledger: Ledger | None = None,
    ) -> None:
        self.path = path
        self._account, self._tags, self._ledger = account, tags, ledger
        self._count = 0
        self.names: list[str] = []

    async def publish(self, documents: Mapping[str, str]) -> None:
        """Add documents; they are there for members when this returns."""
        if self._count == 0 and self._ledger is not None:
            place = Resource(
                kind=KIND, id=self.path, region=self._account.region, run=self._ledger.run
            )
            await self._ledger.intend([place])
        number, self._count = self._count, self._count + 1
        parts = pack(documents)
        self.names += [f"{self.path}/{number}-{part}-{len(parts)}" for part in range(len(parts))]
        await asyncio.gather(
            *(
                self._put(f"{self.path}/{number}-{part}-{len(parts)}", text)
                for part, text in enumerate(parts)
            )
        )

    async def _put(self, name: str, text: str) -> None:
        try:
            await self._account.call(
                "ssm",
                "PutParameter",
                Name=name,
                Value=text,
                Type="SecureString",
                Tier="Standard",
                Tags=tag_list(self._tags, "Key", "Value"),
            )
        except CallError as error:
            if error.code != "ParameterAlreadyExists":  # the answer to the first attempt was lost
                raise


def pack(documents: Mapping[str, str]) -> list[str]:
    """Return documents as texts that each fit into a parameter; `reader.join_documents` is the reverse."""
    text = base64.b64encode(zlib.compress(json.dumps(dict(documents)).encode(), 9)).decode()
    return [text[start : start + LARGEST] for start in range(0, len(text), LARGEST)]


async def find_parameters(account: Account, path: str) -> list[str]:
    """Return the names of all parameters below a path, without their values."""
    filters = [{"Key": "Path", "Option": "Recursive", "Values": [path]}]
    found = await account.pages(
        "ssm", "DescribeParameters", "Parameters", ParameterFilters=filters, MaxResults=50
    )
    return [each["Name"] for each in found]


async def delete_parameters(account: Account, names: Sequence[str]) -> None:
    """Delete parameters; one that is gone is no error."""
    for start in range(0, len(names), 10):
        try:
            await account.call("ssm", "DeleteParameters", Names=list(names[start : start + 10]))
        except CallError as error:
            if error.code != "ParameterNotFound":
                raise
