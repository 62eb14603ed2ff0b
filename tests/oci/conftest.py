"""Real registries on loopback: plain, TLS with Basic, Bearer with a token server, and one that misbehaves.

The three real ones are Debian's ``docker-registry`` serving one and the same storage, so that an image
pushed through the plain one is there in all. Keys, certificates and signatures are made by ``openssl``.
"""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import os
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"

USER, PASSWORD = "ada", "s3cret"
# crypt("s3cret") by bcrypt with the lowest cost; the registry reads no other kind.
PASSWORD_HASH = "$2y$04$abcdefghijklmnopqrstuuLZYjhNQAOdpbzt4WxWlUHjv1wsyH5DG"
REFRESH_TOKEN = "an-identity-token"


@pytest.fixture(autouse=True)
def _bare_environment(tmp_path, monkeypatch):
    """No credentials, proxies or certificates of whoever runs the tests."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in (
            "DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "SSL_CERT_FILE", "SSL_CERT_DIR", "XDG_CONFIG_HOME",
        ):  # fmt: skip
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))


def _write_json(path: Path, data: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))
    return path


def _encode_login(user: str = USER, password: str = PASSWORD) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.fixture
def login(tmp_path) -> Callable[..., Path]:
    """Write what `docker login` leaves behind, for any number of registries."""

    def write(
        *registries: str, user: str = USER, password: str = PASSWORD, path: Path | None = None
    ) -> Path:
        auths = {registry: _encode_login(user, password) for registry in registries}
        return _write_json(path or tmp_path / "home/.docker/config.json", {"auths": auths})

    return write


# -- servers -----------------------------------------------------------------------------------------------


@attrs.frozen
class Request:
    """What a server saw."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""


Answer = Callable[[Request], "tuple[int, dict[str, str], bytes]"]


class Server:
    """A small HTTP server whose answers are a function of the request; it remembers the requests."""

    def __init__(self, answer: Answer, *, host: str = "127.0.0.1") -> None:
        self.answer = answer
        self.requests: list[Request] = []
        self.released = threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            timeout = 60

            def log_message(self, *_: object) -> None:
                pass

            def serve(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                request = Request(
                    self.command, self.path, dict(self.headers), self.rfile.read(length)
                )
                outer.requests.append(request)
                status, headers, body = outer.answer(request)
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(body))} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_CONNECT = serve

        self._server = http.server.ThreadingHTTPServer((host, 0), Handler)
        self._server.daemon_threads = True
        self.address = f"{host}:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Start servers that answer as told."""
    servers: list[Server] = []

    def start(answer: Answer, **options: str) -> Server:
        servers.append(Server(answer, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


# -- images ------------------------------------------------------------------------------------------------


def _digest(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


@attrs.frozen
class Blob:
    """Bytes with the media type under which a registry knows them."""

    body: bytes
    media_type: str

    @property
    def digest(self) -> str:
        return _digest(self.body)

    @property
    def descriptor(self) -> dict[str, object]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.body)}


def _as_blob(data: object, media_type: str) -> Blob:
    return Blob(json.dumps(data).encode(), media_type)


@attrs.frozen
class Image:
    """One platform's image: its manifest, and the blobs that the manifest names."""

    platform: dict[str, str]
    manifest: Blob
    blobs: tuple[Blob, ...]

    @property
    def size(self) -> int:
        return sum(len(blob.body) for blob in self.blobs)


def _make_image(
    architecture: str = "amd64", *, docker: bool = False, variant: str = "", name: str = ""
) -> Image:
    platform = {"os": "linux", "architecture": architecture} | (
        {"variant": variant} if variant else {}
    )
    config = _as_blob(
        {**platform, "rootfs": {"type": "layers", "diff_ids": []}, "name": name},
        DOCKER_CONFIG if docker else OCI_CONFIG,
    )
    layers = [
        Blob(text.encode() * 100, DOCKER_LAYER if docker else OCI_LAYER)
        for text in (f"base of {architecture} {name}", f"top of {architecture}")
    ]
    media_type = DOCKER_MANIFEST if docker else OCI_MANIFEST
    manifest = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": config.descriptor,
        "layers": [layer.descriptor for layer in layers],
    }
    return Image(platform, _as_blob(manifest, media_type), (config, *layers))


@pytest.fixture
def make_image() -> Callable[..., Image]:
    """Make an image of a config and two layers that differs by architecture and name."""
    return _make_image


def _make_index(images: list[Image], *, docker: bool = False) -> Blob:
    media_type = DOCKER_LIST if docker else OCI_INDEX
    entries = [image.manifest.descriptor | {"platform": image.platform} for image in images]
    return _as_blob({"schemaVersion": 2, "mediaType": media_type, "manifests": entries}, media_type)


@attrs.frozen
class Registry:
    """A running registry and the little that is needed to fill it."""

    address: str

    def push(self, repository: str, tag: str, *images: Image, docker: bool = False) -> Blob:
        """Push one image, or an index of several; returns what the tag then names."""
        for image in images:
            for blob in image.blobs:
                self.push_blob(repository, blob)
            self.put_manifest(repository, image.manifest.digest, image.manifest)
        named = images[0].manifest if len(images) == 1 else _make_index(list(images), docker=docker)
        self.put_manifest(repository, tag, named)
        return named

    def push_blob(self, repository: str, blob: Blob) -> None:
        start = self._send("POST", f"http://{self.address}/v2/{repository}/blobs/uploads/", b"")
        target = f"{start['Location']}&digest={urllib.parse.quote(blob.digest)}"
        self._send("PUT", target, blob.body, "application/octet-stream")

    def put_manifest(self, repository: str, version: str, manifest: Blob) -> None:
        url = f"http://{self.address}/v2/{repository}/manifests/{version}"
        self._send("PUT", url, manifest.body, manifest.media_type)

    def _send(self, method: str, url: str, body: bytes, media_type: str = "") -> dict[str, str]:
        headers = {"Content-Type": media_type} if media_type else {}
        request = urllib.request.Request(url, data=body, method=method, headers=headers)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60) as reply:
            return dict(reply.headers)


