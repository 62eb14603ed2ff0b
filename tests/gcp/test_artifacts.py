"""Artifacts in Cloud Storage: whole or not at all, and what was stored or a sentence."""

from __future__ import annotations

import base64
import hashlib
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs
import google_crc32c
import pytest

from scalable_core.errors import ArtifactError, StorageError
from scalable_core.types import Artifact, ArtifactRef, HookContext
from scalable_gcp.storage import GcsStorage, fetch, store
from scalable_gcp.storage_errors import Patience

MIB = 1024 * 1024
URI = "gs://bucket/runs/run-1/out.bin"
SMALL, LARGE = b"123456789", os.urandom(20 * MIB + 17)


def keep(data: bytes | Path, context: HookContext, uri: str = URI, **more: object) -> ArtifactRef:
    artifact = Artifact(name="out.bin", data=data, run="run-1", task="t", component="c", **more)
    return store(artifact, uri, context, provider="gcp")


@pytest.mark.parametrize("data", [b"", SMALL, LARGE], ids=["empty", "small", "large"])
@pytest.mark.parametrize("file", [False, True], ids=["bytes", "file"])
def test_an_artifact_comes_back_as_it_was(gcs, context, tmp_path, data, file):
    """With its digest, which the service keeps beside its own."""
    if file:
        (tmp_path / "in").write_bytes(data)
    ref = keep(tmp_path / "in" if file else data, context, media_type="image/png")

    assert fetch(ref, tmp_path / "out", context).read_bytes() == data
    sha256 = hashlib.sha256(data).hexdigest()
    assert (ref.uri, ref.digest, ref.size) == (URI, f"sha256:{sha256}", len(data))
    assert (ref.run, ref.task, ref.component, ref.provider) == ("run-1", "t", "c", "gcp")
    kept = gcs.describe("runs%2Frun-1%2Fout.bin")
    crc32c = base64.b64encode(google_crc32c.value(data).to_bytes(4, "big")).decode()
    assert kept["metadata"]["scalable-sha256"] == sha256
    assert (kept["crc32c"], kept["contentType"]) == (crc32c, "image/png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"][not file :]


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
def test_an_artifact_is_never_overwritten_unasked(gcs, context, data):
    """`overwrite` asks."""
    keep(data, context)
    with pytest.raises(ArtifactError, match="exists already") as caught:
        keep(data, context)
    assert "overwrite=True" in caught.value.cure

    assert keep(data + b"!", context, overwrite=True).size == len(data) + 1


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
def test_an_artifact_that_was_changed_is_refused_with_both_digests(gcs, context, tmp_path, data):
    """Truncated or altered, and no file gets the name."""
    ref = keep(data, context)
    for changed in (data[:-1], data[:-1] + b"?"):
        GcsStorage("gs://bucket").put("runs/run-1/out.bin", changed)

        with pytest.raises(ArtifactError, match="is not what was stored") as caught:
            fetch(ref, tmp_path / "out", context)

        found = hashlib.sha256(changed).hexdigest()
        assert f"its digest is sha256:{found}, not {ref.digest}" in caught.value.message
        assert list(tmp_path.iterdir()) == []


def test_a_bit_that_flips_on_the_way_in_is_seen_by_the_service(gcs, context):
    """It refuses the bytes, as they do not fit the checksum that was sent with them."""
    gcs.fault(method="POST", damage=True)

    with pytest.raises(ArtifactError, match="other bytes have arrived than were sent") as caught:
        keep(SMALL, context)

    assert "CRC32C" in caught.value.message
    assert list(GcsStorage("gs://bucket").list("")) == []


def test_one_of_two_hundred_stores_of_a_name_wins(gcs, context, tmp_path):
    """All others are told that the name is taken."""

    def try_it(number: int) -> ArtifactRef | str:
        try:
            return keep(b"%d" % number, context)
        except ArtifactError as error:
            return error.message

    with ThreadPoolExecutor(64) as threads:
        ends = list(threads.map(try_it, range(200)))

    (ref,) = (end for end in ends if isinstance(end, ArtifactRef))
    assert {end for end in ends if isinstance(end, str)} == {
        f"{URI} exists already, and an artifact is never overwritten"
    }
    assert fetch(ref, tmp_path / "out", context).read_bytes() == b"%d" % ends.index(ref)


