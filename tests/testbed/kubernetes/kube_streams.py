"""What the API server asks of a node: logs, and connections to ports of pods through a web socket."""

from __future__ import annotations

import base64
import hashlib
import http.server
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlparse

PROTOCOL = "v4.channel.k8s.io"
MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
BINARY, CLOSE, PING, PONG = 2, 8, 9, 10


def serve_streams(find: Callable[[str, str], Any], cert: str, key: str) -> int:
    """Serve in a thread and return the port.

    Args:
        find: Returns the pod of a namespace and name.
        cert: File of the certificate.
        key: File of its key.
    """

    class Handler(_Handler):
        pods = staticmethod(find)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


class _Handler(http.server.BaseHTTPRequestHandler):
    pods: Callable[[str, str], Any]

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        url = urlparse(self.path)
        kind, namespace, name, *_ = [*url.path.strip("/").split("/"), "", "", ""]
        query = {key: values[-1] for key, values in parse_qs(url.query).items()}
        pod = self.pods(namespace, name)
        if pod is None:
            self.send_error(404)
        elif kind == "containerLogs":
            self._logs(pod, query)
        elif kind == "portForward":
            self._forward(pod, int(query["port"]))
        else:
            self.send_error(404)

    def _logs(self, pod: Any, query: dict[str, str]) -> None:
        self.send_response(200)
        self.end_headers()
        if not pod.log.exists():
            return
        stamps = query.get("timestamps") == "true"
        with pod.log.open("rb") as file:
            lines = file.readlines()
            if "tailLines" in query:
                lines = lines[-int(query["tailLines"]) :]
            self._write(lines, stamps)
            while query.get("follow") == "true" and pod.process and pod.process.poll() is None:
                self._write(file.readlines(), stamps)
                time.sleep(0.2)
            self._write(file.readlines(), stamps)

    def _write(self, lines: list[bytes], stamps: bool) -> None:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000000000Z ", time.gmtime()).encode()
        self.wfile.write(b"".join(stamp * stamps + line for line in lines))
        self.wfile.flush()

    def _forward(self, pod: Any, port: int) -> None:
        key = self.headers["Sec-WebSocket-Key"] + MAGIC
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", accept)
        self.send_header("Sec-WebSocket-Protocol", PROTOCOL)
        self.end_headers()
        turn = threading.Lock()
        for channel in (0, 1):
            self._send(turn, bytes([channel]) + struct.pack("<H", port))
        try:
            far = socket.create_connection((pod.address, port), timeout=10)
        except OSError as error:
            self._send(turn, b"\x01" + f"error forwarding port {port}: {error}".encode())
            self.close_connection = True
            return
        far.settimeout(None)
        threading.Thread(target=self._answers, args=(turn, far), daemon=True).start()
        try:
            while True:
                code, data = self._receive()
                if code == BINARY and data[:1] == b"\x00":
                    far.sendall(data[1:])
                elif code == PING:
                    self._send(turn, data, PONG)
                elif code == CLOSE:
                    break
        except OSError:
            pass
        far.close()
        self.close_connection = True

    def _answers(self, turn: threading.Lock, far: socket.socket) -> None:
        try:
            while data := far.recv(2**16):
                self._send(turn, b"\x00" + data)
            self._send(turn, b"", CLOSE)
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def _send(self, turn: threading.Lock, data: bytes, code: int = BINARY) -> None:
        head = bytes([0x80 | code])
        if len(data) < 126:
            head += bytes([len(data)])
        elif len(data) < 2**16:
            head += b"\x7e" + struct.pack(">H", len(data))
        else:
            head += b"\x7f" + struct.pack(">Q", len(data))
        with turn:
            self.wfile.write(head + data)
            self.wfile.flush()

    def _receive(self) -> tuple[int, bytes]:
        first, second = self._exactly(2)
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack(">H", self._exactly(2))
        elif size == 127:
            (size,) = struct.unpack(">Q", self._exactly(8))
        mask = self._exactly(4) if second & 0x80 else b"\x00" * 4
        data = self._exactly(size)
        mask = (mask * (size // 4 + 1))[:size]
        whole = int.from_bytes(data, "big") ^ int.from_bytes(mask, "big")
        return first & 0x0F, whole.to_bytes(size, "big")

    def _exactly(self, size: int) -> bytes:
        data = self.rfile.read(size)
        if len(data) < size:
            raise ConnectionError("the other end has gone")
        return data
