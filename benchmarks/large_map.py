"""How long ``client.map`` of 100,000 calls keeps the caller, against Dask's own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from clusters import nothing, plain, session
from distributed import Client
from measure import ratio, report, take_turns, wall

RUNS = 5
CALLS = range(100_000)


def submit(cluster: Callable[[], AbstractContextManager[Client]], **how: str) -> float:
    """Return the seconds until ``map`` returns; the calls are then dropped with their cluster."""
    with cluster() as client:
        futures = []
        seconds = wall(lambda: futures.extend(client.map(nothing, CALLS, **how)))
        client.cancel(futures)
    return seconds


if __name__ == "__main__":
    medians = take_turns(
        {
            "distributed.Client.map": lambda: submit(lambda: plain(2)),
            "client.map(task=...)": lambda: submit(lambda: session(2), task="task_0"),
        },
        RUNS,
    )
    name = "map of 100,000 calls, until it returns"
    report([ratio(name, medians, "client.map(task=...)", "distributed.Client.map", 1.2, RUNS)])
