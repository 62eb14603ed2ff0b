"""Objects below an ``s3://`` URI, on moto's server."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from scalable_aws import client
from scalable_aws.storage import S3Storage
from scalable_aws.storage_bucket import Bucket
from scalable_core.errors import StorageError
from scalable_core.types import Storage

MIB = 1024 * 1024


@pytest.fixture
def storage(bucket: str) -> S3Storage:
    """A storage below a prefix."""
    return S3Storage(f"s3://{bucket}/pre fix/")


def test_it_is_a_storage(storage):
    """By the core's own protocol, and its URI ends without a slash."""
    assert isinstance(storage, Storage)
    assert storage.uri.endswith("/pre fix")


@pytest.mark.parametrize("size", [0, 1, 5000, 8 * MIB, 17 * MIB])
def test_what_is_put_is_got_and_streamed(storage, size, tmp_path):
    """As bytes and from a file, whatever the size."""
    data = os.urandom(size)
    path = tmp_path / "file"
    path.write_bytes(data)

    storage.put("bytes", data)
    storage.put("file", path)

    assert storage.get("bytes") == data
    assert storage.get("file") == data
    assert b"".join(storage.stream("file")) == data


def test_what_is_not_there_is_a_missing_file(storage):
    """For get and for stream; and to delete it is no error."""
    with pytest.raises(FileNotFoundError, match="nothing"):
        storage.get("nothing")
    with pytest.raises(FileNotFoundError, match="nothing"):
        next(storage.stream("nothing"))
    storage.delete("nothing")


def test_a_put_takes_the_place_of_what_is_there_and_put_if_absent_does_not(storage):
    """And put_if_absent says which it was."""
    assert storage.put_if_absent("key", b"first")
    assert not storage.put_if_absent("key", b"second")
    assert storage.get("key") == b"first"
    storage.put("key", b"third")
    assert storage.get("key") == b"third"


def test_put_if_absent_of_a_large_object_keeps_the_first(storage):
    """Also when it goes in parts, and no part of the second is left."""
    first, second = os.urandom(17 * MIB), os.urandom(17 * MIB)

    assert storage.put_if_absent("key", first)
    assert not storage.put_if_absent("key", second)

    assert storage.get("key") == first


def test_a_listing_has_all_pages_in_order_below_the_uri_alone(storage, s3, bucket):
    """With sizes and times, and without the markers that consoles make for folders."""
    s3.put_object(Bucket=bucket, Key="pre fix/", Body=b"")
    s3.put_object(Bucket=bucket, Key="pre fixed", Body=b"")
    s3.put_object(Bucket=bucket, Key="other", Body=b"")
    names = [f"a/{number:04}" for number in range(1005)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda name: storage.put(name, b"12"), names))

    found = list(storage.list(""))

    assert [one.key for one in found] == names
    assert {one.size for one in found} == {2}
    assert all(one.modified > 1.6e9 for one in found)
    assert [one.key for one in storage.list("a/100")] == names[1000:]
    assert list(storage.list("b")) == []


ODD = [
    "with space/and  two",
    "plus+and%20percent%",
    "ünïcode/数据/😀",
    "q?a=b&c#d;e=f",
    "'quotes\"<xml>&amp;",
    "tilde~dot.star*(x)[y]{z}|^`",
    "x" * 900,
    "...three/..two.x/.hidden",
]


@pytest.mark.parametrize("key", ODD, ids=range(len(ODD)))
def test_odd_names_are_kept_faithfully(storage, s3, bucket, key):
    """Under just that key for every other client, in listings, and in parts."""
    data = os.urandom(17 * MIB) if key is ODD[2] else key.encode()

    storage.put(key, data)

    assert s3.get_object(Bucket=bucket, Key=f"pre fix/{key}")["Body"].read() == data
    assert storage.get(key) == data
    assert [one.key for one in storage.list("")] == [key]
    storage.delete(key)
    assert list(storage.list("")) == []


@pytest.mark.parametrize(
    "key", ["", "/a", "a//b", "../a", "a/../../b", ".", "a/", "a\0b", "\ud800"]
)
def test_a_key_that_would_leave_the_prefix_is_refused(storage, key):
    """So are those that have no other meaning."""
    with pytest.raises(StorageError):
        storage.put(key, b"")


def test_a_key_longer_than_s3_takes_is_refused_with_its_length(storage):
    """In bytes, prefix and all."""
    with pytest.raises(StorageError, match="1032 bytes, and S3 takes 1024"):
        storage.put("é" * 512, b"")


@pytest.mark.parametrize("uri", ["s3://", "s3:///a", "s3://a", "s3://no space/x", "gs://bucket"])
def test_a_uri_without_a_bucket_is_refused(uri):
    """At once."""
    with pytest.raises(StorageError, match="does not name a bucket"):
        S3Storage(uri)


def test_many_threads_share_one_loop(storage):
    """And get their own bytes back."""
    names = [f"k{number}" for number in range(200)]

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(lambda name: storage.put(name, name.encode()), names))
        assert list(pool.map(storage.get, names)) == [name.encode() for name in names]

    assert [one.name for one in threading.enumerate()].count("scalable-aws") == 1


def test_of_200_writers_of_one_name_one_wins(fast_s3, monkeypatch):
    """All at once, and what is there is the winner's."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", fast_s3)
    storage = S3Storage("s3://bucket/race")

    with ThreadPoolExecutor(200) as pool:
        won = list(
            pool.map(lambda number: storage.put_if_absent("name", b"%d" % number), range(200))
        )

    assert won.count(True) == 1
    assert storage.get("name") == b"%d" % won.index(True)


def test_a_stream_that_is_not_read_to_its_end_leaves_the_client_usable(storage):
    """Its connections are given up."""
    data = os.urandom(40 * MIB)
    storage.put("key", data)

    stream = storage.stream("key")
    assert data.startswith(next(stream))
    stream.close()

    assert storage.get("key") == data


def test_a_forked_child_has_connections_of_its_own(storage):
    """The loop of the parent has no thread there."""
    storage.put("key", b"data")

    pid = os.fork()
    if pid == 0:
        try:
            os._exit(0 if storage.get("key") == b"data" else 1)
        except BaseException:
            os._exit(2)

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.parametrize(
    ("name", "region", "base"),
    [
        ("bucket", None, "https://bucket.s3.us-east-1.amazonaws.com/"),
        ("bucket", "eu-west-1", "https://bucket.s3.eu-west-1.amazonaws.com/"),
        ("dotted.bucket", "eu-west-1", "https://s3.eu-west-1.amazonaws.com/dotted.bucket/"),
        ("bucket", "cn-north-1", "https://bucket.s3.cn-north-1.amazonaws.com.cn/"),
    ],
)
def test_requests_go_to_the_bucket_s_own_region(name, region, base):
    """By the names that AWS has for it; nothing is contacted to know them."""
    bucket = client.run(Bucket.open(name, region))

    assert bucket.base == base


def test_the_plugin_loads_no_sdk():
    """The SDK takes longer to import than most commands."""
    code = (
        "import sys, scalable_aws.plugin\n"
        "heavy = {'aiobotocore', 'botocore', 'boto3', 'aiohttp'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )

    subprocess.run([sys.executable, "-c", code], check=True)
