"""What goes wrong on the way, made by a proxy, and what comes of it: the same bytes, or one sentence."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time

import pytest
from aws.faults import Fault

from scalable_aws import client, storage_upload
from scalable_aws.storage import S3Storage
from scalable_core.errors import StorageError

MIB = 1024 * 1024
LARGE = os.urandom(40 * MIB)


@pytest.fixture
def storage(proxy, bucket) -> S3Storage:
    """A storage behind the proxy."""
    return S3Storage(f"s3://{bucket}/p")


@pytest.fixture
def nothing_left(s3, bucket):
    """In the end no upload is half done."""
    yield
    end = time.monotonic() + 30
    while "Uploads" in s3.list_multipart_uploads(Bucket=bucket):  # what is given up ends meanwhile
        assert time.monotonic() < end, "parts are left"
        time.sleep(0.1)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("refuse", times=2),
        Fault("refuse", times=2, status=500, code="InternalError"),
        Fault("refuse", times=2, status=408, code="RequestTimeout"),
        Fault("refuse", times=2, status=400, code="RequestTimeout"),
        Fault("refuse", times=2, status=429, code="TooManyRequests"),
        Fault("refuse", times=2, status=409, code="ConditionalRequestConflict"),
        Fault("reset", times=2),
        Fault("lose", times=2),
        Fault("wait", seconds=1.0),
    ],
    ids=lambda fault: f"{fault.kind} {fault.status}",
)
def test_what_passes_is_waited_for(storage, proxy, fault):
    """By every verb."""
    verbs = [
        (lambda: storage.put_if_absent("key", b"data"), True),
        (lambda: storage.get("key"), b"data"),
        (lambda: [one.key for one in storage.list("")], ["key"]),
        (lambda: storage.put("key", b"new"), None),
        (lambda: b"".join(storage.stream("key")), b"new"),
        (lambda: storage.delete("key"), None),
    ]
    for verb, answer in verbs:
        times = fault.times
        proxy.faults[:] = [fault]
        assert verb() == answer
        assert fault.times == 0
        fault.times = times


def test_a_create_whose_answer_was_lost_knows_its_own_object(storage, proxy):
    """It has won, though the second attempt is told that the name is taken."""
    proxy.inject(Fault("lose", method="PUT"))

    assert storage.put_if_absent("key", b"data")

    assert [seen.status for seen in proxy.named("PUT")] == [200, 412]


def test_a_create_whose_answer_was_lost_knows_another_ones_object(storage, proxy, s3, bucket):
    """It has lost, if another came between."""
    proxy.inject(Fault("reset", method="PUT", after=1))
    s3.put_object(Bucket=bucket, Key="p/key", Body=b"other")

    assert not storage.put_if_absent("key", b"data")


@pytest.mark.parametrize("kind", ["lose", "reset"])
def test_parts_whose_joining_broke_off_become_one_object(storage, proxy, kind, nothing_left):
    """Whether the service had joined them or not."""
    proxy.inject(Fault(kind, method="POST", target="uploadId="))

    assert storage.put_if_absent("key", LARGE)

    assert storage.get("key") == LARGE


@pytest.mark.parametrize("after", [0, MIB, 5 * MIB])
def test_a_part_that_broke_off_is_sent_again_alone(storage, proxy, after, nothing_left):
    """The others are not."""
    proxy.inject(Fault("reset", method="PUT", target="partNumber=2&", after=after))

    storage.put("key", LARGE)

    sent = proxy.named("PUT", "partNumber=")
    assert len(sent) == 6
    assert len({seen.target for seen in sent}) == 5
    assert storage.get("key") == LARGE


def test_a_part_that_is_never_taken_ends_the_store_and_leaves_nothing(
    storage, proxy, nothing_left, monkeypatch
):
    """In a bounded time, with a sentence, and the aborted parts are gone."""
    proxy.inject(Fault("refuse", method="PUT", target="partNumber=3&", times=None))

    with pytest.raises(StorageError, match="AWS still answers SlowDown after 5 attempts"):
        storage.put("key", LARGE)

    with pytest.raises(FileNotFoundError):
        storage.get("key")


def test_an_abort_that_is_refused_at_first_is_tried_again(storage, proxy, nothing_left):
    """Parts that stay are paid for."""
    proxy.inject(
        Fault("refuse", method="DELETE", times=2),
        Fault("refuse", method="PUT", status=403, code="AccessDenied", target="partNumber=3&"),
    )

    with pytest.raises(StorageError, match="AWS denies s3:PutObject"):
        storage.put("key", LARGE)


@pytest.mark.parametrize("after", [1, 100_000, 3 * MIB])
def test_a_body_that_was_cut_short_is_continued_where_it_broke(storage, proxy, after):
    """Not from its beginning."""
    storage.put("key", LARGE)
    proxy.inject(Fault("truncate", method="GET", after=after, times=2))

    assert storage.get("key") == LARGE

    ranges = [seen.headers["Range"] for seen in proxy.named("GET")]
    again = [one for one in ranges if int(one[6:].split("-")[0]) % (8 * MIB)]
    assert len(again) in (1, 2)


def test_a_small_body_that_was_cut_short_is_whole_in_the_end(storage, proxy):
    """Aiobotocore itself would raise."""
    storage.put("key", b"0123456789")
    proxy.inject(Fault("truncate", method="GET", after=4, times=3))

    assert storage.get("key") == b"0123456789"


def test_an_object_that_changes_while_it_is_read_is_refused(storage, proxy, s3, bucket):
    """Two halves of different objects are never put together."""
    storage.put("key", LARGE)
    stream = storage.stream("key")
    next(stream)
    proxy.inject(Fault("refuse", method="GET", status=412, code="PreconditionFailed", times=None))
    s3.put_object(Bucket=bucket, Key="p/key", Body=b"new")
    storage.put("key", LARGE[::-1])

    first = storage.stream("key")
    with pytest.raises(StorageError, match=r"was changed meanwhile|PreconditionFailed"):
        list(first)
    stream.close()


@pytest.mark.parametrize("verb", ["get", "put", "list"])
def test_what_never_passes_ends_in_one_sentence(storage, proxy, verb):
    """After as many attempts as it says."""
    proxy.inject(Fault("refuse", times=None))
    call = {
        "get": lambda: storage.get("key"),
        "put": lambda: storage.put("key", b"data"),
        "list": lambda: list(storage.list("")),
    }[verb]

    with pytest.raises(StorageError) as caught:
        call()

    assert "AWS still answers SlowDown after 5 attempts" in caught.value.message
    assert "\n" not in caught.value.message
    assert len(proxy.seen) == 5


def test_what_may_not_be_done_is_not_tried_again(storage, proxy):
    """It would be the same."""
    proxy.inject(Fault("refuse", times=None, status=403, code="AccessDenied"))

    with pytest.raises(StorageError):
        storage.get("key")

    assert len(proxy.seen) == 1


def test_an_endpoint_that_nobody_listens_at_is_said(bucket, monkeypatch):
    """With where to look."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)

    with pytest.raises(StorageError, match="AWS cannot be reached") as caught:
        S3Storage(f"s3://{bucket}").get("key")

    assert url in caught.value.message
    assert "AWS_ENDPOINT_URL" in caught.value.cure


