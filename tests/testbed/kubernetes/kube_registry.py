"""A registry on this machine that has one image, under every name."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from typing import Any

_KIND = "application/vnd.oci.image."
_CONFIG = json.dumps({"architecture": "amd64", "os": "linux", "config": {}}).encode()


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


_MANIFEST = json.dumps({
    "schemaVersion": 2, "mediaType": f"{_KIND}manifest.v1+json", "layers": [],
    "config": {"mediaType": f"{_KIND}config.v1+json", "digest": _digest(_CONFIG), "size": len(_CONFIG)},
}).encode()  # fmt: skip


class _Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Give the image's parts."""
        body = _CONFIG if "/blobs/" in self.path else _MANIFEST
        self.send_response(200)
        self.send_header("Content-Type", f"{_KIND}manifest.v1+json")
        self.send_header("Docker-Content-Digest", _digest(body))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET


class Registry:
    """Listens on this machine, as a context manager that gives an image's name."""

    def __init__(self) -> None:
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)

    def __enter__(self) -> str:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return f"127.0.0.1:{self._server.server_address[1]}/solar:1.0"

    def __exit__(self, *ignored: object) -> None:
        self._server.shutdown()
        self._server.server_close()
