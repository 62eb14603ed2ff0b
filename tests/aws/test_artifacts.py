"""Artifacts on S3: what is kept is what was given, and what comes back is that or a refusal."""

from __future__ import annotations

import base64
import hashlib
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import attrs
import pytest

from scalable_aws.plugin import fetch_artifact, store_artifact
from scalable_core.errors import ArtifactError
from scalable_core.types import Artifact

MIB = 1024 * 1024


def artifact(data, **more) -> Artifact:
    """One with a maker."""
    return Artifact(
        name="a.json", data=data, media_type="application/json", run="run-1", task="tä sk", **more
    )


@pytest.fixture
def uri(bucket) -> str:
    """Where it goes."""
    return f"s3://{bucket}/runs/run-1/a b.json"


@pytest.mark.parametrize("size", [0, 10, 17 * MIB])
@pytest.mark.parametrize("form", ["bytes", "file"])
def test_an_artifact_comes_back_as_it_was(uri, context, tmp_path, size, form):
    """With its digest, size and maker in the reference."""
    data = os.urandom(size)
    given, back = tmp_path / "given", tmp_path / "back"
    given.write_bytes(data)

    ref = store_artifact(artifact(data if form == "bytes" else given), uri, context)

    assert (ref.uri, ref.size, ref.provider) == (uri, size, "aws")
    assert ref.digest == f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert (ref.run, ref.task, ref.media_type) == ("run-1", "tä sk", "application/json")
    assert fetch_artifact(ref, back, context) == back
    assert back.read_bytes() == data


def test_the_service_knows_digest_type_and_maker(uri, context, s3, bucket):
    """As its own checksum, and as metadata."""
    ref = store_artifact(artifact(b"data"), uri, context)

    found = s3.head_object(Bucket=bucket, Key="runs/run-1/a b.json", ChecksumMode="ENABLED")
    assert found["ContentType"] == "application/json"
    assert found["Metadata"]["sha256"] == ref.digest.removeprefix("sha256:")
    assert found["Metadata"]["scalable-run"] == "run-1"
    assert found["Metadata"]["scalable-task"] == "t%C3%A4%20sk"
    assert base64.b64decode(found["ChecksumSHA256"]) == hashlib.sha256(b"data").digest()


@pytest.mark.parametrize("size", [100, 17 * MIB])
def test_every_body_carries_its_own_digest(uri, context, proxy, size):
    """In the signature and as the checksum that S3 holds it against."""
    store_artifact(artifact(os.urandom(size)), uri, context)

    sent = [seen for seen in proxy.named("PUT") if seen.size]
    assert sum(seen.size for seen in sent) == size
    for seen in sent:
        checksum = seen.headers["x-amz-checksum-sha256"]
        assert base64.b64decode(checksum).hex() == seen.sha256
        assert seen.headers["X-Amz-Content-SHA256"] == seen.sha256


@pytest.mark.parametrize("size", [100, 17 * MIB])
def test_a_name_is_taken_once(uri, context, tmp_path, size, s3, bucket):
    """And again only when that is said."""
    first = store_artifact(artifact(b"first"), uri, context)

    with pytest.raises(ArtifactError, match="exists already") as caught:
        store_artifact(artifact(os.urandom(size)), uri, context)

    assert "overwrite=True" in caught.value.cure
    assert fetch_artifact(first, tmp_path / "back", context).read_bytes() == b"first"
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    second = store_artifact(artifact(os.urandom(size), overwrite=True), uri, context)
    assert second.digest != first.digest
    fetch_artifact(second, tmp_path / "back", context)


@pytest.mark.parametrize("size", [100, 20 * MIB])
@pytest.mark.parametrize("harm", ["altered", "shorter", "longer", "empty"])
def test_what_was_changed_is_refused_with_both_digests(
    uri, context, tmp_path, s3, bucket, size, harm
):
    """And nothing gets the name of the file."""
    data = os.urandom(size)
    ref = store_artifact(artifact(data), uri, context)
    other = {
        "altered": data[:-1] + bytes([data[-1] ^ 1]),
        "shorter": data[:-1],
        "longer": data + b"1",
        "empty": b"",
    }[harm]
    s3.put_object(Bucket=bucket, Key="runs/run-1/a b.json", Body=other)

    with pytest.raises(ArtifactError, match="is not what was stored") as caught:
        fetch_artifact(ref, tmp_path / "back", context)

    assert ref.digest in caught.value.message
    assert hashlib.sha256(other).hexdigest() in caught.value.message
    assert list(tmp_path.iterdir()) == []


