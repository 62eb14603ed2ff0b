"""Writers that are killed leave no half entry, and nothing that is never collected."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from scalable_core.cache import CacheEvent, Store

WRITER = """
import sys
import numpy as np
from scalable_core.cache import Store

store = Store(sys.argv[1])
print("ready", flush=True)
number = int(sys.argv[2])
while True:
    number += 1
    value = {"number": number} if number % 3 == 0 else np.full(20_000 + number % 7, number)
    store.put(f"{number % 40:040x}", value, {"function": "f"}, only_if_absent=number % 2 == 0)
    print(number, flush=True)
"""


def check(store: Store, events: list[CacheEvent]) -> int:
    """See that every entry that is there is whole; return how many there are."""
    found = 0
    for number in range(40):
        entry = store.get(f"{number:040x}")
        if entry is None:
            continue
        found += 1
        value = entry.value
        if isinstance(value, dict):
            assert value["number"] % 40 == number
        else:
            assert value[0] % 40 == number
            assert (value == value[0]).all()
            assert len(value) == 20_000 + value[0] % 7
    assert events == []
    return found


def test_writers_killed_at_any_moment_leave_whole_entries(tmp_path: Path) -> None:
    """SIGKILL at 40 random moments of two writers at once: what is read is whole, what is left is collected."""
    root = tmp_path / "cache"
    events: list[CacheEvent] = []
    store = Store(root, report=events.append)
    chance = random.Random(20261124)
    for round_ in range(20):
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", WRITER, str(root), str(round_ * 1000 + offset)],
                stdout=subprocess.PIPE,
                text=True,
            )
            for offset in (0, 500)
        ]
        try:
            for writer in writers:
                assert writer.stdout is not None
                assert writer.stdout.readline() == "ready\n"
                writer.stdout.readline()
            for writer in writers:
                time.sleep(chance.random() * 0.03)
                os.kill(writer.pid, signal.SIGKILL)
                check(store, events)
        finally:
            for writer in writers:
                writer.kill()
                writer.communicate(timeout=60)
    check(store, events)
    store.collect()

    assert check(store, events) > 20
    assert list((root / "aside").glob("*")) == []
    named = {entry.file for entry in store.entries()} | {
        f"{entry.key}.json" for entry in store.entries()
    }
    there = {path.name for path in (root / "entries").glob("*/*")}
    assert there <= named


def test_what_a_living_writer_is_writing_is_not_collected(tmp_path: Path) -> None:
    """Only what the dead have left is removed."""
    store = Store(tmp_path)
    store.put("a" * 40, np.arange(3), {"function": "f"})
    assert store.disk is not None
    (aside,) = [tmp_path / "aside"]
    from scalable_core.cache.writers import _place

    mine = aside / f"{_place()}.{os.getpid()}.abc.value"
    mine.write_bytes(b"x")
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait(60)
    dead = aside / f"{_place()}.{gone.pid}.abc.value"
    dead.write_bytes(b"x")
    foreign = aside / "elsewhere_1.1.abc.value"
    foreign.write_bytes(b"x")
    old = aside / "elsewhere_1.2.abc.value"
    old.write_bytes(b"x")
    os.utime(old, (1, 1))

    assert store.collect() == 2
    assert sorted(aside.glob("*")) == sorted([mine, foreign])


def test_a_lock_whose_holder_died_is_free(tmp_path: Path) -> None:
    """Nothing has to be cleared away; other keys were free all the time."""
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time\nfrom scalable_core.cache import Store\n"
            "with Store(sys.argv[1]).computing('a' * 40):\n    print('held', flush=True)\n    time.sleep(600)",
            str(tmp_path),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with Store(tmp_path).computing("b" * 40) as entry:
            assert entry is None
    finally:
        holder.kill()
        holder.communicate(timeout=60)

    with Store(tmp_path).computing("a" * 40) as entry:
        assert entry is None