# -- real registries ---------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def keys(tmp_path_factory) -> Path:
    """A folder with tls.key and tls.crt, good for loopback names and for signing tokens."""
    folder = tmp_path_factory.mktemp("keys")
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=scalable test", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"),
            *("-keyout", folder / "tls.key", "-out", folder / "tls.crt"),
        ],
        check=True,
        capture_output=True,
    )
    return folder


@pytest.fixture(scope="session")
def run_registry(tmp_path_factory) -> Iterator[Callable[..., Registry]]:
    """Start registries that share one storage."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("docker-registry is not installed (apt-get install docker-registry)")
    folder = tmp_path_factory.mktemp("registry")
    running: list[subprocess.Popen[bytes]] = []

    def start(
        *, tls: dict[str, str] | None = None, auth: dict[str, object] | None = None
    ) -> Registry:
        for _ in range(5):  # a free port may be taken before the registry has it
            address = f"127.0.0.1:{_free_port()}"
            config = {
                "version": 0.1,
                "log": {"level": "error"},
                "storage": {"filesystem": {"rootdirectory": str(folder / "storage")}},
                "http": {"addr": address, "relativeurls": False} | ({"tls": tls} if tls else {}),
            } | ({"auth": auth} if auth else {})
            # JSON is YAML, and the registry reads YAML.
            path = _write_json(folder / f"{address.rpartition(':')[2]}.yml", config)
            with path.with_suffix(".log").open("wb") as log:
                process = subprocess.Popen([program, "serve", path], stdout=log, stderr=log)
            running.append(process)
            if _await_port(address, process):
                return Registry(address)
        raise AssertionError(
            f"docker-registry does not start: {path.with_suffix('.log').read_text()}"
        )

    yield start
    for process in running:
        process.terminate()
    for process in running:
        process.wait(30)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_port(address: str, process: subprocess.Popen[bytes]) -> bool:
    host, _, port = address.rpartition(":")
    end = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < end:
        try:
            socket.create_connection((host, int(port)), 5).close()
        except OSError:
            time.sleep(0.05)
        else:
            return True
    return False


@pytest.fixture(scope="session")
def plain(run_registry) -> Registry:
    """Plain http, no login."""
    return run_registry()


@pytest.fixture(scope="session")
def secured(run_registry, keys, tmp_path_factory) -> Registry:
    """TLS with a certificate of our own, and Basic."""
    htpasswd = tmp_path_factory.mktemp("htpasswd") / "htpasswd"
    htpasswd.write_text(f"{USER}:{PASSWORD_HASH}\n")
    return run_registry(
        tls={"certificate": str(keys / "tls.crt"), "key": str(keys / "tls.key")},
        auth={"htpasswd": {"realm": "test", "path": str(htpasswd)}},
    )


@attrs.frozen
class TokenRegistry(Registry):
    """A registry that sends its readers to a token server."""

    tokens: Server


@pytest.fixture(scope="session")
def token_registry(run_registry, keys) -> Iterator[TokenRegistry]:
    """Plain http with Bearer tokens; ``public/...`` is for everyone, the rest for ada."""
    server = Server(lambda request: _grant(request, keys))
    registry = run_registry(
        auth={
            "token": {
                "realm": f"http://{server.address}/token?kept=1",
                "service": "the test registry",
                "issuer": "test",
                "rootcertbundle": str(keys / "tls.crt"),
            }
        }
    )
    yield TokenRegistry(registry.address, server)
    server.close()


def _grant(request: Request, keys: Path) -> tuple[int, dict[str, str], bytes]:
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(request.path).query)
    known = request.headers.get("Authorization") == f"Basic {_encode_login()['auth']}"
    if request.method == "POST":
        query = urllib.parse.parse_qs(request.body.decode())
        known = query["refresh_token"] == [REFRESH_TOKEN]
    if not known and (request.method == "POST" or "Authorization" in request.headers):
        return 401, {}, b"{}"
    access = []
    for scope in query["scope"]:
        kind, name, actions = scope.split(":")
        allowed = actions.split(",") if known or name.startswith("public/") else []
        access.append({"type": kind, "name": name, "actions": allowed})
    field = "access_token" if request.method == "POST" else "token"
    token = _sign(keys, aud=query["service"][0], access=access)
    return 200, {"Content-Type": "application/json"}, json.dumps({field: token}).encode()


def _sign(keys: Path, **claims: object) -> str:
    certificate = (keys / "tls.crt").read_text().split("-----")[2].replace("\n", "")
    now = int(time.time())
    claims |= {"iss": "test", "sub": "", "jti": "1", "iat": now, "nbf": now - 60, "exp": now + 600}
    header = {"typ": "JWT", "alg": "RS256", "x5c": [certificate]}
    text = b".".join(_base64url(json.dumps(part).encode()) for part in (header, claims))
    signature = subprocess.run(
        ["openssl", "dgst", "-sha256", "-sign", keys / "tls.key"],
        input=text,
        capture_output=True,
        check=True,
    ).stdout
    return (text + b"." + _base64url(signature)).decode()


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
