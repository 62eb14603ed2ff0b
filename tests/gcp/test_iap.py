"""The tunnel of IAP: bytes through it, whatever happens to its websockets."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable

import pytest

from scalable_core.errors import ClusterError
from scalable_gcp import client, iap, requests
from scalable_gcp.cloud import Cloud
from scalable_gcp.iap import Tunnel
from scalable_gcp.options import CloudRunOptions

pytestmark = pytest.mark.timeout(120)
ECHO = """
import asyncio, urllib.request, os
url = f"http://{os.environ['GCE_METADATA_HOST']}/computeMetadata/v1/instance/network-interfaces/0/ip"
request = urllib.request.Request(url, headers={"Metadata-Flavor": "Google"})
host = urllib.request.urlopen(request).read().decode()

async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()

async def main():
    server = await asyncio.start_server(echo, host, 8786)
    await server.serve_forever()

asyncio.run(main())
"""
PLACE = {
    "network": "projects/study-project/global/networks/default",
    "subnetwork": "projects/study-project/regions/us-central1/subnetworks/default",
}


def machine(*, rule: bool = True) -> None:
    """Make a machine that gives back what it gets, and a rule that lets IAP reach it."""
    body = requests.machine(
        "python:3.12",
        "echo",
        CloudRunOptions(region="us-central1", image="python:3.12"),
        name="echo",
        tag="echo",
        zone="us-central1-a",
        program=ECHO,
        words=[],
        secrets=["projects/study-project/secrets/none"],
        labels={},
        account="1-compute@developer.gserviceaccount.com",
        lifetime=600,
        **PLACE,
    )

    async def make() -> None:
        cloud = Cloud("study-project", "us-central1")
        parent = "projects/study-project/zones/us-central1-a/instances"
        if rule:
            made = requests.firewall_rule(
                "echo", PLACE["network"], "d", [requests.IAP_RANGE], ["8786"], tag="echo"
            )
            path = "projects/study-project/global/firewalls"
            await cloud.finish("compute", await cloud.call("compute", "POST", path, made))
        await cloud.finish("compute", await cloud.call("compute", "POST", parent, body))

    client.run(make())


async def connected(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect through a tunnel, once what is at its other end answers."""
    for _ in range(100):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"?")
        if await reader.read(1) == b"?":
            return reader, writer
        writer.close()
        await asyncio.sleep(0.2)
    raise AssertionError("nobody answers")


async def through(port: int, data: bytes, meanwhile: Callable[[int], Awaitable[None]]) -> bytes:
    """Send bytes through a connection of the tunnel, and return what comes back."""
    reader, writer = await connected(port)
    digest, count = hashlib.sha256(), 0

    async def send() -> None:
        for start in range(0, len(data), 65536):
            writer.write(data[start : start + 65536])
            await writer.drain()

    sending = asyncio.ensure_future(send())
    while count < len(data):
        piece = await asyncio.wait_for(reader.read(262144), 60)
        assert piece, f"the tunnel ended after {count} bytes"
        digest.update(piece)
        count += len(piece)
        await meanwhile(count)
    await sending
    writer.close()
    return digest.digest()


async def nothing(count: int) -> None:
    """Let it go on."""


@pytest.mark.parametrize("cuts", [0, 3])
def test_bytes_arrive_whole_and_in_order_however_often_it_breaks(google, monkeypatch, cuts):
    """Sixteen MiB both ways at once; a broken websocket is taken up again where it broke."""
    monkeypatch.setattr(iap, "PAUSE", 0.05)
    machine()
    data = os.urandom(2**24)
    places = [len(data) * (n + 1) // (cuts + 1) for n in range(cuts)]

    async def cut(count: int) -> None:
        if places and count >= places[0]:
            places.pop(0)
            await asyncio.to_thread(google.tell, "cut")

    async def work() -> bytes:
        tunnel = Tunnel("study-project", "us-central1-a", "echo", 8786)
        port = await tunnel.open()
        try:
            return await through(port, data, cut if cuts else nothing)
        finally:
            await tunnel.close()

    assert asyncio.run(work()) == hashlib.sha256(data).digest()
    assert not places


def test_connections_do_not_disturb_each_other(google):
    """Several at one time, each with its own bytes."""
    machine()

    async def work() -> list[bytes]:
        tunnel = Tunnel("study-project", "us-central1-a", "echo", 8786)
        port = await tunnel.open()
        try:
            await connected(port)
            return await asyncio.gather(
                *(through(port, bytes([n]) * 2**18, nothing) for n in range(5))
            )
        finally:
            await tunnel.close()

    assert asyncio.run(work()) == [hashlib.sha256(bytes([n]) * 2**18).digest() for n in range(5)]


def test_a_refusal_is_one_sentence_with_the_role_that_lets_in(google):
    """Where no rule lets IAP reach the machine."""
    machine(rule=False)
    tunnel = Tunnel("study-project", "us-central1-a", "echo", 8786)

    async def work() -> None:
        try:
            await tunnel.open()
        finally:
            await tunnel.close()

    with pytest.raises(
        ClusterError, match="IAP does not let this machine through to echo: 403"
    ) as e:
        asyncio.run(work())
    assert "roles/iap.tunnelResourceAccessor" in (e.value.cure or "")


def test_a_connection_ends_when_nobody_listens_there(google):
    """At once, and not after many tries."""
    machine()
    google.tell("kill", id="echo")

    async def work() -> bytes:
        tunnel = Tunnel("study-project", "us-central1-a", "echo", 8786)
        port = await tunnel.open()
        try:
            reader, _ = await asyncio.open_connection("127.0.0.1", port)
            return await asyncio.wait_for(reader.read(1), 30)
        finally:
            await tunnel.close()

    assert asyncio.run(work()) == b""
