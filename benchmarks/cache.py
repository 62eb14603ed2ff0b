"""Hits and misses against `joblib.Memory`, for a small argument and for 50 MB, and a rerun of 10,000 calls.

Both hash the argument, and keep and read the result on the same disk; ours also looks at all code that the
function reaches, checks what it reads, and locks the key while it computes.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Memory
from measure import Figure, ratio, report, take_turns, wall

from scalable_core.cache import CachedCall, Place, Store
from scalable_core.cache.fingerprint import fingerprint

RUNS = 7
SMALL, LARGE = 200, 2
CALLS = 10_000
numbers = itertools.count()


def scale(number: int) -> dict[str, float]:
    """A small argument and a small result."""
    return {"number": number, "half": number / 2}


def total(array: np.ndarray) -> float:
    """50 MB in, a number out."""
    return float(array[0])


def double(array: np.ndarray) -> np.ndarray:
    """50 MB in, 50 MB out."""
    return array * 2


def small() -> int:
    """Return a number that was not used before."""
    return next(numbers)


ARRAY = np.random.default_rng(1).random(6_250_000)


def large() -> np.ndarray:
    """Return 50 MB that were not used before."""
    ARRAY[0] = next(numbers)
    return ARRAY


class Ours:
    """A store, used as a client and a worker use it."""

    def __init__(self, folder: Path) -> None:
        self.place = Place(root=str(folder / "ours"))
        self.store = Store(self.place.root)

    def __call__(self, function: Callable[[Any], Any], argument: Any) -> Any:
        found = fingerprint(function, (argument,))
        entry = self.store.get(found.key)
        if entry is not None:
            return entry.value
        self.store.write_code(found.code, found.code_parts)
        call = CachedCall(
            function=function, key=found.key, note=found.note(run="run"), place=self.place
        )
        return call(argument)


class Theirs:
    """joblib's own memory."""

    def __init__(self, folder: Path) -> None:
        memory = Memory(folder / "theirs", verbose=0)
        self.cached = {function: memory.cache(function) for function in (scale, total, double)}

    def __call__(self, function: Callable[[Any], Any], argument: Any) -> Any:
        return self.cached[function](argument)


Way = Ours | Theirs


def misses(way: Way, function: Callable[[Any], Any], fresh: Callable[[], Any], count: int) -> float:
    """Return the seconds of one call that was not made before."""
    seconds = 0.0
    for _ in range(count):
        argument = fresh()
        start = time.perf_counter()
        way(function, argument)
        seconds += time.perf_counter() - start
    return seconds / count


def hits(way: Way, function: Callable[[Any], Any], fresh: Callable[[], Any], count: int) -> float:
    """Return the seconds of one call that was made before."""
    argument = fresh()
    way(function, argument)
    return wall(lambda: [way(function, argument) for _ in range(count)]) / count


def rerun(folder: Path) -> Figure:
    """CPU of looking up many calls that are all kept."""
    store = Store(folder / "rerun")
    for number in range(CALLS):
        found = fingerprint(scale, (number,))
        store.put(found.key, scale(number), found.note())

    def look() -> float:
        start = time.process_time()
        for number in range(CALLS):
            assert store.get(fingerprint(scale, (number,)).key) is not None
        return time.process_time() - start

    medians = take_turns({"rerun": look}, 5)
    return Figure("10,000 cached calls, CPU", medians["rerun"], "s", 3.0, medians, 5)


def main() -> None:
    """Measure in turns and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ways: dict[str, Way] = {"joblib.Memory": Theirs(folder), "Scalable": Ours(folder)}
        for what, function, fresh, count in (
            ("small argument and result", scale, small, SMALL),
            ("50 MB argument", total, large, LARGE),
            ("50 MB argument and result", double, large, LARGE),
        ):
            for how, measure, limit in (("hit", hits, 1.0), ("miss", misses, 1.2)):
                medians = take_turns(
                    {
                        label: lambda way=way: measure(way, function, fresh, count)  # noqa: B023
                        for label, way in ways.items()
                    },
                    RUNS,
                )
                title = f"cache {how}, {what}"
                report([ratio(title, medians, "Scalable", "joblib.Memory", limit, RUNS)])
        report([rerun(folder)])


if __name__ == "__main__":
    main()