def test_an_answer_that_was_altered_on_its_way_is_refused(uri, context, proxy, tmp_path):
    """Once; the next fetch is good."""
    from aws.faults import Fault

    ref = store_artifact(artifact(b"data"), uri, context)
    proxy.inject(Fault("alter", method="GET"))

    with pytest.raises(ArtifactError, match="is not what was stored"):
        fetch_artifact(ref, tmp_path / "back", context)

    assert fetch_artifact(ref, tmp_path / "back", context).read_bytes() == b"data"


def test_what_is_not_there_is_said(uri, context, tmp_path):
    """In a sentence with its URI."""
    ref = store_artifact(artifact(b"data"), uri, context)

    with pytest.raises(ArtifactError, match=r"gone\.json is not there"):
        fetch_artifact(attrs.evolve(ref, uri=f"{uri}/gone.json"), tmp_path / "back", context)


def test_of_200_stores_of_one_name_one_wins(fast_s3, monkeypatch, context):
    """The others are told that it exists."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", fast_s3)

    def store(number: int) -> str:
        try:
            return store_artifact(artifact(b"%d" % number), "s3://bucket/one", context).digest
        except ArtifactError as error:
            return error.message

    with ThreadPoolExecutor(200) as pool:
        said = list(pool.map(store, range(200)))

    assert said.count("s3://bucket/one exists already") == 199


STORE = """
import sys
from pathlib import Path
from scalable_aws.storage import S3Storage

bucket, _, key = sys.argv[1].removeprefix("s3://").partition("/")
S3Storage("s3://" + bucket).put(key, Path(sys.argv[2]))
"""


def store_and_signal(uri, proxy, tmp_path, number) -> int:
    """Store 40 MiB in another process, and send it a signal when the proxy makes it wait."""
    given = tmp_path / "given"
    given.write_bytes(os.urandom(40 * MIB))
    process = subprocess.Popen([sys.executable, "-c", STORE, uri, given], stderr=subprocess.DEVNULL)
    try:
        while not any(seen.fault for seen in proxy.seen):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(number)
        return process.wait(timeout=60)
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("part", ["partNumber=2", "uploadId="])
def test_a_store_that_is_killed_leaves_no_object(uri, context, proxy, s3, bucket, part, tmp_path):
    """Neither with some parts sent, nor just before they are joined."""
    from aws.faults import Fault

    method = "PUT" if part == "partNumber=2" else "POST"
    proxy.inject(Fault("wait", method=method, target=part, seconds=60))

    assert store_and_signal(uri, proxy, tmp_path, signal.SIGKILL) == -signal.SIGKILL

    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    ref = store_artifact(artifact(b"again"), uri, context)
    assert fetch_artifact(ref, tmp_path / "back", context).read_bytes() == b"again"


def test_a_store_that_is_interrupted_leaves_no_part(uri, proxy, s3, bucket, tmp_path):
    """The process ends when its parts are gone, and not only when the store would have."""
    from aws.faults import Fault

    proxy.inject(Fault("wait", method="PUT", target="partNumber=2", seconds=60))

    assert store_and_signal(uri, proxy, tmp_path, signal.SIGINT) != 0

    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_a_long_transfer_says_how_far_it_is(uri, context, tmp_path):
    """Upwards, to the end, and a short one says nothing."""
    ref = store_artifact(artifact(os.urandom(40 * MIB)), uri, context)
    sent, context.events[:] = list(context.events), []
    fetch_artifact(ref, tmp_path / "back", context)

    for events in (sent, context.events):
        assert {event.kind for event in events} == {"artifact.progress"}
        assert events[-1].data == {"uri": uri, "done": 40 * MIB, "total": 40 * MIB}
        done = [event.data["done"] for event in events]
        assert done == sorted(done)

    context.events.clear()
    store_artifact(artifact(b"short", overwrite=True), uri, context)
    assert context.events == []


def test_a_large_file_needs_little_memory(fast_s3, tmp_path):
    """Less than its own size, one way and the other."""
    given = tmp_path / "given"
    with open(given, "wb") as file:
        for _ in range(40):
            file.write(os.urandom(10 * MIB))
    code = (
        "import sys; from pathlib import Path\n"
        "from scalable_aws.plugin import fetch_artifact, store_artifact\n"
        "from scalable_core.types import Artifact, HookContext\n"
        "given = Path(sys.argv[1])\n"
        "artifact = Artifact(name='a', data=given, run='r', overwrite=True)\n"
        "ref = store_artifact(artifact, 's3://bucket/large', HookContext())\n"
        "fetch_artifact(ref, given.with_name('back'), HookContext())\n"
        "status = Path('/proc/self/status').read_text()\n"
        "print(status.partition('VmHWM:')[2].split()[0])"
    )
    environ = {**os.environ, "AWS_ENDPOINT_URL": fast_s3}

    peak = subprocess.check_output([sys.executable, "-c", code, given], env=environ, text=True)

    assert int(peak) * 1024 < 300 * MIB
