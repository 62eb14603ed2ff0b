"""A shared place: read through, written behind, and never trusted with a pickle that nobody signed."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "testbed"))

from bucket import s3_bucket

from scalable_core.artifacts.storage import plain_storage
from scalable_core.cache import CacheEvent, Store
from scalable_core.cache.metadata import unseal
from scalable_core.cache.remote import Remote
from scalable_core.cache.signing import ensure_key, is_signed, key_from, read_key, sign
from scalable_core.errors import UsageError
from scalable_core.session.storage import StorageOpener

KEY = "0123456789abcdef" * 2 + "01234567"
NOTE = {"function": "model.run", "code": "c" * 40}
SECRET = bytes(range(32))


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """A bucket of an S3 server on this machine."""
    with s3_bucket() as uri:
        yield uri


@pytest.fixture(params=["memory", "file", "disk", "s3"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URI of a shared place that is empty."""
    name = uuid.uuid4().hex
    if request.param == "memory":
        yield f"memory://{name}"
        fsspec.filesystem("memory").store.clear()
    elif request.param == "s3":
        yield f"{request.getfixturevalue('bucket')}/{name}"
    else:
        yield f"file://{tmp_path}/{name}" if request.param == "file" else f"{tmp_path}/{name}"


def opened(
    tmp_path: Path,
    shared: str,
    name: str | None = "one",
    secret: bytes | None = SECRET,
    events: list[CacheEvent] | None = None,
    *,
    listed: bool = False,
) -> Store:
    """Return a store of one machine, or of none, with the shared place."""
    return Store(
        None if name is None else tmp_path / name,
        remote=Remote(StorageOpener(shared), listed=listed),
        secret=secret,
        report=None if events is None else events.append,
    )


@pytest.mark.parametrize("value", [{"a": 1}, np.arange(5.0), (1, 2)], ids=["json", "npy", "pickle"])
def test_what_one_machine_keeps_another_finds(tmp_path: Path, shared: str, value: Any) -> None:
    """Through the shared place, and then from its own disk."""
    one, two = opened(tmp_path, shared), opened(tmp_path, shared, "two")
    one.write_code("c" * 40, lambda: [("code model.run", "a", "def run(): ...")])
    assert one.put(KEY, value, NOTE)
    assert one.flush(60)
    found = two.get(KEY)

    assert found is not None
    np.testing.assert_equal(found.value, value)
    assert two.read_code("c" * 40) == (("code model.run", "a", "def run(): ..."),)
    again = Store(tmp_path / "two").get(KEY)
    assert again is not None
    np.testing.assert_equal(again.value, value)


def test_a_machine_without_a_disk_uses_the_shared_place(tmp_path: Path, shared: str) -> None:
    """Written before put returns; found by the next one."""
    assert opened(tmp_path, shared, None).put(KEY, np.arange(3), NOTE)
    found = opened(tmp_path, shared, None).get(KEY)

    assert found is not None
    np.testing.assert_array_equal(found.value, np.arange(3))


def test_the_first_to_write_wins(tmp_path: Path, shared: str) -> None:
    """Also in a shared place."""
    opened(tmp_path, shared, None).put(KEY, 1, NOTE)
    opened(tmp_path, shared, None).put(KEY, 2, NOTE)
    found = opened(tmp_path, shared, None).get(KEY)

    assert found is not None
    assert found.value == 1


