"""The run's documents in Secret Manager: one secret for each run, that only its members may read.

The driver of a detached run has one of its own: one version, its variables as JSON.

Documents that are published together travel as one parcel: JSON, compressed, in as many versions as it
needs, each with ``<part>/<parts>`` in its first line. The secret ends by itself some time after the run must
have ended.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from typing import Any

from scalable_core.cluster.ledger import Ledger
from scalable_core.types import Resource
from scalable_gcp.cloud import CallError, Cloud, gone

KIND = "secretmanager:secret"
#: Characters of one version, of the 64 KiB that it can have once it is coded.
LARGEST = 45000
#: Seconds for which the secret outlives the run's longest life.
AFTERLIFE = 3600


class SecretStore:
    """The secret of one run.

    Args:
        cloud: Where.
        name: Of the secret.
        labels: That it carries.
        ledger: Of the run; None when it is not here.
        lifetime: Seconds that the run lasts at most.
    """

    def __init__(
        self,
        cloud: Cloud,
        name: str,
        labels: Mapping[str, str],
        ledger: Ledger | None,
        lifetime: float,
    ) -> None:
        self.path = f"projects/{cloud.project}/secrets/{name}"
        self._cloud, self._name, self._labels = cloud, name, labels
        self._ledger, self._lifetime = ledger, lifetime

    async def open(self, account: str) -> None:
        """Make the secret, for the eyes of a service account.

        Raises:
            CallError: It cannot be made.
        """
        if self._ledger is not None:
            place = Resource(kind=KIND, id=self._name, region=None, run=self._ledger.run)
            await self._ledger.intend([place])
        parent = f"projects/{self._cloud.project}/secrets"
        body = {
            "labels": dict(self._labels),
            "replication": {"userManaged": {"replicas": [{"location": self._cloud.region}]}},
            "ttl": f"{int(self._lifetime) + AFTERLIFE}s",
        }
        try:
            await self._cloud.call("secretmanager", "POST", parent, body, secretId=self._name)
        except CallError as error:
            if error.status != 409:  # from a first try whose answer was lost
                raise
        reader = {
            "role": "roles/secretmanager.secretAccessor",
            "members": [f"serviceAccount:{account}"],
        }
        policy: dict[str, Any] = {"policy": {"bindings": [reader]}}
        await self._cloud.call("secretmanager", "POST", f"{self.path}:setIamPolicy", policy)

    async def publish(self, documents: Mapping[str, str]) -> None:
        """Add documents; they are there for members when this returns."""
        for text in pack(documents):
            await self.add(text)

    async def add(self, text: str) -> None:
        """Add a version."""
        body = {"payload": {"data": base64.b64encode(text.encode()).decode()}}
        await self._cloud.call("secretmanager", "POST", f"{self.path}:addVersion", body)


def pack(documents: Mapping[str, str]) -> list[str]:
    """Return documents as texts that each fit into a version; the reader does the reverse."""
    text = base64.b64encode(zlib.compress(json.dumps(dict(documents)).encode(), 9)).decode()
    parts = [text[start : start + LARGEST] for start in range(0, len(text), LARGEST)]
    return [f"{number}/{len(parts)}\n{part}" for number, part in enumerate(parts, 1)]


async def delete_secret(cloud: Cloud, name: str) -> None:
    """Delete a secret with all its versions; one that is gone is no error."""
    path = f"projects/{cloud.project}/secrets/{name}"
    await gone(lambda: cloud.call("secretmanager", "DELETE", path))
