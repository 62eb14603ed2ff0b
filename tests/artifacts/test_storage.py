"""Objects below a URI without any plugin: whole or not at all, in folders, in memory, and in a bucket."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "testbed"))

from bucket import s3_bucket

from scalable_core.artifacts.storage import FolderStorage, FsspecStorage, plain_storage
from scalable_core.errors import StorageError
from scalable_core.plugins import PluginHost
from scalable_core.session.storage import StorageOpener, open_storage
from scalable_core.types import HookContext, Storage


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """A bucket of an S3 server on this machine."""
    with s3_bucket() as uri:
        yield uri


@pytest.fixture(params=["path", "file", "memory", "aside", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    """A storage that is empty."""
    name = uuid.uuid4().hex
    if request.param == "path":
        yield plain_storage(str(tmp_path / name))
    elif request.param == "file":
        yield plain_storage((tmp_path / name).as_uri())
    elif request.param == "memory":
        yield plain_storage(f"memory://{name}")
        fsspec.filesystem("memory").store.clear()
    elif request.param == "aside":  # a file system that shows what is half written
        yield FsspecStorage(f"local://{tmp_path}/{name}")
    else:
        yield plain_storage(f"{request.getfixturevalue('bucket')}/{name}")


def test_it_is_a_storage(storage: Storage) -> None:
    """As the protocol says."""
    assert isinstance(storage, Storage)
    assert not storage.uri.endswith("/")


@pytest.mark.parametrize("size", [0, 1, 3_000_000])
def test_what_is_put_can_be_got(storage: Storage, tmp_path: Path, size: int) -> None:
    """As bytes, in pieces, and from a file."""
    data = os.urandom(size)
    file = tmp_path / "data"
    file.write_bytes(data)
    storage.put("a/b.bin", data)
    storage.put("a/c.bin", file)

    assert storage.get("a/b.bin") == data == storage.get("a/c.bin")
    pieces = list(storage.stream("a/b.bin"))
    assert b"".join(pieces) == data
    assert all(len(piece) <= 2**20 for piece in pieces)


def test_a_second_put_replaces_the_first(storage: Storage) -> None:
    """Whole."""
    storage.put("key", b"one, and much longer")
    storage.put("key", b"two")

    assert storage.get("key") == b"two"


def test_the_first_to_put_if_absent_wins(storage: Storage) -> None:
    """And knows it."""
    assert storage.put_if_absent("a/key", b"one") is True
    assert storage.put_if_absent("a/key", b"two") is False
    assert storage.get("a/key") == b"one"


def test_of_many_threads_one_wins(storage: Storage) -> None:
    """At the same moment."""
    if storage.uri.startswith(("memory:", "local:")):
        pytest.skip("file systems without a condition cannot promise it")
    won: list[int] = []
    start = threading.Barrier(8)

    def run(number: int) -> None:
        start.wait()
        if storage.put_if_absent("key", str(number).encode()):
            won.append(number)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(won) == 1
    assert storage.get("key") == str(won[0]).encode()


def test_what_is_not_there_is_a_file_not_found(storage: Storage) -> None:
    """Also below something that is an object, and removing it is no error."""
    storage.put("a", b"")
    for key in ("b", "a/b"):
        with pytest.raises(FileNotFoundError):
            storage.get(key)
        with pytest.raises(FileNotFoundError):
            list(storage.stream(key))
        storage.delete(key)


def test_a_listing_is_by_key(storage: Storage) -> None:
    """Of all whose key starts with the prefix, whether that ends at a slash or not."""
    began = time.time()
    keys = ["a.txt", "a/1", "a/2/x", "a/20", "ab/1", "b"]
    for key in reversed(keys):
        storage.put(key, key.encode())
    found = list(storage.list(""))

    assert [each.key for each in found] == sorted(keys)
    assert [each.size for each in found] == [len(key) for key in sorted(keys)]
    assert all(abs(each.modified - began) < 3600 for each in found if each.modified is not None)
    assert [each.key for each in storage.list("a/")] == ["a/1", "a/2/x", "a/20"]
    assert [each.key for each in storage.list("a/2")] == ["a/2/x", "a/20"]
    assert [each.key for each in storage.list("none/")] == []


def test_what_is_deleted_is_gone(storage: Storage) -> None:
    """And not listed."""
    storage.put("a/key", b"x")
    storage.delete("a/key")

    assert list(storage.list("")) == []
    with pytest.raises(FileNotFoundError):
        storage.get("a/key")


@pytest.mark.parametrize(
    "key", ["", "/etc/passwd", "../x", "a/../../x", "a//b", ".", "a\\b", "a\0b"]
)
def test_no_key_leads_out_of_the_place(storage: Storage, key: str) -> None:
    """It is refused for reading and for writing."""
    for use in (storage.get, storage.delete, lambda key: storage.put(key, b"x")):
        with pytest.raises(StorageError):
            use(key)


def test_a_bucket_that_is_not_there_is_said_and_not_made(bucket: str) -> None:
    """With a cure."""
    storage = plain_storage("s3://no-such-bucket/prefix")

    with pytest.raises(StorageError, match="no-such-bucket") as caught:
        storage.put("key", b"x")
    assert caught.value.cure
    assert not FsspecStorage(bucket)._fs.exists("no-such-bucket")


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """With its path."""
    (tmp_path / "file").write_text("")

    with pytest.raises(StorageError, match="file"):
        FolderStorage(str(tmp_path / "file" / "below")).put("key", b"x")


@pytest.mark.parametrize("uri", ["nonsense://x", "file://elsewhere/x"])
def test_a_place_that_nobody_knows_is_refused(uri: str) -> None:
    """With a cure."""
    with pytest.raises(StorageError) as caught:
        plain_storage(uri)
    assert caught.value.cure


def test_a_killed_writer_leaves_no_half_object(tmp_path: Path) -> None:
    """What it left aside is not listed, and removed when it is a day old."""
    script = (
        "import sys\n"
        "from scalable_core.artifacts import storage\n"
        "def pieces(data):\n"
        "    yield data\n"
        "    print('half', flush=True)\n"
        "    __import__('time').sleep(600)\n"
        "storage._pieces = pieces\n"
        "storage.FolderStorage(sys.argv[1]).put('key', b'x' * 1000)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half\n"
        process.send_signal(signal.SIGKILL)
    storage = FolderStorage(str(tmp_path))

    assert list(storage.list("")) == []
    (left,) = (tmp_path / ".aside").iterdir()
    old = time.time() - 2 * 86_400
    os.utime(left, (old, old))
    storage.put("other", b"x")
    assert list((tmp_path / ".aside").iterdir()) == []


def test_a_scheme_without_a_plugin_goes_through_fsspec() -> None:
    """And one with a plugin that does not open storage too."""
    host, context = PluginHost(), HookContext()

    assert isinstance(open_storage("memory://a", host=host, context=context), FsspecStorage)
    assert isinstance(open_storage("some/folder", host=host, context=context), FolderStorage)


def test_an_opener_travels(tmp_path: Path) -> None:
    """Pickled into another process, which need not have attrs, pluggy or plugins."""
    opener = StorageOpener(str(tmp_path))
    script = (
        "import pickle, sys\n"
        "for name in ('attrs', 'attr', 'cattrs', 'pluggy'): sys.modules[name] = None\n"
        f"storage = pickle.loads({pickle.dumps(opener)!r})()\n"
        "storage.put('key', b'from there')\n"
        "assert storage.put_if_absent('key', b'') is False\n"
        "assert storage.get('key') == b'from there'\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)

    assert opener().get("key") == b"from there"
    assert opener == StorageOpener(str(tmp_path))
