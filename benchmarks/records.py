"""What the records of a run cost: time, bytes and memory; and what a rerun of kept results costs."""

from __future__ import annotations

import itertools
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from clusters import nothing, session, write_manifest
from distributed import Client, wait
from measure import Figure, ratio, report, take_turns, wall

from scalable import ScalableSession, cacheable
from scalable_core.records.dask_plugins import RunPlugin

RUNS = 5
CALLS = 10_000
MANY = 100_000
WORKERS = 3
numbers = itertools.count()  # no call is made twice, so that nothing is answered from memory


@cacheable
def kept(number: int) -> int:
    """Do as little as a task can, and keep it."""
    return number


def call(client: Client) -> float:
    """Return the seconds that all calls take."""

    def work() -> None:
        futures = client.map(nothing, list(itertools.islice(numbers, CALLS)), task="task_0")
        with client.as_current():  # there are two clients, and wait() uses the current one
            wait(futures)

    return wall(work)


def records_on_and_off() -> Figure:
    """Measure a session that keeps records, and one whose scheduler notes nothing."""
    with session(WORKERS) as on, session(WORKERS) as off:
        plugin = off.cluster.scheduler.plugins[RunPlugin.name]
        for name in ("transition", "update_graph", "sample"):
            setattr(plugin, name, lambda *args, **kwargs: None)
        medians = take_turns({"on": lambda: call(on), "off": lambda: call(off)}, RUNS)
    return ratio(f"{CALLS:,} calls, records on against off", medians, "on", "off", 1.10, RUNS)


def many_calls() -> None:
    """Print the bytes of records for each call, and by how many MiB the driver has grown."""
    with tempfile.TemporaryDirectory() as folder:
        started = ScalableSession.from_yaml(write_manifest(Path(folder), WORKERS, 1))
        client = started.start(eager=True)
        client.gather(client.map(nothing, range(1000), task="task_0"))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for first in range(1000, MANY, 5000):
            client.gather(client.map(nothing, range(first, first + 5000), task="task_0"))
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        started.close()
        rows = (started.run_dir / "tasks.jsonl").read_bytes()
        assert rows.count(b"\n") >= MANY
        size = sum(f.stat().st_size for f in started.run_dir.iterdir()) / rows.count(b"\n")
        print(size, grown)


def cached_rerun() -> None:
    """Print the CPU seconds of a rerun in which every result is kept, and the workers it started."""
    with tempfile.TemporaryDirectory() as folder:
        manifest = write_manifest(Path(folder), WORKERS, 1)
        with ScalableSession.from_yaml(manifest) as client:
            client.gather(client.map(kept, range(CALLS)))
        again = ScalableSession.from_yaml(manifest)
        start = time.process_time()
        with again as client:
            assert client.gather(client.map(kept, range(CALLS))) == list(range(CALLS))
        seconds = time.process_time() - start
        assert again.record is not None
        print(seconds, again.record.workers["added"])


def apart(name: str) -> list[float]:
    """Return the numbers that a part of this script prints in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, name], stdout=subprocess.PIPE, text=True, check=True
    )
    return [float(number) for number in done.stdout.split()]


if __name__ == "__main__":
    if sys.argv[1:]:
        {"many": many_calls, "rerun": cached_rerun}[sys.argv[1]]()
        sys.stdout.flush()
        os._exit(0)
    size, grown = apart("many")
    seconds, workers = apart("rerun")
    report(
        [
            records_on_and_off(),
            Figure("records, bytes for each call", size, "B", 600),
            Figure(f"{MANY:,} calls, growth of the driver (MiB)", grown, "", 300),
            Figure(f"rerun of {CALLS:,} kept results, CPU", seconds, "s", 3.0),
            Figure("rerun of kept results: workers started", workers, "", 0),
        ]
    )
