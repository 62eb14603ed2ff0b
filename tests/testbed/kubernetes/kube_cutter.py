"""A way to the API server that breaks: what goes through is not touched, until all of it is cut off at once."""

from __future__ import annotations

import contextlib
import socket
import threading
from urllib.parse import urlparse


class Cutter:
    """Listens on this machine and passes bytes on, as a context manager.

    Args:
        server: URL of where they go.

    Attributes:
        url: Of this way.
        cuts: Connections that were cut so far.
    """

    def __init__(self, server: str) -> None:
        place = urlparse(server)
        self._target = (place.hostname, place.port)
        self._server = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"{place.scheme}://127.0.0.1:{self._server.getsockname()[1]}"
        self.cuts = 0
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._lock = threading.Lock()

    def cut(self) -> None:
        """End all connections in the middle of whatever they carry."""
        with self._lock:
            pairs, self._pairs = self._pairs, set()
        for pair in pairs:
            self.cuts += 1
            for each in pair:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Cutter:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *ignored: object) -> None:
        self._server.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self._target, timeout=10)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            with self._lock:
                self._pairs.add((near, far))
            for ends in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(*ends, (near, far)), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, pair: tuple) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(2**16):
                sink.sendall(data)
        for each in pair:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._pairs.discard(pair)
