"""Cloud Storage for tests: gcp-storage-emulator, made to keep its word where the real service does.

    python storage.py        prints the URL it serves, and serves until it is killed

On top of the emulator: many connections at once, kept alive; conditions on generations; listings by page; a
resumable upload keeps what has arrived when its connection breaks, can be asked and can be dropped; names are
kept as they are; refusals say what the service says; what it says is packed for those who unpack.
`/__sim__/...` plants faults and tells what was asked:

    fault    what to do to the next requests: `times` (1), after `skip` (0), of those with the `method`, with
             `path` in their address and with headers that start as in `match`:
             `status` refuse so; `lose` do it, and hang up without an answer; `alter` flip a bit of the answer;
             `checksum` tell this CRC-32C; `cut` end the answer after so many bytes; `damage` flip a bit on the
             way in; `keep` keep no more than so many bytes of a resumable upload, then `stall` read no more for
             so many seconds, or `cut` the connection; `pace` rest so many seconds after each piece of one;
             `early` give the `status` before an upload has been read
    log      all requests since the start, as [method, address, status]; 0 for those that got no answer
    uploads  resumable uploads that are not finished, as [id, bytes kept]
    tokens   accept these alone; any when there are none
    reset    forget objects, faults, tokens and log
"""

from __future__ import annotations

import base64
import gzip
import http.server
import json
import re
import sys
import threading
import time
import urllib.parse
from functools import partial
from http import HTTPStatus

from gcp_storage_emulator import server
from gcp_storage_emulator.exceptions import NotFound
from gcp_storage_emulator.handlers import buckets, objects
from gcp_storage_emulator.storage import Storage

LOCK = threading.RLock()
FAULTS: list[dict] = []
LOG: list[tuple] = []
TOKENS: set[str] = set()
PIECE = 256 * 1024
PAGE = 50  # the service, too, may give fewer than it is asked for


class TruthfulStorage(Storage):
    """Keeps bytes under the very name of the object, and writes no index to disk with each change."""

    def _object_path(self, bucket_name: str, file_name: str) -> str:
        coded = base64.b32hexencode(file_name.encode()).decode().rstrip("=")
        return f"{bucket_name}/{coded or '-'}"

    def _write_config_to_file(self) -> None:
        pass

    def add_to_resumable_upload(self, file_id, content, total_size=None, expected_start=None):
        """Keep pieces in a buffer that grows, instead of writing all of it again for each."""
        kept = self.partial.setdefault(file_id, bytearray())
        if expected_start is not None and expected_start > len(kept):
            raise server.objects.BadRequest("a gap in the upload")
        del kept[expected_start or 0 :]
        kept += content or b""
        return bytes(kept) if total_size is not None and len(kept) >= total_size else None

    def get_resumable_byte_count(self, file_id) -> int:
        return len(self.partial.get(file_id, b""))

    def forget(self) -> None:
        self.wipe()
        self.partial: dict[str, bytearray] = {}
        self.finished: dict[str, dict] = {}
        buckets.create_bucket("bucket", self)