def test_a_service_that_never_answers_is_not_waited_for_for_ever(bucket, monkeypatch):
    """Each attempt ends, and so do all together."""
    monkeypatch.setattr(client, "READ_TIMEOUT", 0.5)
    monkeypatch.setattr(client, "PATIENCE", client.Patience(attempts=2, first=0.05))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")

        with pytest.raises(StorageError, match="AWS cannot be reached"):
            S3Storage(f"s3://{bucket}").get("key")


def test_a_service_that_stops_taking_bytes_is_not_waited_for_for_ever(bucket, monkeypatch):
    """A body that leaves too slowly is given up as well."""
    monkeypatch.setattr(client, "READ_TIMEOUT", 0.5)
    monkeypatch.setattr(storage_upload, "SLOWEST", 64 * MIB)
    monkeypatch.setattr(client, "PATIENCE", client.Patience(attempts=2, first=0.05))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")

        with pytest.raises(StorageError, match="AWS cannot be reached: it took too long"):
            S3Storage(f"s3://{bucket}").put("key", bytes(16 * MIB))


def test_an_abort_that_fails_hides_no_error_and_says_how_to_clean_up(storage, proxy, caplog):
    """The reason why the store failed is what counts."""
    proxy.inject(
        Fault("refuse", method="DELETE", times=None, status=403, code="AccessDenied"),
        Fault("refuse", method="PUT", status=403, code="ExpiredToken", target="partNumber=3&"),
    )

    with pytest.raises(StorageError, match="the AWS credentials have expired"):
        storage.put("key", LARGE)

    assert "aws s3api abort-multipart-upload --bucket" in caplog.text


def test_a_stream_that_is_left_open_does_not_hold_up_the_end(storage):
    """The process ends by itself."""
    storage.put("key", LARGE)
    code = (
        "import sys; from scalable_aws.storage import S3Storage\n"
        "stream = S3Storage(sys.argv[1]).stream('key'); print(len(next(stream)))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, storage.uri], capture_output=True, text=True, timeout=120
    )

    assert (done.stdout, done.stderr) == ("8388608\n", "")


@pytest.mark.parametrize(
    "fault",
    [
        Fault("wait", method="PUT", target="partNumber=2", seconds=30),
        Fault("wait", method="POST", target="uploads", seconds=4),
    ],
    ids=["in the middle of its parts", "before it is known to have begun"],
)
def test_a_deadline_ends_a_store_and_leaves_nothing(bucket, proxy, context, nothing_left, fault):
    """What has begun at the service is removed there too."""
    import attrs

    from scalable_aws.plugin import store_artifact
    from scalable_core.errors import ArtifactError
    from scalable_core.types import Artifact

    proxy.inject(fault)
    context = attrs.evolve(context, deadline=time.monotonic() + 3)

    with pytest.raises(ArtifactError, match="took too long"):
        store_artifact(Artifact(name="a", data=LARGE, run="r"), f"s3://{bucket}/a", context)
    while not proxy.named("DELETE", "uploadId"):
        time.sleep(0.05)
