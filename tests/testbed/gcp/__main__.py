"""Serves the local Google Cloud, ``python tests/testbed/gcp --folder FOLDER``; prints what to export."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from instances import Host, settings
from server import Server
from services import PROJECT, World

from scalable_core.testing import Hive


def _key(folder: Path, url: str) -> Path:
    """Write the key of a service account whose tokens come from here."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    private = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = folder / "key.json"
    key = {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": "1",
        "private_key": private.decode(),
        "client_email": f"driver@{PROJECT}.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": f"{url}/token",
    }
    path.write_text(json.dumps(key))
    return path


async def main() -> None:
    """Serve until told to end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--hive", action="store_true", help="all members in one process")
    parser.add_argument("--apart", action="store_true", help="a group of users for each instance")
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    environment = {
        name: value
        for name, value in os.environ.items()
        if name == "STORAGE_EMULATOR_HOST" or name.startswith("DASK_")
    }
    hive = Hive(folder / "hive.log") if arguments.hive else None
    network = 16 + os.getpid() % 80
    host = Host(folder, environment, network, hive=hive, apart=arguments.apart)
    world = World(host)
    server = Server(world)
    await server.start(arguments.port)
    host._environment.update(settings(server.url))
    exported = {
        **settings(server.url),
        "GOOGLE_APPLICATION_CREDENTIALS": str(_key(folder, server.url)),
        "GOOGLE_CLOUD_PROJECT": PROJECT,
        "SCALABLE_IAP_ROOT": f"{server.url}/iap",
        "GCE_METADATA_HOST": "127.0.0.1:9",
        "NO_GCE_CHECK": "true",
    }
    print(json.dumps({"url": server.url, "environment": exported}), flush=True)
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    await over.wait()
    await world.close()
    if hive is not None:
        hive.close()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    asyncio.run(main())