def test_one_of_several_large_stores_of_a_name_wins(gcs):
    """All of them may begin; the first to end has the name."""
    storage = GcsStorage("gs://bucket")
    bodies = [bytes([number]) * 9 * MIB for number in range(6)]
    with ThreadPoolExecutor(6) as threads:
        won = list(threads.map(lambda body: storage.put_if_absent("a", body), bodies))

    assert won.count(True) == 1
    assert storage.get("a") == bodies[won.index(True)]
    assert gcs.uploads == {}


STORE = """
import sys
from pathlib import Path
from scalable_core.types import Artifact, HookContext
from scalable_gcp.storage import store
store(Artifact(name="a", data=Path(sys.argv[1]), run="r"), sys.argv[2], HookContext(), provider="gcp")
"""


def test_a_store_that_is_killed_leaves_no_object(gcs, context, tmp_path):
    """And the name is free for the next."""
    file = tmp_path / "in"
    file.write_bytes(LARGE)
    gcs.fault(method="PUT", keep=3 * MIB, stall=60)
    process = subprocess.Popen([sys.executable, "-c", STORE, file, URI])
    end = time.monotonic() + 60
    while list(gcs.uploads.values()) != [3 * MIB]:
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)

    process.send_signal(signal.SIGKILL)
    process.wait()

    assert list(GcsStorage("gs://bucket").list("")) == []
    with pytest.raises(FileNotFoundError):
        GcsStorage("gs://bucket/runs/run-1").get("out.bin")
    ref = keep(file, context)
    assert fetch(ref, tmp_path / "out", context).read_bytes() == LARGE


FAULTS = {
    "two 503, then 308": [
        {"method": "PUT", "status": 503, "keep": 2 * MIB, "times": 2},
        {"method": "PUT", "status": 308, "keep": MIB},
    ],
    "308 with half, without an error before": [{"method": "PUT", "status": 308, "keep": 10 * MIB}],
    "308 with nothing": [{"method": "PUT", "status": 308, "keep": 0}],
    "a connection that breaks twice": [{"method": "PUT", "cut": 1, "keep": 5 * MIB, "times": 2}],
    "a connection that stalls": [{"method": "PUT", "keep": 5 * MIB, "stall": 4}],
    "the session is forgotten": [{"method": "PUT", "status": 410, "keep": MIB}],
    "the start fails": [{"method": "POST", "status": 503, "times": 2}],
    "the answer to the start is lost": [{"method": "POST", "lose": True}],
    "answers before the bytes were read": [
        {"method": "PUT", "status": 503, "early": True, "times": 2}
    ],
    "the last answer is lost": [{"method": "PUT", "lose": True}],
    "the last answer is lost, and the session too": [
        {"method": "PUT", "lose": True},
        {"method": "PUT", "status": 404},
    ],
}


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS.keys())
def test_an_upload_is_carried_to_its_end_through(gcs, faults):
    """Whatever befalls it, what is there in the end is what was sent."""
    for fault in faults:
        gcs.fault(**fault)
    storage = GcsStorage("gs://bucket", patience=Patience(stall=1.0))

    assert storage.put_if_absent("a", LARGE) is True

    assert storage.get("a") == LARGE


def test_a_slow_upload_is_no_stalled_one(gcs):
    """It takes longer than a connection may be silent, and is not broken off."""
    gcs.fault(method="PUT", pace=0.02)

    GcsStorage("gs://bucket", patience=Patience(stall=0.8)).put("a", LARGE)

    assert gcs.requests("PUT") == [200]


def test_an_upload_goes_on_from_where_the_service_has_it(gcs, context):
    """What was kept is not sent again."""
    gcs.fault(method="PUT", cut=1, keep=15 * MIB)
    sent = []

    class Sink:
        def emit(self, event):
            sent.append(event.data["done"])

    keep(LARGE, attrs.evolve(context, events=Sink()))

    assert gcs.requests("PUT") == [0, 308, 200]
    assert sent[-1] == len(LARGE)


