"""A session and a plain Dask cluster of the same shape, for the benchmarks that compare the two."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from distributed import Client, LocalCluster

from scalable import ScalableSession

logging.getLogger("distributed").setLevel(logging.ERROR)


def nothing(number: int) -> int:
    """Do as little as a task can."""
    return number


def write_manifest(folder: Path, workers: int, components: int) -> Path:
    """Write a manifest with one thread for each worker, and a task ``task_<i>`` for each component."""
    manifest = {
        "version": 1,
        "project": {"name": "benchmark"},
        "targets": {
            "local": {
                "provider": "local",
                "max_workers": workers,
                "threads_per_worker": 1,
                "processes": False,
            }
        },
        "components": {f"part_{i}": {"cpus": 0.1} for i in range(components)},
        "tasks": {f"task_{i}": {"component": f"part_{i}"} for i in range(components)},
    }
    path = folder / "scalable.yaml"
    path.write_text(json.dumps(manifest))  # JSON is YAML too
    return path


@contextmanager
def session(workers: int, components: int = 1) -> Iterator[Client]:
    """A session whose workers are there."""
    with tempfile.TemporaryDirectory() as folder:
        started = ScalableSession.from_yaml(write_manifest(Path(folder), workers, components))
        client = started.start(eager=True)
        try:
            client.wait_for_workers(workers)
            yield client
        finally:
            started.close()


@contextmanager
def plain(workers: int) -> Iterator[Client]:
    """Dask's own local cluster and client, with worker threads in this process too."""
    shape = {"n_workers": workers, "threads_per_worker": 1, "processes": False}
    with (
        LocalCluster(**shape, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        client.wait_for_workers(workers)
        yield client
