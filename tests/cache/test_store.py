"""Entries are whole or not there, and the store says what it does."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scalable_core.cache import CacheEvent, Store
from scalable_core.cache.disk import Disk

KEY = "0123456789abcdef" * 2 + "01234567"
OTHER = "f" * 40
NOTE = {
    "function": "model.run",
    "code": "c" * 40,
    "parts": [("argument year", "a" * 40, "2030")],
    "seconds": 1.25,
    "run": "run-1",
}
VALUES: dict[str, Any] = {
    "inline": {"a": [1, 2]},
    "json": {"text": "x" * 20_000},
    "npy": np.arange(5000.0),
    "pickle": (1, "two", 3.0) * 50,
}


def files(store: Store) -> list[Path]:
    """Return the files of all entries."""
    assert store.disk is not None
    return sorted((store.disk.root / "entries").glob("*/*"))


@pytest.mark.parametrize("kind", VALUES)
def test_what_is_put_is_found(store: Store, kind: str) -> None:
    """With its value, and with readable metadata beside it."""
    assert store.get(KEY) is None
    assert store.put(KEY, VALUES[kind], NOTE)
    entry = store.get(KEY)

    assert entry is not None
    np.testing.assert_equal(entry.value, VALUES[kind])
    assert (entry.function, entry.seconds, entry.by["run"]) == ("model.run", 1.25, "run-1")
    assert entry.parts == (("argument year", "a" * 40, "2030"),)
    document = json.loads(files(store)[-1 if kind == "inline" else 1].read_bytes())
    assert document["function"] == "model.run"
    assert {"user", "host", "pid", "run"} == set(document["by"])
    assert document["size"] > 0


def test_none_is_a_result(store: Store) -> None:
    """A function that returns None is cached too."""
    store.put(KEY, None, NOTE)
    entry = store.get(KEY)

    assert entry is not None
    assert entry.value is None


def test_peeking_reads_no_value(store: Store) -> None:
    """Metadata are enough to know that there is one."""
    store.put(KEY, VALUES["npy"], NOTE)
    entry = store.peek(KEY)

    assert entry is not None
    assert (entry.kind, entry.value) == ("npy", None)


def test_values_are_files_of_their_kind(store: Store) -> None:
    """An array can be read by numpy itself."""
    store.put(KEY, VALUES["npy"], NOTE)
    (path,) = (path for path in files(store) if path.suffix == ".npy")

    np.testing.assert_array_equal(np.load(path), VALUES["npy"])


def test_the_first_to_write_wins(store: Store) -> None:
    """An entry that is there is left, and no value of the second stays behind."""
    store.put(KEY, np.arange(3), NOTE)
    store.put(KEY, np.arange(4), NOTE)
    entry = store.get(KEY)

    assert entry is not None
    np.testing.assert_array_equal(entry.value, np.arange(3))
    assert len(files(store)) == 2


def test_a_result_can_be_replaced(store: Store) -> None:
    """Recomputing leaves only what is new."""
    store.put(KEY, np.arange(3), NOTE)
    store.put(KEY, np.arange(4), NOTE, only_if_absent=False)
    entry = store.get(KEY)

    assert entry is not None
    np.testing.assert_array_equal(entry.value, np.arange(4))
    assert len(files(store)) == 2
    store.put(KEY, 5, NOTE, only_if_absent=False)
    assert len(files(store)) == 1


@pytest.mark.parametrize("kind", VALUES)
def test_a_damaged_byte_is_a_miss_that_repairs_itself(
    store: Store, events: list[CacheEvent], kind: str
) -> None:
    """A byte changed at every 64th of each file of an entry is noticed, said, and computed again."""
    store.put(KEY, VALUES[kind], NOTE)
    whole = {path: path.read_bytes() for path in files(store)}
    for path, data in whole.items():
        for step in range(64):
            events.clear()
            place = min(len(data) - 1, len(data) * step // 64)
            damaged = bytearray(data)
            damaged[place] ^= 1 << (step % 8)
            for each, content in whole.items():
                each.write_bytes(damaged if each == path else content)

            assert store.get(KEY) is None, (path.name, place)
            assert [event.kind for event in events] == ["damaged"]
            assert events[0].key == KEY
            assert files(store) == []
            assert store.put(KEY, VALUES[kind], NOTE)
            entry = store.get(KEY)
            assert entry is not None
            np.testing.assert_equal(entry.value, VALUES[kind])


@pytest.mark.parametrize("kind", VALUES)
def test_a_cut_file_is_a_miss(store: Store, events: list[CacheEvent], kind: str) -> None:
    """As after a power cut: empty, halved, or gone."""
    for cut in (0, 0.5, None):
        for position in range(1 if kind == "inline" else 2):
            store.put(KEY, VALUES[kind], NOTE)
            path = files(store)[position]
            if cut is None:
                path.unlink()
            else:
                os.truncate(path, int(path.stat().st_size * cut))

            assert store.get(KEY) is None
            store.remove(KEY)
            assert files(store) == []


def test_an_entry_under_another_key_is_not_believed(store: Store, events: list[CacheEvent]) -> None:
    """A file that was copied or renamed is damaged."""
    store.put(KEY, 1, NOTE)
    (path,) = files(store)
    moved = path.parents[1] / OTHER[:2] / f"{OTHER}.json"
    moved.parent.mkdir()
    path.rename(moved)

    assert store.get(OTHER) is None
    assert [event.kind for event in events] == ["damaged"]


def test_what_cannot_be_pickled_is_said(store: Store, events: list[CacheEvent]) -> None:
    """The task does not fail for it."""
    assert not store.put(KEY, (number for number in range(3)), NOTE)
    assert [event.kind for event in events] == ["failed"]
    assert "model.run" in events[0].message
    assert files(store) == []


def test_what_cannot_be_read_here_is_left(
    store: Store, events: list[CacheEvent], tmp_path: Path
) -> None:
    """A class that is not installed is no damage: the entry stays until the new result replaces it."""
    (tmp_path / "lost_module.py").write_text("class Lost:\n    pass\n")
    subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; sys.path.insert(0, sys.argv[1]); import lost_module\n"
            "from scalable_core.cache import Store\n"
            f"Store(sys.argv[2]).put({KEY!r}, [lost_module.Lost()], {{'function': 'f'}})",
            str(tmp_path),
            str(tmp_path / "cache"),
        ],
        check=True,
        timeout=60,
    )

    assert store.get(KEY) is None
    assert [event.kind for event in events] == ["unreadable"]
    assert len(files(store)) == 2
    store.put(KEY, 7, NOTE)
    entry = store.get(KEY)
    assert entry is not None
    assert entry.value == 7


def test_entries_can_be_listed(store: Store) -> None:
    """All of them, with function, size and age."""
    keys = {f"{number:040x}" for number in range(30)}
    for key in keys:
        store.put(key, np.arange(3), NOTE)

    assert {entry.key for entry in store.entries()} == keys
    store.remove(KEY)
    store.remove(min(keys))
    assert {entry.key for entry in store.entries()} == keys - {min(keys)}


def test_code_is_kept_once(store: Store) -> None:
    """What many entries share stands under its own digest."""
    parts = (("code model.run", "a" * 40, "def run(): ..."),)
    store.write_code("c" * 40, lambda: parts)
    store.write_code("c" * 40, lambda: parts)

    assert store.read_code("c" * 40) == parts
    assert store.read_code("d" * 40) is None


def test_a_disk_that_is_full_is_said(
    store: Store, events: list[CacheEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the entry stays behind, and nobody fails."""

    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Disk, "_write_file", full)

    assert not store.put(KEY, VALUES["npy"], NOTE)
    assert [event.kind for event in events] == ["failed"]
    assert "No space left" in events[0].message
    assert store.get(KEY) is None


