"""Objects below a `gs://` URI."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import entry_points

import pytest

from scalable_core.errors import StorageError
from scalable_core.plugins import PluginHost
from scalable_core.types import HookContext, Storage
from scalable_gcp.storage import GcsStorage
from scalable_gcp.storage_errors import Patience

MIB = 1024 * 1024
ODD_NAMES = [
    "a b.txt", "ä/ö ü/日本語.bin", "50%/100%25.txt", "a+b=c&d?e#f.json", "~/$HOME/`x`/'q'/\"d\".txt",
    "acl", "x/acl", "y/compose", "tab\tin.txt", "emoji 🦦", "a:b@c!(d)*,;[e]{f}|g^h", ".hidden/..name/...",
    "e\u0301 and \u00e9", "x" * 900,
]  # fmt: skip


@pytest.fixture
def storage(gcs) -> GcsStorage:
    return GcsStorage("gs://bucket/some/where")


def test_both_schemes_lead_to_cloud_storage(gcs):
    """`gs` and `gcs`, through the plugin host."""
    names = {entry.name: entry.value for entry in entry_points(group="scalable.artifact_schemes")}
    assert names["gs"] == names["gcs"] == "scalable_gcp.plugin"

    host = PluginHost()
    one = host.open_storage("gs://bucket/a/", HookContext())
    other = host.open_storage("gcs://bucket/a", HookContext())

    assert isinstance(one, Storage)
    one.put("key", b"data")
    assert other.get("key") == b"data"
    assert (one.uri, other.uri) == ("gs://bucket/a", "gcs://bucket/a")


def test_the_plugin_loads_no_sdk():
    """Nor does opening a storage contact anything; the first call does."""
    code = (
        "import sys, scalable_gcp.plugin;"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert not {"google", "gcloud", "aiohttp", "google_crc32c", "requests"} & set(
        done.stdout.split()
    )


def test_what_is_put_can_be_got_listed_and_deleted(storage, tmp_path):
    """Bytes and files, over what was there."""
    file = tmp_path / "file"
    file.write_bytes(b"from a file")

    storage.put("a/one", b"first")
    storage.put("a/one", b"second")
    storage.put("a/two", file)

    assert (storage.get("a/one"), storage.get("a/two")) == (b"second", b"from a file")
    assert [(found.key, found.size) for found in storage.list("a/")] == [
        ("a/one", 6),
        ("a/two", 11),
    ]
    assert all(found.modified > 1.7e9 for found in storage.list(""))
    storage.delete("a/one")
    storage.delete("a/one")
    assert [found.key for found in storage.list("")] == ["a/two"]


@pytest.mark.parametrize("how", ["get", "stream"])
def test_what_is_not_there_is_a_missing_file(storage, how):
    """By its URI."""
    with pytest.raises(FileNotFoundError, match="there is no gs://bucket/some/where/nothing"):
        b"".join(getattr(storage, how)("nothing"))


def test_a_storage_lists_nothing_beside_its_own_prefix(gcs, storage):
    """Also where a name starts with the prefix."""
    storage.put("mine", b"")
    GcsStorage("gs://bucket/some/where-else").put("theirs", b"")

    assert [found.key for found in storage.list("")] == ["mine"]
    assert [found.key for found in GcsStorage("gs://bucket").list("some/where-")] == [
        "some/where-else/theirs"
    ]


def test_all_pages_of_a_listing_are_read(gcs, storage):
    """The service gives as many as it likes at a time."""
    keys = [f"{number:04}" for number in range(130)]
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda key: storage.put(key, b"x"), keys))

    assert [found.key for found in storage.list("")] == keys
    assert len(gcs.requests("GET", "/o?prefix")) == 3


def test_put_if_absent_writes_once(storage):
    """And says who has."""
    assert storage.put_if_absent("lock", b"mine") is True
    assert storage.put_if_absent("lock", b"theirs") is False
    assert storage.get("lock") == b"mine"


def test_one_of_many_threads_gets_the_name(storage):
    """Two hundred at once."""
    with ThreadPoolExecutor(64) as threads:
        won = list(
            threads.map(lambda number: storage.put_if_absent("lock", b"%d" % number), range(200))
        )

    assert won.count(True) == 1
    assert storage.get("lock") == b"%d" % won.index(True)


def test_the_writer_whose_answer_was_lost_still_knows_that_it_has_won(gcs, storage):
    """The second try finds the name taken, by the first."""
    gcs.fault(method="POST", lose=True)

    assert storage.put_if_absent("lock", b"mine") is True
    assert gcs.requests("POST") == [0, 412]
    assert storage.put_if_absent("lock", b"mine") is False


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_are_kept_as_they_are(gcs, storage, name):
    """In the listing and on the way back."""
    storage.put(name, name.encode())

    assert storage.get(name) == name.encode()
    assert [found.key for found in storage.list("")] == [name]
    storage.delete(name)
    assert list(GcsStorage("gs://bucket").list("")) == []


@pytest.mark.parametrize(
    "name",
    ["", "/abs", "a//b", "../up", "a/../b", "a/.", "a\\b", "a\nb", "a\0b", "x" * 1025, "\ud800"],
)
def test_other_names_are_refused_with_a_reason(gcs, storage, name):
    """Before anything is sent."""
    with pytest.raises(StorageError, match="cannot name an object") as caught:
        storage.put(name, b"")

    assert caught.value.cure
    assert gcs.requests("POST") == []


def test_a_uri_without_a_bucket_is_refused():
    """At once."""
    with pytest.raises(StorageError, match="names no bucket"):
        GcsStorage("gs:///prefix")


@pytest.mark.parametrize("how", ["get", "stream"])
def test_a_body_that_is_cut_short_is_continued_where_it_broke(gcs, storage, how):
    """Of the very object that it began with."""
    data = os.urandom(2 * MIB)
    storage.put("key", data)
    gcs.fault(method="GET", path="alt=media", cut=700_000, times=2)

    found = getattr(storage, how)("key")

    assert data == (found if how == "get" else b"".join(found))
    assert len(gcs.requests("GET", "generation=")) == 2


def test_an_object_that_is_replaced_while_it_is_read_is_not_mixed(gcs, storage):
    """The rest of the old one is gone, and the new one has not its bytes."""
    storage.put("key", b"a" * 2 * MIB)
    gcs.fault(method="GET", path="alt=media", cut=700_000)
    pieces = storage.stream("key")
    read = next(pieces)
    storage.put("key", b"b" * 2 * MIB)

    with pytest.raises(FileNotFoundError):
        read += b"".join(pieces)
    assert set(read) == {ord("a")}


def test_bytes_that_are_not_what_their_checksum_says_are_refused(gcs, storage):
    """With both checksums."""
    storage.put("key", b"123456789")
    gcs.fault(method="GET", path="alt=media", checksum="AAAAAA==")

    with pytest.raises(StorageError, match=r"CRC-32C is 4waSgw==, and .* says that it is AAAAAA=="):
        storage.get("key")

    gcs.fault(method="GET", path="alt=media", alter=True)
    with pytest.raises(StorageError, match="and Cloud Storage says that it is 4waSgw=="):
        storage.get("key")
    assert storage.get("key") == b"123456789"


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_troubles_that_pass_are_waited_for(gcs, status):
    """In each kind of call."""
    storage = GcsStorage("gs://bucket", patience=Patience(first=0.05))
    gcs.fault(status=status, times=2)
    storage.put("key", b"data")
    gcs.fault(status=status, times=2)
    assert storage.get("key") == b"data"
    gcs.fault(status=status, times=2)
    assert [found.key for found in storage.list("")] == ["key"]
    gcs.fault(status=status, times=2)
    storage.delete("key")


@pytest.mark.parametrize("size", [10, 9 * MIB])
def test_a_service_that_never_recovers_ends_in_a_sentence(gcs, size):
    """Within the patience, and no upload is left open."""
    storage = GcsStorage("gs://bucket", patience=Patience(seconds=1.0))
    gcs.fault(status=503, times=-1, message="backend is down")

    with pytest.raises(StorageError, match="again and again: backend is down") as caught:
        storage.put("key", b"x" * size)

    assert caught.value.message.startswith(
        "gs://bucket/key cannot be stored: Cloud Storage answers 503"
    )
    assert len(gcs.requests("POST")) > 2
    assert gcs.uploads == {}
