"""10,000 calls that do nothing through ``client.map(..., task=...)``, against Dask's own ``map``."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from clusters import nothing, plain, session
from distributed import Client, wait
from measure import Figure, ratio, report, take_turns, wall

RUNS = 5
CALLS = 9_999  # a third of it is a whole number
WORKERS = 3
numbers = itertools.count()  # no call is made twice, so that nothing is answered from memory


def call(client: Client, tasks: Sequence[str | None]) -> float:
    """Return the seconds that all calls take, shared out over the tasks."""
    share = CALLS // len(tasks)
    blocks = [(task, list(itertools.islice(numbers, share))) for task in tasks]

    def work() -> None:
        futures = []
        for task, block in blocks:
            futures += client.map(nothing, block, **({"task": task} if task else {}))
        with client.as_current():  # there are two clients, and wait() uses the current one
            wait(futures)

    return wall(work)


def compare(components: int, limit: float) -> Figure:
    """Measure a session with some components in use, and a plain cluster beside it."""
    tasks = [f"task_{i}" for i in range(components)]
    with plain(WORKERS) as theirs, session(WORKERS, components) as ours:
        medians = take_turns(
            {
                "distributed.Client.map": lambda: call(theirs, [None] * components),
                "client.map(task=...)": lambda: call(ours, tasks),
            },
            RUNS,
        )
    name = f"{CALLS:,} calls, {components} component{'s' * (components > 1)}"
    return ratio(name, medians, "client.map(task=...)", "distributed.Client.map", limit, RUNS)


if __name__ == "__main__":
    report([compare(1, 1.10), compare(3, 1.30)])