def test_a_small_disk_fills_up_without_harm(tmp_path: Path) -> None:
    """On a real file system of 1 MB: what is there is whole, what is not was said."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    events: list[CacheEvent] = []
    try:
        store = Store(place / "cache", report=events.append)
        kept = [store.put(f"{number:040x}", np.full(12_000, number), NOTE) for number in range(30)]
        assert True in kept
        assert False in kept
        assert len(events) == kept.count(False)
        for number, there in enumerate(kept):
            entry = store.get(f"{number:040x}")
            assert (entry is not None) is there
            if entry is not None:
                np.testing.assert_array_equal(entry.value, np.full(12_000, number))
        with store.computing(OTHER) as entry:
            assert entry is None
        assert list((place / "cache" / "aside").glob("*")) == []
    finally:
        subprocess.run(["umount", str(place)], check=True, timeout=30)


RACER = """
import sys, time
from scalable_core.cache import Store

store = Store(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
with store.computing(sys.argv[2]) as entry:
    if entry is None:
        with open(sys.argv[3], "a") as file:
            file.write("x")
        time.sleep(0.3)
        store.put(sys.argv[2], [42] * 100, {"function": "f"})
    else:
        assert entry.value == [42] * 100
"""


def test_eight_processes_that_want_one_key_compute_it_once(store: Store, tmp_path: Path) -> None:
    """The others wait and take the result."""
    assert store.disk is not None
    log = tmp_path / "log"
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(store.disk.root), KEY, str(log)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(8)
    ]
    try:
        for racer in racers:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "ready\n"
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write("go\n")
            racer.stdin.flush()
        for racer in racers:
            racer.communicate(timeout=120)
    finally:
        for racer in racers:
            racer.kill()
            racer.wait()

    assert [racer.returncode for racer in racers] == [0] * 8
    assert log.read_text() == "x"
    assert len(files(store)) == 1


def test_threads_wait_for_one_another_too(store: Store) -> None:
    """A worker with several threads computes a key once."""
    done: list[int] = []

    def work() -> None:
        with store.computing(KEY) as entry:
            if entry is None:
                done.append(1)
                time.sleep(0.05)
                store.put(KEY, 1, NOTE)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert done == [1]


def test_a_failure_frees_the_key(store: Store) -> None:
    """Exceptions are not kept: the next one computes."""
    with pytest.raises(ZeroDivisionError), store.computing(KEY):
        raise ZeroDivisionError
    with store.computing(KEY) as entry:
        assert entry is None


def test_a_store_without_locks_still_works(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system has no locks two may compute; what is kept is still whole."""
    monkeypatch.setattr("scalable_core.cache.locks._LOCKS", False)
    with store.computing(KEY) as entry:
        assert entry is None
        store.put(KEY, 1, NOTE)

    assert store.get(KEY) is not None


def test_fsync_is_asked_for_by_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``SCALABLE_CACHE_FSYNC=1`` has the disk confirm values, metadata and the folder."""
    synced: list[int] = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda number: (synced.append(number), real(number)))
    Store(tmp_path / "fast").put(KEY, VALUES["npy"], NOTE)
    assert synced == []
    monkeypatch.setenv("SCALABLE_CACHE_FSYNC", "1")
    Store(tmp_path / "sure").put(KEY, VALUES["npy"], NOTE)

    assert len(synced) == 3


def test_the_threads_of_one_process_keep_their_results_beside_each_other(tmp_path: Path) -> None:
    """Eight threads write at once, and each entry is its own."""
    store = Store(tmp_path)
    said: list[bool] = []

    def keep(thread: int) -> None:
        for number in range(40):
            key = f"{thread:08x}{number:032x}"
            said.append(store.put(key, {"value": [thread, number] * 2000}, NOTE))

    threads = [threading.Thread(target=keep, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert said == [True] * 320
    for thread in range(8):
        for number in range(40):
            entry = store.get(f"{thread:08x}{number:032x}")
            assert entry is not None
            assert entry.value["value"][:2] == [thread, number]
