"""How this machine reaches the scheduler: from inside its network, at a public address, or through IAP."""

from __future__ import annotations

import asyncio
import os
import urllib.request
from collections.abc import Mapping
from typing import Any

from scalable_core.errors import ClusterError
from scalable_gcp import requests
from scalable_gcp.cloud import Cloud
from scalable_gcp.iap import Tunnel
from scalable_gcp.network import Network

#: Seconds for the metadata server, which answers at once where there is one.
_METADATA = 1.0


class WayIn:
    """The way from here to a machine.

    Args:
        cloud: Where.
        network: Of the machine.
        public: It has a public address, and a rule lets this machine in.
    """

    def __init__(self, cloud: Cloud, network: Network, *, public: bool) -> None:
        self._cloud, self._network, self._public = cloud, network, public
        self._tunnels: list[Tunnel] = []

    async def to(self, machine: Mapping[str, Any], port: int) -> tuple[str, int]:
        """Return host and port by which this process reaches a port of a machine.

        Raises:
            ClusterError: It should have a public address, and has none.
        """
        if await asyncio.to_thread(own_network) == self._network.network.rpartition("/")[2]:
            return str(machine["networkInterfaces"][0]["networkIP"]), port
        if self._public:
            address = requests.public_address(machine)
            if address is None:
                raise ClusterError(
                    "the scheduler's machine has no public address, though it was asked for with one",
                    cure="leave out public: the way then leads through IAP",
                )
            return address, port
        zone = str(machine["zone"]).rpartition("/")[2]
        tunnel = Tunnel(self._cloud.project, zone, str(machine["name"]), port)
        self._tunnels.append(tunnel)
        return "127.0.0.1", await tunnel.open()

    async def close(self) -> None:
        """End all tunnels."""
        for tunnel in self._tunnels:
            await tunnel.close()


def own_network() -> str | None:
    """Return the name of the network of Google Cloud that this machine is in; None when it is elsewhere."""
    server = os.environ.get("GCE_METADATA_HOST", "metadata.google.internal")
    request = urllib.request.Request(
        f"http://{server}/computeMetadata/v1/instance/network-interfaces/0/network",
        headers={"Metadata-Flavor": "Google"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=_METADATA) as answer:
            return str(answer.read().decode()).rpartition("/")[2]
    except (OSError, ValueError):
        return None