class Danger:
    """Runs code when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("attacker", [None, b"x" * 32], ids=["unsigned", "another key"])
def test_a_pickle_that_is_not_signed_is_not_read(
    tmp_path: Path, shared: str, attacker: bytes | None
) -> None:
    """Who can write to a bucket cannot run code here; the refusal is said and nothing is copied."""
    trace, events = tmp_path / "trace", []
    opened(tmp_path, shared, None, attacker).put(KEY, Danger(trace), NOTE)
    store = opened(tmp_path, shared, "victim", SECRET, events)

    assert store.get(KEY) is None
    assert not trace.exists()
    assert [event.kind for event in events] == ["refused"]
    assert not (tmp_path / "victim").exists()
    store.put(KEY, (1, 2), NOTE)
    assert store.flush(60)
    healed = opened(tmp_path, shared, "third").get(KEY)
    assert healed is not None
    assert healed.value == (1, 2)


def test_without_a_key_no_pickle_is_read(tmp_path: Path, shared: str) -> None:
    """Not even one's own: nothing can be told about it."""
    opened(tmp_path, shared, None, SECRET).put(KEY, (1, 2), NOTE)

    assert opened(tmp_path, shared, None, None).get(KEY) is None


def test_plain_values_need_no_signature(tmp_path: Path, shared: str) -> None:
    """Reading JSON and arrays runs no code."""
    opened(tmp_path, shared, None, None).put(KEY, np.arange(3), NOTE)

    assert opened(tmp_path, shared, None, SECRET).get(KEY) is not None


def test_a_signature_covers_everything(tmp_path: Path, shared: str) -> None:
    """A signed entry with another value, another kind or another key is damaged or refused."""
    trace = tmp_path / "trace"
    opened(tmp_path, shared, None).put(KEY, (1, 2), NOTE)
    fs, base = fsspec.url_to_fs(shared)
    (value,) = (path for path in fs.find(base) if path.endswith(".pickle"))
    fs.pipe_file(value, pickle.dumps(Danger(trace)))

    assert opened(tmp_path, shared, None).get(KEY) is None
    assert not trace.exists()


def test_a_name_that_leads_elsewhere_is_not_followed(tmp_path: Path, shared: str) -> None:
    """Metadata can only name the entry's own file."""
    from scalable_core.cache.metadata import seal

    opened(tmp_path, shared, None).put(KEY, np.arange(3), NOTE)
    fs, base = fsspec.url_to_fs(shared)
    (path,) = (path for path in fs.find(base) if path.endswith(".json"))
    fields, _ = unseal(fs.cat_file(path), None)
    for name in ("../../../victim.npy", "/etc/hostname", f"{KEY}.x/../../y.npy"):
        fs.pipe_file(path, seal({**fields, "file": name}, None))
        assert opened(tmp_path, shared, "two").get(KEY) is None
        assert not list(tmp_path.glob("two/entries/*/*"))


def test_a_damaged_shared_entry_is_repaired(tmp_path: Path, shared: str) -> None:
    """It is a miss, it is removed, and the next result takes its place."""
    events: list[CacheEvent] = []
    opened(tmp_path, shared, None).put(KEY, np.arange(3), NOTE)
    fs, base = fsspec.url_to_fs(shared)
    (value,) = (path for path in fs.find(base) if path.endswith(".npy"))
    fs.pipe_file(value, fs.cat_file(value)[:-1])
    store = opened(tmp_path, shared, None, events=events)

    assert store.get(KEY) is None
    assert [event.kind for event in events] == ["damaged"]
    store.put(KEY, np.arange(4), NOTE)
    found = store.get(KEY)
    assert found is not None
    np.testing.assert_array_equal(found.value, np.arange(4))


def test_a_place_out_of_reach_is_asked_once(tmp_path: Path) -> None:
    """A shared place that fails is a miss, said once, and does not delay every call."""
    events: list[CacheEvent] = []
    store = opened(tmp_path, "memory://away", events=events)
    assert store.remote is not None
    calls: list[str] = []

    def fail(key: str) -> bytes:
        calls.append(key)
        raise ConnectionError("no route")

    store.remote.read = fail  # type: ignore[method-assign]

    assert store.get(KEY) is None
    assert store.get("f" * 40) is None
    assert calls == [KEY]
    assert [event.kind for event in events] == ["unreadable"]
    store.put(KEY, 1, NOTE)
    assert store.get(KEY) is not None


