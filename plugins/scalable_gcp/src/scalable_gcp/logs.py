"""What members have written, as Cloud Logging keeps it."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from typing import Any

from scalable_core.types import ClusterRecord, LogLine
from scalable_gcp.cloud import Cloud
from scalable_gcp.names import DRIVER, stem

#: Entries of one page.
PAGE = 1000
#: Seconds between looks for more: sixty reads a minute are allowed.
LOOK_EVERY = 2.5


#: What a driver passes on: the worker's name, and what it has written.
_OF_WORKER = re.compile(r"(\S+-\d+)  ")


def of_pool(pool: str) -> str:
    """Return the filter for what the instances of a pool write, or of all whose names begin so with ``*``."""
    name = pool.rpartition("/")[2]
    relation = f'=~"^{name[:-1]}"' if name.endswith("*") else f'="{name}"'
    return f'resource.type="cloud_run_worker_pool" AND resource.labels.worker_pool_name{relation}'


def of_job(job: str) -> str:
    """Return the filter for what a job writes, or all whose names begin so with ``*``."""
    name = job.rpartition("/")[2]
    relation = f'=~"^{name[:-1]}"' if name.endswith("*") else f'="{name}"'
    return f'resource.type="cloud_run_job" AND resource.labels.job_name{relation}'


def of_machine(cloud: Cloud, machine: str) -> str:
    """Return the filter for what the containers of a machine write."""
    log = f'logName="projects/{cloud.project}/logs/gcplogs-docker-driver"'
    name = machine.rpartition("/")[2]
    relation = f'=~"^{name[:-1]}"' if name.endswith("*") else f'="{name}"'
    return f"{log} AND jsonPayload.instance.name{relation}"


async def last_lines(cloud: Cloud, which: str, lines: int) -> list[str]:
    """Return the last lines of entries that a filter lets through."""
    entries = await entries_of(cloud, which, count=lines, newest=True)
    return [text_of(entry) for entry in reversed(entries)]


async def entries_of(
    cloud: Cloud, which: str, *, count: int = PAGE, newest: bool = False
) -> list[dict[str, Any]]:
    """Return one page of entries.

    Args:
        cloud: Where.
        which: A filter.
        count: How many.
        newest: Begin at the end.
    """
    body = {
        "resourceNames": [f"projects/{cloud.project}"],
        "filter": which,
        "orderBy": "timestamp desc" if newest else "timestamp asc",
        "pageSize": count,
    }
    answer = await cloud.call("logging", "POST", "entries:list", body)
    found: list[dict[str, Any]] = answer.get("entries", [])
    return found


def text_of(entry: dict[str, Any]) -> str:
    """Return the line that an entry is."""
    if "textPayload" in entry:
        return str(entry["textPayload"])
    return str(entry.get("jsonPayload", {}).get("message", ""))


def member_of(entry: dict[str, Any]) -> str:
    """Return what wrote an entry: the scheduler, the driver, or a pool, by the name of its first worker.

    In the one instance of a job the driver passes on what its workers write, with their names before it.
    """
    labels, said = entry.get("resource", {}).get("labels", {}), entry.get("jsonPayload", {})
    if "job_name" in labels:
        found = _OF_WORKER.match(str(entry.get("textPayload", "")))
        return found[1] if found else DRIVER
    pool = labels.get("worker_pool_name")
    if pool:
        return str(pool).split("-", 2)[2]
    machine = str(said.get("instance", {}).get("name", ""))
    return DRIVER if machine.endswith(f"-{DRIVER}") else "scheduler"


def read_logs(record: ClusterRecord, member: str | None, *, follow: bool) -> Iterator[LogLine]:
    """Yield what the members of a run have written, in order, and go on with what they write.

    Args:
        record: Of the run's cluster.
        member: A worker, ``scheduler`` or ``driver``; None for all. The workers of a pool share one log.
        follow: Go on until the members have ended.

    Raises:
        ClusterError: It cannot be read.
    """
    from scalable_gcp import client
    from scalable_gcp.release import cloud_of, find_jobs, find_machines, find_pools

    cloud, root = cloud_of(record), stem(record.project, record.run)
    parts = (of_pool(f"{root}-*"), of_job(f"{root}-*"), of_machine(cloud, f"{root}-*"))
    which = f"({' OR '.join(f'({part})' for part in parts)})"
    since, seen = "", set[str]()

    async def over() -> bool:
        found = await asyncio.gather(
            find_pools(cloud, f"{root}-"),
            find_jobs(cloud, f"{root}-"),
            find_machines(cloud, record.run),
        )
        return not any(found)

    while True:
        ended = not follow or client.run(over())
        while True:
            after = f' AND timestamp>="{since}"' if since else ""
            entries = client.run(entries_of(cloud, which + after))
            fresh = [each for each in entries if each["insertId"] not in seen]
            for entry in fresh:
                since = str(entry["timestamp"])
                seen.add(str(entry["insertId"]))
                if _is_of(entry, member):
                    name, text = member_of(entry), text_of(entry)
                    if "job_name" in entry.get("resource", {}).get("labels", {}):
                        text = text.removeprefix(f"{name}  ")
                    yield LogLine(member=name, text=text, time=_seconds(since))
            if len(entries) < PAGE or not fresh:
                break
        if ended:
            return
        time.sleep(LOOK_EVERY)


def _is_of(entry: dict[str, Any], member: str | None) -> bool:
    """Whether an entry may be of a member: it is of the scheduler, or of a pool of the worker's component."""
    if member is None or (wrote := member_of(entry)) == member:
        return True
    if "worker_pool_name" not in entry.get("resource", {}).get("labels", {}):
        return False
    return wrote.rpartition("-")[0] == member.rpartition("-")[0]


def _seconds(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
