"""What stands in the way of Cloud Storage: each a sentence with a cure, never a wait without end."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from scalable_core.errors import ArtifactError, StorageError
from scalable_core.types import Artifact, ArtifactRef, HookContext
from scalable_gcp.storage import GcsStorage, fetch, store
from scalable_gcp.storage_errors import Patience

DO = {
    "put": ("stored", "storage.objects.create"),
    "get": ("fetched", "storage.objects.get"),
    "list": ("listed", "storage.objects.list"),
    "delete": ("removed", "storage.objects.delete"),
}


def do(storage: GcsStorage, how: str) -> None:
    """One call of each kind."""
    if how == "put":
        storage.put("key", b"data")
    else:
        list(getattr(storage, how)("key") or ())


@pytest.mark.parametrize(("how", "words"), DO.items(), ids=DO)
def test_a_bucket_that_denies_is_named_with_the_permission(gcs, how, words):
    """And a role that has it."""
    action, permission = words
    gcs.fault(status=403, message="ada@example.org does not have access to the bucket.")

    with pytest.raises(StorageError) as caught:
        do(GcsStorage("gs://bucket"), how)

    assert caught.value.message == (
        f"gs://bucket/key cannot be {action}: {permission} is denied on bucket 'bucket':"
        " ada@example.org does not have access to the bucket"
    )
    assert caught.value.cure == (
        f"grant {permission} on bucket 'bucket', for example with roles/storage.objectUser"
    )
    assert caught.value.exit_code == 3


def test_the_permission_that_is_missing_is_the_one_that_the_service_names(gcs):
    """To write over an object takes the right to delete it."""
    said = "ada does not have storage.objects.delete access to the Google Cloud Storage object."
    gcs.fault(status=403, message=said)

    with pytest.raises(
        StorageError, match=r"cannot be stored: storage\.objects\.delete is denied"
    ) as caught:
        GcsStorage("gs://bucket").put("key", b"")
    assert caught.value.cure.startswith("grant storage.objects.delete on bucket 'bucket'")


@pytest.mark.parametrize("how", DO)
def test_a_bucket_that_is_not_there_is_no_missing_object(gcs, how):
    """It is named, with how to create it."""
    with pytest.raises(StorageError, match="there is no bucket 'nowhere'") as caught:
        do(GcsStorage("gs://nowhere/a"), how)
    assert "gcloud storage buckets create gs://nowhere" in caught.value.cure


def test_artifacts_have_their_own_error(gcs, tmp_path):
    """For both ways."""
    artifact = Artifact(name="a", data=b"", run="r")
    ref = ArtifactRef(
        uri="gs://nowhere/a", digest="", size=0, media_type="", run="r", created="", provider="gcp"
    )
    with pytest.raises(ArtifactError, match="cannot be stored: there is no bucket 'nowhere'"):
        store(artifact, "gs://nowhere/a", HookContext(), provider="gcp")
    with pytest.raises(ArtifactError, match="cannot be fetched: there is no bucket 'nowhere'"):
        fetch(ref, tmp_path / "a", HookContext())
    gone = tmp_path / "gone"
    with pytest.raises(ArtifactError, match="gone cannot be read or written: No such file"):
        store(
            Artifact(name="a", data=gone, run="r"), "gs://bucket/a", HookContext(), provider="gcp"
        )


@pytest.mark.parametrize("answers", [False, True], ids=["nobody", "silence"])
def test_a_service_that_is_not_there_is_given_up(monkeypatch, answers):
    """Whether it refuses the connection or takes it and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        if not answers:
            listener.close()
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"127.0.0.1:{port}")
        storage = GcsStorage("gs://bucket", patience=Patience(seconds=1.0, stall=0.5))

        words = "does not answer in time" if answers else "cannot be reached"
        with pytest.raises(StorageError, match=f"gs://bucket/key cannot be fetched: .* {words}"):
            storage.get("key")
        with pytest.raises(StorageError, match=words):
            storage.put("key", b"x" * 9 * 2**20)


# With credentials: a process of its own each, as credentials are found once in a process.

SCRIPT = """
import json, sys
from scalable_core.errors import ScalableError
from scalable_gcp import client
from scalable_gcp.storage import GcsStorage
from scalable_gcp.storage_errors import Patience

client.STORAGE_ROOT = sys.argv[1]
storage = GcsStorage("gs://bucket", patience=Patience(seconds=2))
try:
    {code}
    print(json.dumps(["done"]))
except ScalableError as error:
    print(json.dumps([error.message, error.cure]))
"""


def run(url: str, home: Path, code: str = "storage.put('key', b'data')", **more: str) -> list[str]:
    """Run some lines without the emulator's privilege of needing no token; return what they end with."""
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("GOOGLE_", "STORAGE_", "CLOUDSDK_")) and "proxy" not in name.lower()
    }
    environ |= {"HOME": str(home), "NO_GCE_CHECK": "true", **more}
    script = SCRIPT.replace("{code}", textwrap.indent(textwrap.dedent(code), "    ").strip())
    done = subprocess.run(
        [sys.executable, "-c", script, url], env=environ, capture_output=True, text=True, timeout=90
    )
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