class Refused(Exception):
    """An answer that is no."""

    def __init__(self, status: int, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.reason = status, message, reason


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection; each request is judged, then handed to the emulator's own handlers."""

    protocol_version = "HTTP/1.1"
    wbufsize = 64 * 1024

    def __init__(self, storage: TruthfulStorage, *arguments) -> None:
        self.storage = storage
        super().__init__(*arguments)

    def log_message(self, *arguments) -> None:
        pass

    def do(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        self.query = urllib.parse.parse_qs(url.query, keep_blank_values=True)
        self.left = int(self.headers.get("Content-Length") or 0)
        self.status, self.fault = 0, {}
        try:
            if url.path.startswith("/__sim__/"):
                self.simulate(url.path.removeprefix("/__sim__/"))
                return
            self.fault = self.planted()
            if "upload_id" in self.query:
                self.resume()
                return
            if self.fault.get("status"):
                raise Refused(self.fault["status"], self.fault.get("message", "injected"))
            self.authorize()
            self.body = self.rfile.read(self.left)
            self.left = 0
            with LOCK:
                self.demand()
                self.emulate(url.path)
        except Refused as no:
            self.refuse(no)
        finally:
            if not self.status:
                self.note(0)
            self.wfile.flush()

    def note(self, status: int) -> None:
        """Keep in the log how a request was answered, before the answer leaves; 0 for none."""
        self.status = status
        if not self.path.startswith("/__sim__/"):
            LOG.append((self.command, self.path, status))

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do

    # What the service does by itself

    def authorize(self) -> None:
        if not TOKENS:
            return
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in TOKENS:
            raise Refused(401, "Invalid Credentials", "authError")

    def demand(self) -> None:
        """Judge the conditions of a request, and whether its bucket is there."""
        found = re.match(r"/(?:upload/)?storage/v1/b/([^/?]+)/o(?:/([^/?]*))?", self.path)
        if not found:
            return
        bucket, name = found[1], urllib.parse.unquote(found[2] or "")
        if bucket not in self.storage.buckets:
            raise Refused(404, "The specified bucket does not exist.", "notFound")
        if self.command == "POST" and not name:
            name = self.query.get("name", [""])[0] or self.sent_name()
        self.meet(bucket, name)
        if self.command in ("GET", "DELETE") and name:
            generation = self.generation(bucket, name)
            wanted = self.query.get("generation", [generation])[0]
            if not generation or wanted != generation:
                raise Refused(404, f"No such object: {bucket}/{name}", "notFound")

    def meet(self, bucket: str, name: str) -> None:
        wanted = self.query.get("ifGenerationMatch")
        if wanted and wanted[0] != (self.generation(bucket, name) or "0"):
            message = "At least one of the pre-conditions you specified did not hold."
            raise Refused(412, message, "conditionNotMet")

    def generation(self, bucket: str, name: str) -> str | None:
        try:
            return self.storage.get_file_obj(bucket, name)["generation"]
        except NotFound:
            return None

    def sent_name(self) -> str:
        kind = self.query.get("uploadType", [""])[0]
        if kind == "multipart":
            return json.loads(split(self.headers["Content-Type"], self.body)[0][1])["name"]
        return json.loads(self.body)["name"] if self.body else ""

    def resume(self) -> None:
        """A resumable upload: keep what comes, as it comes; tell what is kept; put together what is whole."""
        upload = self.query["upload_id"][0]
        span = self.headers.get("Content-Range", "")
        with LOCK:
            if upload in self.storage.finished and not self.fault.get("status"):
                self.rfile.read(self.left)
                self.left = 0
                self.answer(200, json.dumps(self.storage.finished[upload]).encode())
                return
            if upload not in self.storage.resumable:
                raise Refused(404, "there is no such upload")
            if self.command == "DELETE":
                del self.storage.resumable[upload]
                self.storage.partial.pop(upload, None)
                self.answer(499, b"")
                return
        if self.fault.get("early"):
            self.answer(self.fault["status"], b"")
            return
        start, total = re.fullmatch(r"bytes (\*|\d+)(?:-\d+)?/(\d+)", span).groups()
        at = None if start == "*" else int(start)
        if at is not None:
            self.keep(upload, at)
        if self.fault.get("status") and self.fault["status"] != 308:
            raise Refused(self.fault["status"], "injected")
        with LOCK:
            kept = bytes(self.storage.partial.get(upload, b""))
            if len(kept) < int(total):
                headers = {"Range": f"bytes=0-{len(kept) - 1}"} if kept else {}
                self.answer(308, b"", headers)
                return
            resource = self.storage.resumable[upload]
            self.meet(resource["bucket"], resource["name"])
            try:
                objects._checksums(kept, resource)
            except objects.Conflict as error:
                raise Refused(400, str(error), "invalid") from None
            resource["size"], resource["generation"] = str(len(kept)), str(time.time_ns())
            self.storage.create_file(resource["bucket"], resource["name"], kept, resource)
            self.storage.finished[upload] = resource
            del self.storage.resumable[upload], self.storage.partial[upload]
            if self.fault.get("lose"):
                self.hang_up()
            self.answer(200, json.dumps(resource).encode(), said=True)

    def keep(self, upload: str, at: int) -> None:
        """Take bytes off the line; a fault may lose those after the first so many, or the line itself."""
        least = self.fault.get("keep")
        while self.left:
            piece = self.rfile.read1(min(PIECE, self.left))
            if not piece:
                self.close_connection = True
                raise ConnectionResetError
            self.left -= len(piece)
            time.sleep(self.fault.get("pace", 0))
            if least is not None:
                piece = piece[: max(0, least)]
                least -= len(piece)
            with LOCK:
                if piece and upload in self.storage.resumable:
                    self.storage.add_to_resumable_upload(upload, piece, None, at)
                    at += len(piece)
            if least == 0:
                time.sleep(self.fault.get("stall", 0))
                if self.fault.get("cut"):
                    self.hang_up()

    def emulate(self, path: str) -> None:
        """Let the emulator answer, page its listings, and do to the answer what a fault asks for."""
        answer = Answer(self)
        request = Request(self)
        for pattern, methods in server.HANDLERS:
            if (match := re.fullmatch(pattern, path)) and self.command in methods:
                request.set_match(match)
                methods[self.command](request, answer, self.storage)
                break
        else:
            raise Refused(501, "the emulator has no such method")
        if answer.content_json is not None and "items" in answer.content_json:
            page(answer.content_json, self.query)
        headers, body = answer.headers, answer.body()
        if self.query.get("alt") == ["media"]:
            headers["x-goog-generation"] = self.generation(
                request.params["bucket_name"], request.params["object_id"]
            )
        if self.fault.get("checksum"):
            headers["X-Goog-Hash"] = f"crc32c={self.fault['checksum']}"
        if self.fault.get("alter"):
            body = body[:-1] + bytes([body[-1] ^ 1])
        if self.fault.get("lose"):
            self.hang_up()
        if "cut" in self.fault:
            self.answer(int(answer.status), body, headers, most=self.fault["cut"])
            self.hang_up()
        self.answer(int(answer.status), body, headers, said=answer.content_json is not None)

    # How answers leave

    def answer(
        self, status: int, body: bytes, headers=(), most: int | None = None, said: bool = False
    ) -> None:
        self.note(status)
        headers = dict(headers)
        if said and "gzip" in self.headers.get("Accept-Encoding", ""):
            headers["Content-Encoding"], body = "gzip", gzip.compress(body)
        self.send_response(status, {308: "Resume Incomplete", 499: "Gone"}.get(status))
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        if self.left:
            self.close_connection = True
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body[:most])

    def refuse(self, no: Refused) -> None:
        while self.left and (piece := self.rfile.read(min(PIECE, self.left))):
            self.left -= len(piece)
        error = {"code": no.status, "message": no.message, "errors": [{"reason": no.reason}]}
        body = json.dumps({"error": error}).encode()
        self.answer(no.status, body, {"Content-Type": "application/json"}, said=True)

    def hang_up(self) -> None:
        self.wfile.flush()
        self.close_connection = True
        raise ConnectionResetError

    # Faults

    def planted(self) -> dict:
        with LOCK:
            for fault in FAULTS:
                if (
                    fault.get("method", self.command) == self.command
                    and fault.get("path", "") in self.path
                    and all(
                        self.headers.get(k, "").startswith(v)
                        for k, v in fault.get("match", {}).items()
                    )
                ):
                    if fault.get("skip", 0):
                        fault["skip"] -= 1
                    elif fault["times"]:
                        fault["times"] -= 1
                        return fault
        return {}

    def simulate(self, what: str) -> None:
        body = self.rfile.read(self.left)
        self.left = 0
        told: object = {}
        with LOCK:
            if what == "fault":
                FAULTS.append({"times": 1, **json.loads(body)})
            elif what == "log":
                told = list(LOG)
            elif what == "uploads":
                told = [
                    [key, self.storage.get_resumable_byte_count(key)]
                    for key in self.storage.resumable
                ]
            elif what == "tokens":
                TOKENS.clear()
                TOKENS.update(json.loads(body))
            elif what == "reset":
                FAULTS.clear(), LOG.clear(), TOKENS.clear(), self.storage.forget()
        self.answer(200, json.dumps(told).encode())


class Request:
    """What the emulator's handlers want to know of a request."""

    def __init__(self, handler: Handler) -> None:
        self.handler, self.query, self.method = handler, handler.query, handler.command
        self.base_url = f"http://{handler.headers['Host']}"
        self.full_url = self.base_url + handler.path

    def set_match(self, match: re.Match) -> None:
        self.params = {k: urllib.parse.unquote(v) for k, v in match.groupdict().items()}

    def get_header(self, key: str, default=None):
        return self.handler.headers.get(key, default)

    @property
    def data(self):
        kind, body = self.handler.headers.get("Content-Type") or "", self.handler.body
        if kind.startswith("multipart/"):
            (_, meta), (media, content) = split(kind, body)
            if self.handler.fault.get("damage"):
                content = content[:-1] + bytes([content[-1] ^ 1])
            return {"meta": json.loads(meta), "content": content, "content-type": media}
        return json.loads(body) if body and kind.startswith("application/json") else body


class Answer:
    """What the emulator's handlers fill in."""

    def __init__(self, handler: Handler) -> None:
        self.status: HTTPStatus | int = HTTPStatus.OK
        self.headers: dict[str, str] = {}
        self.content_json: dict | None = None
        self.content = b""

    def json(self, content: dict) -> None:
        self.headers["Content-Type"], self.content_json = "application/json", content

    def write(self, content: str) -> None:
        self.content += content.encode()

    def write_file(self, content: bytes, content_type: str | None = None) -> None:
        self.headers["Content-Type"], self.content = content_type or "", content

    def body(self) -> bytes:
        return self.content if self.content_json is None else json.dumps(self.content_json).encode()

    def __setitem__(self, key: str, value: str) -> None:
        self.headers[key] = value


def split(kind: str, body: bytes) -> list[tuple[str, bytes]]:
    """Return the media type and the very bytes of each part of a ``multipart/related`` body."""
    boundary = re.search('boundary="?([^";]+)', kind)[1].encode()
    parts = []
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary)[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        media = re.search(rb"(?i)content-type: *([^\r\n]+)", head)
        parts.append((media[1].decode() if media else "", content))
    return parts


def page(listing: dict, query: dict) -> None:
    """Cut a listing to the page that was asked for."""
    after = query.get("pageToken", [""])[0]
    most = min(PAGE, int(query.get("maxResults", ["1000"])[0]))
    items = [item for item in listing["items"] if item["name"].encode() > after.encode()]
    items.sort(key=lambda item: item["name"].encode())
    if len(items) > most:
        listing["nextPageToken"] = items[most - 1]["name"]
    listing["items"] = items[:most]


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True

    def handle_error(self, request, client_address) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def main() -> None:
    """Serve on a free port of loopback."""
    storage = TruthfulStorage(use_memory_fs=True)
    storage.forget()
    with Server(("127.0.0.1", 0), partial(Handler, storage)) as httpd:
        print(f"http://127.0.0.1:{httpd.server_address[1]}", flush=True)
        httpd.serve_forever()


if __name__ == "__main__":
    main()