def test_a_list_of_keys_answers_for_what_is_not_there(tmp_path: Path, shared: str) -> None:
    """Ten thousand misses are one listing."""
    opened(tmp_path, shared, None).put(KEY, 1, NOTE)
    store = opened(tmp_path, shared, None, listed=True)
    assert isinstance(store.remote, Remote)
    assert store.get(KEY) is not None
    calls: list[str] = []
    store.remote._get = lambda path: calls.append(path)  # type: ignore[method-assign,func-returns-value]

    assert [store.get(f"{number:040x}") for number in range(100)] == [None] * 100
    assert calls == []


def test_what_a_killed_process_did_not_send_the_next_one_sends(tmp_path: Path) -> None:
    """A mark stands for each entry that has not arrived."""
    shared = f"file://{tmp_path}/shared"
    script = (
        "import os, sys\n"
        "from scalable_core.cache import Store\n"
        "from scalable_core.artifacts.storage import plain_storage\n"
        "from scalable_core.cache.remote import Remote\n"
        "import scalable_core.cache.uploads as uploads\n"
        "uploads.Uploads._send = lambda self, key: __import__('time').sleep(600)\n"
        "store = Store(sys.argv[1], remote=Remote(plain_storage(sys.argv[2])))\n"
        f"store.put({KEY!r}, [1, 2], {{'function': 'f'}})\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "one"), shared], timeout=60)
    assert Remote(plain_storage(shared)).read(KEY) is None
    store = opened(tmp_path, shared)
    store.collect()

    assert store.flush(60)
    assert Remote(plain_storage(shared)).read(KEY) is not None
    assert list((tmp_path / "one" / "unsent").glob("*")) == []


def test_values_whose_metadata_never_came_are_collected(tmp_path: Path) -> None:
    """After a day."""
    remote = Remote(plain_storage(str(tmp_path / "shared")))
    Store(None, remote=remote).put(KEY, np.arange(3), NOTE)
    (value,) = (tmp_path / "shared" / "entries").glob("*/*.npy")
    orphan = value.with_name("f" * 40 + ".0123456789abcdef.npy")
    orphan.write_bytes(b"x")

    assert remote.collect() == 0
    old = time.time() - 2 * 86_400
    os.utime(orphan, (old, old))
    os.utime(value, (old, old))
    assert remote.collect() == 1
    assert value.exists()


def test_signatures_tell_keys_apart() -> None:
    """Only the same key and the same bytes."""
    signature = sign(SECRET, b"data")

    assert is_signed(SECRET, b"data", signature)
    assert not is_signed(SECRET, b"date", signature)
    assert not is_signed(b"y" * 32, b"data", signature)
    assert not is_signed(None, b"data", sign(None, b"data"))


def test_a_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    """A project has one key."""
    path = tmp_path / "deep" / "cache.key"

    assert read_key(path) is None
    key = ensure_key(path)
    assert len(key) == 32
    assert ensure_key(path) == key == read_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert key_from({"SCALABLE_CACHE_KEY": key.hex()}) == key
    assert key_from({"SCALABLE_CACHE_KEY_FILE": str(path)}) == key
    assert key_from({}) is None


def test_something_else_than_a_key_is_refused(tmp_path: Path) -> None:
    """With the place and the cure."""
    path = tmp_path / "cache.key"
    path.write_text("hello")

    with pytest.raises(UsageError, match="scalable cache key"):
        read_key(path)
    with pytest.raises(UsageError, match="SCALABLE_CACHE_KEY"):
        key_from({"SCALABLE_CACHE_KEY": "abc"})


def test_metadata_are_json_that_people_read(tmp_path: Path) -> None:
    """Signed or not."""
    store = Store(tmp_path, secret=SECRET)
    store.put(KEY, {"a": 1}, NOTE)
    (path,) = tmp_path.glob("entries/*/*.json")
    document = json.loads(path.read_text())

    assert document["value"] == {"a": 1}
    assert document["schema"] == "scalable.cache/1"