class TokenServer(ThreadingHTTPServer):
    """Gives out tokens, or says that the grant is no longer good."""

    daemon_threads = True
    good = True
    given = 0
    wait = 0.0
    lifetime = 3600


class _Tokens(BaseHTTPRequestHandler):
    server: TokenServer

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(self.server.wait)
        self.server.given += 1
        said: dict[str, object] = {
            "access_token": f"token-{self.server.given}",
            "expires_in": self.server.lifetime,
            "token_type": "Bearer",
        }
        if not self.server.good:
            said = {"error": "invalid_grant", "error_description": "Token has been revoked."}
        body = json.dumps(said).encode()
        self.send_response(200 if self.server.good else 400)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    with TokenServer(("127.0.0.1", 0), _Tokens) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield httpd
        httpd.shutdown()


@pytest.fixture
def key(tokens: TokenServer, tmp_path: Path) -> str:
    """The file of a service account whose tokens the server above gives out."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    account = {
        "type": "service_account",
        "project_id": "p",
        "private_key_id": "1",
        "private_key": private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode(),
        "client_email": "runner@p.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": f"http://127.0.0.1:{tokens.server_address[1]}/token",
    }
    path = tmp_path / "key.json"
    path.write_text(json.dumps(account))
    return str(path)


def test_without_credentials_one_is_told_how_to_get_some(gcs, tmp_path):
    """In a sentence."""
    message, cure = run(gcs.url, tmp_path)

    assert message.startswith(
        "gs://bucket/key cannot be stored: there are no Google Cloud credentials: "
    )
    assert "gcloud auth application-default login" in cure
    assert gcs.requests("POST") == []


def test_credentials_that_are_no_longer_good_are_said_to_be(gcs, tmp_path, tokens, key):
    """With the words of the token service."""
    tokens.good = False

    message, cure = run(gcs.url, tmp_path, GOOGLE_APPLICATION_CREDENTIALS=key)

    assert "the Google Cloud credentials have expired or are no good: invalid_grant" in message
    assert "renew the key of the service account" in cure


def test_a_file_of_credentials_that_is_not_there_is_named(gcs, tmp_path):
    """As it was written."""
    message, _ = run(gcs.url, tmp_path, GOOGLE_APPLICATION_CREDENTIALS="/nowhere/key.json")

    assert "/nowhere/key.json was not found" in message


def test_one_token_serves_many_calls(gcs, tmp_path, tokens, key):
    """It is asked for once, and sent with each call."""
    gcs.ask("tokens", ["token-1"])
    code = """
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: storage.put(str(number), b"x" * 9), range(20)))
    storage.put("large", b"x" * 9 * 2**20)
    assert len(list(storage.list(""))) == 21 and storage.get("3") == b"x" * 9
    """

    assert run(gcs.url, tmp_path, code, GOOGLE_APPLICATION_CREDENTIALS=key) == ["done"]
    assert tokens.given == 1


def test_a_token_that_is_refused_is_renewed_once(gcs, tmp_path, tokens, key):
    """A second refusal is an error."""
    gcs.ask("tokens", ["token-2"])
    assert run(gcs.url, tmp_path, GOOGLE_APPLICATION_CREDENTIALS=key) == ["done"]

    gcs.ask("tokens", ["another"])
    message, _ = run(gcs.url, tmp_path, GOOGLE_APPLICATION_CREDENTIALS=key)
    assert "Cloud Storage does not accept the credentials: Invalid Credentials" in message


def test_a_token_is_renewed_before_it_runs_out(gcs, tmp_path, tokens, key):
    """One that is good for some minutes more is not sent at all."""
    tokens.lifetime = 60
    code = "storage.put('a', b''); storage.put('b', b'')"

    assert run(gcs.url, tmp_path, code, GOOGLE_APPLICATION_CREDENTIALS=key) == ["done"]
    assert tokens.given == 2


def test_an_emulator_needs_no_credentials(gcs, tmp_path):
    """Not even ones that can be read."""
    more = {"STORAGE_EMULATOR_HOST": gcs.url, "GOOGLE_APPLICATION_CREDENTIALS": "/nowhere/key.json"}

    assert run("", tmp_path, **more) == ["done"]


def test_a_fork_has_connections_of_its_own(gcs, tmp_path):
    """And does not hang."""
    code = """
    import os
    storage.put("before", b"1")
    child = os.fork()
    if not child:
        storage.put("child", b"2")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert [found.key for found in storage.list("")] == ["before", "child"]
    """
    assert run("", tmp_path, code, STORAGE_EMULATOR_HOST=gcs.url) == ["done"]