def test_an_upload_of_which_the_service_keeps_nothing_ends_in_a_sentence(gcs):
    """It answers 308 for ever, and never counts as stored; the session is dropped."""
    gcs.fault(method="PUT", status=308, keep=2 * MIB)
    gcs.fault(method="PUT", status=308, keep=0, times=-1)
    storage = GcsStorage("gs://bucket", patience=Patience(seconds=1.0))

    with pytest.raises(StorageError, match="keeps 2097152 of 20971537 bytes and no more"):
        storage.put("a", LARGE)

    assert gcs.uploads == {}
    assert list(storage.list("")) == []


@pytest.mark.parametrize("how", ["shrinks", "changes"])
def test_a_file_that_is_written_to_while_it_is_stored_is_not_stored(gcs, context, tmp_path, how):
    """It is said what has happened."""
    file = tmp_path / "in"
    file.write_bytes(LARGE)

    class Meddler:
        def emit(self, event):
            if how == "shrinks":
                os.truncate(file, 3 * MIB)
            else:
                with open(file, "r+b") as out:
                    out.seek(-1, os.SEEK_END)
                    out.write(bytes([LARGE[-1] ^ 1]))

    said = "has changed while" if how == "shrinks" else "other bytes have arrived than were sent"
    with pytest.raises(ArtifactError, match=said):
        keep(file, attrs.evolve(context, events=Meddler()))
    assert list(GcsStorage("gs://bucket").list("")) == []
    assert gcs.uploads == {}


def test_ranges_that_are_cut_short_are_continued(gcs, context, tmp_path):
    """Each where it broke."""
    ref = keep(LARGE, context)
    gcs.fault(method="GET", path="alt=media", cut=2 * MIB, times=4)
    gcs.fault(method="GET", path="alt=media", status=503, times=2)

    assert fetch(ref, tmp_path / "out", context).read_bytes() == LARGE


def test_a_bit_that_flips_on_the_way_back_is_refused(gcs, context, tmp_path):
    """By the digest; nothing is left of it."""
    ref = keep(LARGE, context)
    gcs.fault(method="GET", path="alt=media", alter=True)

    with pytest.raises(ArtifactError, match="is not what was stored"):
        fetch(ref, tmp_path / "out", context)
    assert list(tmp_path.iterdir()) == []


def test_a_fetch_that_fails_leaves_the_old_file_alone(gcs, context, tmp_path):
    """Its name is given away at the very end."""
    ref = keep(SMALL, context)
    (tmp_path / "out").write_bytes(b"old")
    gcs.fault(method="GET", status=404)

    with pytest.raises(ArtifactError, match=f"there is no {URI}"):
        fetch(ref, tmp_path / "out", context)
    assert (tmp_path / "out").read_bytes() == b"old"


def test_a_deadline_ends_the_waiting(gcs, context):
    """That of the caller, when it comes before our own patience ends."""
    gcs.fault(status=503, times=-1)

    with pytest.raises(ArtifactError, match="Cloud Storage answers 503 again and again"):
        keep(SMALL, attrs.evolve(context, deadline=time.monotonic() + 0.5))


def test_long_transfers_say_how_far_they_are(gcs, context, events, tmp_path):
    """At the end at the latest; short ones say nothing."""
    fetch(keep(SMALL, context, "gs://bucket/small"), tmp_path / "small", context)
    assert events == []

    fetch(keep(LARGE, context), tmp_path / "large", context)

    assert {event.kind for event in events} == {"artifact.progress"}
    total = len(LARGE)
    assert {"uri": URI, "done": total, "total": total} in [event.data for event in events]
    assert [event.data["done"] for event in events].count(total) == 2


@pytest.mark.parametrize("uri", ["gs://bucket", "gs://bucket/", "gs:///a", "gs://bucket/a/../b"])
def test_what_cannot_be_an_object_is_refused(gcs, context, uri):
    """Before anything is sent."""
    with pytest.raises(ArtifactError, match=r"names no object|cannot name an object"):
        keep(SMALL, context, uri)
    assert gcs.requests("POST") == []
