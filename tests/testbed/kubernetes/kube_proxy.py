"""Stands in for kube-proxy: whoever connects to a service's address reaches a pod that its selector matches.

Usage: kube_proxy.py '{"server": ..., "ca": ..., "token": ...}'
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import threading
from typing import Any
from urllib.parse import quote

from kube_api import Api


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until the end."""
    with contextlib.suppress(OSError):
        while data := await reader.read(2**16):
            writer.write(data)
            await writer.drain()
    writer.close()


class Proxy:
    """Listens on the address of each service."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._servers: dict[str, list[asyncio.Server]] = {}

    async def change(self, kind: str, service: dict[str, Any]) -> None:
        """Open or close the ports of a service."""
        uid, spec = service["metadata"]["uid"], service["spec"]
        if kind == "DELETED":
            for server in self._servers.pop(uid, []):
                server.close()
        elif uid not in self._servers and spec.get("selector") and spec["clusterIP"] != "None":
            self._servers[uid] = []
            for port in spec["ports"]:

                async def serve(reader: Any, writer: Any, port: Any = port) -> None:
                    await self._serve(service, port["targetPort"], reader, writer)

                server = await asyncio.start_server(serve, spec["clusterIP"], port["port"])
                self._servers[uid].append(server)

    async def _serve(self, service: dict[str, Any], port: int, reader: Any, writer: Any) -> None:
        address = await asyncio.to_thread(self._endpoint, service)
        try:
            near, far = await asyncio.open_connection(address, port)
        except (OSError, TypeError):
            writer.close()
            return
        await asyncio.gather(carry(reader, far), carry(near, writer))

    def _endpoint(self, service: dict[str, Any]) -> str | None:
        selector = ",".join(f"{k}={v}" for k, v in service["spec"]["selector"].items())
        path = f"/api/v1/namespaces/{service['metadata']['namespace']}/pods"
        _, pods = self._api.ask("GET", f"{path}?labelSelector={quote(selector)}")
        running = [p for p in pods["items"] if p["status"]["phase"] == "Running"]
        return running[0]["status"]["podIP"] if running else None


async def main() -> None:
    """Follow the services."""
    api = Api(**json.loads(sys.argv[1]))
    proxy, loop = Proxy(api), asyncio.get_running_loop()

    def follow() -> None:
        for kind, service in api.watch("/api/v1/services"):
            asyncio.run_coroutine_threadsafe(proxy.change(kind, service), loop).result()

    threading.Thread(target=follow, daemon=True).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
