"""A proxy in front of the API server that counts what is asked, and answers some of it wrongly."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlparse

import urllib3

#: Decides about a request: a status and headers to answer with, or a document to stream; None lets it pass.
Fault = Callable[[str, str], "tuple[int, dict[str, str]] | dict[str, Any] | None"]


class FaultProxy:
    """Listens on this machine, without TLS, and passes on what is asked, as a context manager.

    Args:
        server: URL of the API server.
        ca: File of its authority.

    Attributes:
        url: Of the proxy.
        fault: Decides about each request, by method and path with its query.
        seen: Method and path of each request.
    """

    def __init__(self, server: str, ca: str) -> None:
        self.fault: Fault = lambda method, path: None
        self.seen: list[tuple[str, str]] = []
        pool = urllib3.PoolManager(ca_certs=ca, maxsize=32)
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

            def pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                proxy.seen.append((self.command, urlparse(self.path).path))
                fault = proxy.fault(self.command, self.path)
                if isinstance(fault, dict):
                    self.answer(200, {}, [json.dumps(fault).encode() + b"\n"])
                elif fault is not None:
                    status = {"kind": "Status", "message": "too many requests", "code": fault[0]}
                    self.answer(fault[0], fault[1], [json.dumps(status).encode()])
                else:
                    kept = ("authorization", "content-type", "accept")
                    headers = {k: v for k, v in self.headers.items() if k.lower() in kept}
                    found = pool.request(
                        self.command,
                        server + self.path,
                        body=body or None,
                        headers=headers,
                        preload_content=False,
                        retries=False,
                    )
                    more = {"Content-Type": found.headers.get("Content-Type", "text/plain")}
                    self.answer(found.status, more, found.stream(2**16))

            def answer(self, status: int, headers: dict[str, str], chunks: Any) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                try:
                    for chunk in chunks:
                        self.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
                        self.wfile.flush()
                    self.wfile.write(b"0\r\n\r\n")
                except OSError:
                    self.close_connection = True

            do_GET = do_POST = do_DELETE = do_PATCH = pass_on

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> FaultProxy:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *ignored: object) -> None:
        self._server.shutdown()
        self._server.server_close()
