"""A small S3 server in memory, fast enough that clients are what is measured; it prints its URL first.

One thread for each connection, no check of signatures or checksums, bodies read straight into place. It knows
objects (PUT, GET with ranges, HEAD, DELETE, If-None-Match), multipart uploads and listings, and answers 501 to
the rest.
"""

from __future__ import annotations

import itertools
import re
import socket
import threading
from email.utils import formatdate
from urllib.parse import parse_qs, unquote
from xml.sax.saxutils import escape

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_RANGE = re.compile(rb"\r\nrange: *bytes=(\d+)-(\d*)", re.IGNORECASE)
_KEPT = re.compile(rb"(\r\n(?:x-amz-meta-|x-amz-checksum-|content-type:)[^\r]*)", re.IGNORECASE)
_PIECE = 4 * 1024 * 1024


class Shelf:
    """All objects: key to bytes in one or more parts, and the headers that came with them."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[list[bytearray], bytes]] = {}
        self.uploads: dict[str, tuple[dict[int, bytearray], bytes]] = {}
        self.lock = threading.Lock()
        self.numbers = itertools.count()


class Connection(threading.Thread):
    """Requests of one client, one after the other."""

    def __init__(self, sock: socket.socket, shelf: Shelf) -> None:
        super().__init__(daemon=True)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock, self.shelf = sock, shelf
        self.buffer = b""

    def run(self) -> None:
        """Answer until the client goes away."""
        try:
            while head := self.read_head():
                self.answer(head, self.read_body(head))
        except OSError:
            pass
        finally:
            self.sock.close()

    def read_head(self) -> bytes:
        while b"\r\n\r\n" not in self.buffer:
            piece = self.sock.recv(65536)
            if not piece:
                return b""
            self.buffer += piece
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        return head

    def read_body(self, head: bytes) -> bytearray:
        found = _LENGTH.search(head)
        size = int(found[1]) if found else 0
        body = bytearray(size)
        have = min(size, len(self.buffer))
        body[:have], self.buffer = self.buffer[:have], self.buffer[have:]
        if have < size and b"100-continue" in head:
            self.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        view = memoryview(body)
        while have < size:
            read = self.sock.recv_into(view[have:])
            if not read:
                raise ConnectionError
            have += read
        return body

    def reply(self, status: str, body: bytes = b"", *headers: bytes) -> None:
        lines = [b"HTTP/1.1 " + status.encode(), b"Content-Length: %d" % len(body), *headers]
        self.sock.sendall(b"\r\n".join(lines) + b"\r\n\r\n" + body)

    def error(self, status: str, code: str) -> None:
        self.reply(
            status,
            f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode(),
            b"Content-Type: application/xml",
        )

    def answer(self, head: bytes, body: bytearray) -> None:
        method, target, _ = head.partition(b"\r\n")[0].decode().split(" ")
        path, _, query = target.partition("?")
        bucket, _, key = unquote(path.lstrip("/")).partition("/")
        asked = parse_qs(query, keep_blank_values=True)
        if b"aws-chunked" in head:
            self.error("501 Not Implemented", "NotImplemented")
        elif not key:
            self.list(bucket, asked) if method == "GET" else self.reply("200 OK")
        elif "uploads" in asked or "uploadId" in asked:
            self.multipart(method, f"{bucket}/{key}", asked, head, body)
        elif method == "PUT":
            self.put(f"{bucket}/{key}", [body], b"".join(_KEPT.findall(head)), head)
        elif method in ("GET", "HEAD"):
            self.get(f"{bucket}/{key}", head, with_body=method == "GET")
        elif method == "DELETE":
            self.shelf.objects.pop(f"{bucket}/{key}", None)
            self.reply("204 No Content")
        else:
            self.error("501 Not Implemented", "NotImplemented")

    def put(self, name: str, parts: list[bytearray], kept: bytes, head: bytes) -> None:
        with self.shelf.lock:
            free = name not in self.shelf.objects or b"if-none-match" not in head.lower()
            if free:
                self.shelf.objects[name] = (parts, kept)
        if not free:
            self.error("412 Precondition Failed", "PreconditionFailed")
        elif b"uploadId" in head.partition(b"\r\n")[0]:
            answer = (
                b'<CompleteMultipartUploadResult><ETag>"e"</ETag></CompleteMultipartUploadResult>'
            )
            self.reply("200 OK", answer, b"Content-Type: application/xml")
        else:
            self.reply("200 OK", b"", b'ETag: "e"')

    def get(self, name: str, head: bytes, *, with_body: bool) -> None:
        if name not in self.shelf.objects:
            return self.error("404 Not Found", "NoSuchKey")
        parts, kept = self.shelf.objects[name]
        size = sum(len(part) for part in parts)
        start, end, status, extra = 0, size, b"200 OK", b""
        if found := _RANGE.search(head):
            start, end = int(found[1]), min(int(found[2] or size) + 1, size)
            status = b"206 Partial Content"
            extra = b"\r\nContent-Range: bytes %d-%d/%d" % (start, end - 1, size)
        answer = (
            b'HTTP/1.1 %b\r\nContent-Length: %d\r\nETag: "e"\r\nAccept-Ranges: bytes\r\n'
            b"Last-Modified: %b%b%b\r\n\r\n"
            % (status, end - start, formatdate(0, usegmt=True).encode(), extra, kept)
        )
        if not with_body or (len(parts) == 1 and end - start < 65536):
            return self.sock.sendall(answer + parts[0][start:end] if with_body else answer)
        self.sock.sendall(answer)
        for part in parts:
            for at in range(max(start, 0), min(end, len(part)), _PIECE):
                self.sock.sendall(memoryview(part)[at : min(at + _PIECE, end)])
            start, end = start - len(part), end - len(part)

    def multipart(
        self, method: str, name: str, asked: dict[str, list[str]], head: bytes, body: bytearray
    ) -> None:
        uploads = self.shelf.uploads
        if "uploads" in asked:
            upload = f"u{next(self.shelf.numbers)}"
            uploads[upload] = ({}, b"".join(_KEPT.findall(head)))
            root = "InitiateMultipartUploadResult"
            answer = f"<{root}><UploadId>{upload}</UploadId></{root}>"
            return self.reply("200 OK", answer.encode(), b"Content-Type: application/xml")
        upload = asked["uploadId"][0]
        if method == "PUT":
            uploads[upload][0][int(asked["partNumber"][0])] = body
            return self.reply("200 OK", b"", b'ETag: "e"')
        parts, kept = uploads.pop(upload)
        if method == "DELETE":
            return self.reply("204 No Content")
        self.put(name, [parts[number] for number in sorted(parts)], kept, head)

    def list(self, bucket: str, asked: dict[str, list[str]]) -> None:
        start = f"{bucket}/{asked.get('prefix', [''])[0]}"
        rows = "".join(
            f"<Contents><Key>{escape(name.partition('/')[2])}</Key>"
            f"<Size>{sum(len(part) for part in parts)}</Size><ETag>e</ETag>"
            "<LastModified>2026-01-01T00:00:00Z</LastModified></Contents>"
            for name, (parts, _) in sorted(self.shelf.objects.items())
            if name.startswith(start)
        )
        answer = (
            f"<ListBucketResult><IsTruncated>false</IsTruncated><Name>{bucket}</Name>"
            f"<Prefix></Prefix><MaxKeys>1000</MaxKeys>{rows}</ListBucketResult>"
        )
        self.reply("200 OK", answer.encode(), b"Content-Type: application/xml")


def main() -> None:
    """Serve on a free port of loopback until killed."""
    shelf = Shelf()
    with socket.create_server(("127.0.0.1", 0), backlog=512) as server:
        print(f"http://127.0.0.1:{server.getsockname()[1]}", flush=True)
        while True:
            Connection(server.accept()[0], shelf).start()


if __name__ == "__main__":
    main()
