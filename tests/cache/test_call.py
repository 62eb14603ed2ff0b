"""What a worker runs: look, compute, keep, return."""

from __future__ import annotations

import os
import pickle
import time
from pathlib import Path
from typing import Any

import pytest
from distributed import Client, LocalCluster

from scalable_core.cache import CachedCall, CallKeys, Place, Store
from scalable_core.cache.call import TOPIC


def work(x: int, log: str) -> tuple[int, str]:
    """Do something, and write down that it was done."""
    with open(log, "a") as file:
        file.write(f"{x}\n")
    if x < 0:
        raise ValueError("negative")
    return x * 2, "done"


async def later(x: int) -> int:
    """Do something, as a coroutine."""
    return x + 1


def call(function: Any, args: tuple[Any, ...], place: Place, **more: Any) -> CachedCall:
    """Return what a client would submit."""
    found = CallKeys(function).of(args, {})
    return CachedCall(
        function=function, key=found.key, note=found.note(run="run-1"), place=place, **more
    )


def test_a_call_is_computed_once(tmp_path: Path) -> None:
    """The result of the second comes from the store, which says who made it and how long it took."""
    place, log = Place(root=str(tmp_path / "cache")), str(tmp_path / "log")
    cached = call(work, (3, log), place)

    assert cached(3, log) == (6, "done")
    assert cached(3, log) == (6, "done")
    assert Path(log).read_text() == "3\n"
    entry = Store(tmp_path / "cache").get(cached.key)
    assert entry is not None
    assert entry.value == (6, "done")
    assert entry.seconds > 0
    assert entry.by["run"] == "run-1"
    assert entry.by["pid"] == os.getpid()


def test_an_exception_is_raised_and_not_kept(tmp_path: Path) -> None:
    """The next attempt computes again."""
    place, log = Place(root=str(tmp_path / "cache")), str(tmp_path / "log")
    cached = call(work, (-1, log), place)
    for _ in range(2):
        with pytest.raises(ValueError, match="negative"):
            cached(-1, log)

    assert Path(log).read_text() == "-1\n-1\n"
    assert Store(tmp_path / "cache").get(cached.key) is None


def test_recompute_replaces(tmp_path: Path) -> None:
    """It computes although there is a result."""
    place, log = Place(root=str(tmp_path / "cache")), str(tmp_path / "log")
    call(work, (3, log), place)(3, log)
    call(work, (3, log), place, recompute=True)(3, log)

    assert Path(log).read_text() == "3\n3\n"


def test_a_coroutine_is_waited_for(tmp_path: Path) -> None:
    """What is kept is its result."""
    cached = call(later, (1,), Place(root=str(tmp_path / "cache")))

    assert cached(1) == 2
    entry = Store(tmp_path / "cache").get(cached.key)
    assert entry is not None
    assert entry.value == 2


def test_a_call_can_travel(tmp_path: Path) -> None:
    """By plain pickle."""
    cached = call(work, (3, "x"), Place(root=str(tmp_path / "cache")))

    assert pickle.loads(pickle.dumps(cached)) == cached


def unpicklable(x: int) -> Any:
    """Return what cannot be kept."""
    import threading

    lock: Any = threading.Lock()
    return Holder(lock) if x else lock


class Holder:
    """Travels, but not into a store."""

    def __init__(self, lock: Any) -> None:
        self.lock = lock

    def __reduce__(self) -> Any:
        raise TypeError("this is not to be kept")


def keep_and_forget(cached: CachedCall) -> str:
    """Run a call on a worker and return something that can travel."""
    return type(cached(1)).__name__


def test_workers_keep_results_and_say_what_fails(tmp_path: Path) -> None:
    """Real workers write into the store before the client hears "done"; trouble reaches the scheduler."""
    place, log = Place(root=str(tmp_path / "cache")), str(tmp_path / "log")
    store = Store(tmp_path / "cache")
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
        ) as cluster,
        Client(cluster) as client,
    ):
        keys = [CallKeys(work).of((number, log), {}) for number in range(6)]
        futures = [
            client.submit(
                CachedCall(function=work, key=found.key, note=found.note(), place=place),
                number,
                log,
                key=f"work-{found.key}",
            )
            for number, found in enumerate(keys)
        ]
        for future, found in zip(futures, keys, strict=True):
            value = future.result(timeout=120)
            entry = store.get(found.key)
            assert entry is not None
            assert entry.value == value

        cached = call(unpicklable, (1,), place)
        assert client.submit(keep_and_forget, cached).result(timeout=120) == "Holder"
        end = time.monotonic() + 60
        while not client.get_events(TOPIC) and time.monotonic() < end:
            time.sleep(0.05)
        told = [event for _, event in client.get_events(TOPIC)]

    assert [event["kind"] for event in told] == ["failed"]
    assert told[0]["key"] == cached.key
    assert sorted(Path(log).read_text().split()) == sorted(map(str, range(6)))
