"""A small Cloud Storage in memory, fast enough that clients are what is measured; it prints its URL first.

Connections are those of `small_s3`. It knows objects (multipart and resumable uploads, GET with ranges,
metadata, DELETE, ifGenerationMatch=0) and computes their checksums, as the service does; it lists nothing.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
import socket
import threading
from urllib.parse import parse_qs, unquote

import google_crc32c
from small_s3 import _PIECE, _RANGE, Connection

_SPAN = re.compile(rb"\r\ncontent-range: *bytes (\*|\d+)(?:-\d+)?/(\d+)", re.IGNORECASE)
_OBJECT = re.compile(r"/(?:upload/|download/)?storage/v1/b/([^/]+)/o/?(.*)")


class Shelf:
    """All objects by name, each with its bytes, and unfinished uploads."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[list[bytes | bytearray], dict]] = {}
        self.uploads: dict[str, tuple[str, dict, list[bytes | bytearray]]] = {}
        self.lock = threading.Lock()
        self.numbers = itertools.count(1)


class GcsConnection(Connection):
    """Requests of one client in the JSON of Cloud Storage."""

    def answer(self, head: bytes, body: bytearray) -> None:
        method, target, _ = head.partition(b"\r\n")[0].decode().split(" ")
        path, _, query = target.partition("?")
        found = _OBJECT.fullmatch(path)
        asked = parse_qs(query)
        if found is None:
            self.reply("501 Not Implemented")
        elif "upload_id" in asked:
            self.resume(method, asked["upload_id"][0], head, body)
        elif method == "POST":
            self.insert(asked, target, head, body)
        elif method == "GET":
            name = unquote(found[2])
            if name not in self.shelf.objects:
                self.reply("404 Not Found")
            elif asked.get("alt") == ["media"]:
                self.media(name, head)
            else:
                parts, resource = self.shelf.objects[name]
                if "md5Hash" not in resource:  # few want it, and it is dear
                    md5 = hashlib.md5()
                    for part in parts:
                        md5.update(part)
                    resource["md5Hash"] = base64.b64encode(md5.digest()).decode()
                self.tell(resource)
        elif method == "DELETE":
            self.shelf.objects.pop(unquote(found[2]), None)
            self.reply("204 No Content")
        else:
            self.reply("501 Not Implemented")

    def tell(self, resource: dict) -> None:
        self.reply("200 OK", json.dumps(resource).encode(), b"Content-Type: application/json")

    def insert(self, asked: dict, target: str, head: bytes, body: bytearray) -> None:
        if asked["uploadType"] == ["resumable"]:
            sent = json.loads(body)
            upload = f"u{next(self.shelf.numbers)}"
            self.shelf.uploads[upload] = (sent["name"], asked, [])
            host = re.search(rb"(?i)\r\nhost: *([^\r]+)", head)[1]
            place = b"http://%b%b&upload_id=%b" % (host, target.encode(), upload.encode())
            return self.reply("200 OK", b"", b"Location: " + place)
        boundary = re.search(rb'boundary="?([^";\r\n]+)', head)[1]
        _, meta, data, _ = bytes(body).split(b"--" + boundary)
        meta = meta.partition(b"{")[1:]
        data = data.lstrip(b"\r\n").split(b"\n", 1)[1].lstrip(b"\r\n")
        sent = json.loads(b"".join(meta))
        data = data[:-2] if data.endswith(b"\r\n") else data[:-1]
        return self.put(sent["name"], asked, [data])

    def put(self, name: str, asked: dict, parts: list[bytes | bytearray]) -> None:
        crc32c = 0
        for part in parts:
            for at in range(0, len(part), _PIECE):
                crc32c = google_crc32c.extend(crc32c, bytes(memoryview(part)[at : at + _PIECE]))
        crc32c = base64.b64encode(crc32c.to_bytes(4, "big")).decode()
        size = sum(len(part) for part in parts)
        resource = {
            "kind": "storage#object", "name": name, "bucket": "bucket", "size": str(size),
            "generation": str(next(self.shelf.numbers)), "metageneration": "1", "crc32c": crc32c,
            "timeCreated": "2026-01-01T00:00:00.000Z", "updated": "2026-01-01T00:00:00.000Z",
        }  # fmt: skip
        with self.shelf.lock:
            free = name not in self.shelf.objects or asked.get("ifGenerationMatch") != ["0"]
            if free:
                self.shelf.objects[name] = (parts, resource)
        self.tell(resource) if free else self.reply("412 Precondition Failed")

    def resume(self, method: str, upload: str, head: bytes, body: bytearray) -> None:
        name, asked, kept = self.shelf.uploads[upload]
        if method == "DELETE":
            del self.shelf.uploads[upload]
            return self.reply("499 Gone")
        total = int(_SPAN.search(head)[2])
        kept.append(body)
        size = sum(len(part) for part in kept)
        if size < total:
            return self.reply("308 Resume Incomplete", b"", b"Range: bytes=0-%d" % (size - 1))
        del self.shelf.uploads[upload]
        return self.put(name, asked, kept)

    def media(self, name: str, head: bytes) -> None:
        parts, resource = self.shelf.objects[name]
        size = int(resource["size"])
        start, end, status, extra = 0, size, b"200 OK", b""
        if found := _RANGE.search(head):
            start, end = int(found[1]), min(int(found[2] or end) + 1, end)
            status = b"206 Partial Content"
            extra = b"\r\nContent-Range: bytes %d-%d/%d" % (start, end - 1, size)
        answer = (
            b"HTTP/1.1 %b\r\nContent-Length: %d\r\nContent-Type: application/octet-stream\r\n"
            b"x-goog-generation: %b\r\nx-goog-hash: crc32c=%b%b\r\n\r\n"
            % (
                status,
                end - start,
                resource["generation"].encode(),
                resource["crc32c"].encode(),
                extra,
            )
        )
        if len(parts) == 1 and end - start < 65536:
            return self.sock.sendall(answer + parts[0][start:end])
        self.sock.sendall(answer)
        for part in parts:
            for at in range(max(start, 0), min(end, len(part)), _PIECE):
                self.sock.sendall(memoryview(part)[at : min(at + _PIECE, end)])
            start, end = start - len(part), end - len(part)


def main() -> None:
    """Serve on a free port of loopback until killed."""
    shelf = Shelf()
    with socket.create_server(("127.0.0.1", 0), backlog=512) as server:
        print(f"http://127.0.0.1:{server.getsockname()[1]}", flush=True)
        while True:
            GcsConnection(server.accept()[0], shelf).start()


if __name__ == "__main__":
    main()
