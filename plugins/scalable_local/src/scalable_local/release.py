"""The end of worker processes and containers that have outlived their cluster, from its record alone."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from scalable_core.types import ClusterRecord, ReleaseReport, Resource
from scalable_local.containers import remove_containers

#: Kind of `Resource` for a container of docker or podman.
CONTAINER = "container"
#: Kind of `Resource` for a worker process; its id is ``<pid>@<seconds since the epoch at its start>``.
PROCESS = "process"


def process_resource(pid: int, run: str | None) -> Resource | None:
    """Return the record of a process that is there; None when it is gone."""
    import psutil  # type: ignore[import-untyped,unused-ignore]

    try:
        process = psutil.Process(pid)
        born, ended = process.create_time(), process.status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return None
    if ended:
        return None
    return Resource(kind=PROCESS, id=f"{pid}@{born:.2f}", run=run, hourly=0.0)


def release(record: ClusterRecord, *, provider: str, dry_run: bool) -> ReleaseReport:
    """Kill the worker processes that a record names, with what they have started, and the run's containers.

    A process whose id has been given to another one since is left alone.
    """
    released: list[Resource] = []
    remaining: list[Resource] = []
    for resource in record.resources:
        if resource.kind != PROCESS:
            continue
        pid = int(resource.id.partition("@")[0])
        if process_resource(pid, resource.run) == resource and not dry_run:
            _kill(pid)
        gone = process_resource(pid, resource.run) != resource
        (released if gone else remaining).append(resource)
    if not dry_run:
        containers = remove_containers(record.run)
        released += [Resource(kind=CONTAINER, id=name, run=record.run) for name in containers]
    return ReleaseReport(
        provider=provider,
        released=tuple(released),
        remaining=tuple(remaining),
        notes=("local workers end with the process that started them",),
    )


def _kill(pid: int) -> None:
    import psutil  # type: ignore[import-untyped,unused-ignore]

    with suppress(OSError):
        os.killpg(pid, signal.SIGKILL)
    with suppress(psutil.Error):
        psutil.Process(pid).wait(timeout=10)
