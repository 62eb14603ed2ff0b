"""The registry of ECR under its own name: behind a proxy, with TLS, for whoever has a token and may read."""

from __future__ import annotations

import base64
import http.server
import re
import ssl
import subprocess
import threading
from pathlib import Path
from typing import Any

from aws.testbed import Testbed

from aws import registry

_PULL = re.compile(r"/v2/(?P<repository>.+)/(?P<kind>manifests|blobs)/[^/]+")
#: What ECR asks IAM when its registry is asked for something.
_ACTIONS = {"manifests": "BatchGetImage", "blobs": "GetDownloadUrlForLayer"}


class Ecr(http.server.ThreadingHTTPServer):
    """A registry that has every image, as a context manager.

    Args:
        folder: For its certificate.
        bed: The local AWS that gives the tokens.
        host: The registry's name.

    Attributes:
        asked: Path and ``Authorization`` of each request.
        environment: With which a program finds it.
    """

    daemon_threads = True

    def __init__(self, folder: Path, bed: Testbed, host: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        key, cert = folder / "ecr-key.pem", folder / "ecr-cert.pem"
        words = f"openssl req -x509 -newkey rsa:2048 -nodes -keyout {key} -out {cert} -days 2"
        names = ["-subj", f"/CN={host[:60]}", "-addext", f"subjectAltName=DNS:{host}"]
        subprocess.run([*words.split(), *names], check=True, capture_output=True)
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(cert, key)
        self.bed, self.region = bed, host.split(".")[3]
        self.asked: list[tuple[str, str]] = []
        self.environment = {
            "HTTPS_PROXY": f"http://127.0.0.1:{self.server_port}",
            "NO_PROXY": "127.0.0.1",
            "SSL_CERT_FILE": str(cert),
        }
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,))

    def __enter__(self) -> Ecr:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()

    def lacks(self, path: str, user: str) -> bool:
        """Whether the policy of who has a token does not allow to read."""
        asked = _PULL.fullmatch(path)
        if asked is None:
            return False
        order = {"key": user, "region": self.region, "repository": asked["repository"]}
        return bool(self.bed.tell("pull", {**order, "action": _ACTIONS[asked["kind"]]}))


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Ecr

    def do_CONNECT(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.connection = self.server.tls.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb")
        self.close_connection = False

    def do_GET(self) -> None:
        said = self.headers.get("Authorization", "")
        self.server.asked.append((self.path, said))
        name, _, user = base64.b64decode(said.removeprefix("Basic ")).decode().partition(":")
        status, headers, body = "401 no", [("WWW-Authenticate", 'Basic realm="ecr"')], b""
        headers.append(("Content-Length", "0"))
        if name == "AWS" and self.server.lacks(self.path, user):
            status = "403 no"
        elif name == "AWS":

            def start(line: str, head: Any) -> None:
                nonlocal status, headers
                status, headers = line, head

            (body,) = registry.answer(self.path, start)
        self.send_response(int(status.split()[0]))
        for each in headers:
            self.send_header(*each)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *words: Any) -> None:
        pass
