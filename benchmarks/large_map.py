"""How long ``client.map`` of 100,000 calls keeps the caller, against Dask's own.

Each measurement has a process of its own, which ends as soon as ``map`` has returned: a scheduler of Dask takes
many minutes to drop 100,000 calls that wait.
"""

from __future__ import annotations

import os
import subprocess
import sys

from clusters import nothing, plain, session
from measure import ratio, report, take_turns, wall

RUNS = 5
CALLS = range(100_000)


def submit(name: str) -> None:
    """Print the seconds until ``map`` returns, and end."""
    cluster, how = (session(2), {"task": "task_0"}) if name == "session" else (plain(2), {})
    with cluster as client:
        futures = []
        print(wall(lambda: futures.extend(client.map(nothing, CALLS, **how))), flush=True)
        os._exit(0)


def measure(name: str) -> float:
    """Return the seconds that a process of its own has measured."""
    command = [sys.executable, __file__, name]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout)


if __name__ == "__main__":
    if sys.argv[1:]:
        submit(sys.argv[1])
    medians = take_turns(
        {
            "distributed.Client.map": lambda: measure("plain"),
            "client.map(task=...)": lambda: measure("session"),
        },
        RUNS,
    )
    name = "map of 100,000 calls, until it returns"
    report([ratio(name, medians, "client.map(task=...)", "distributed.Client.map", 1.2, RUNS)])
