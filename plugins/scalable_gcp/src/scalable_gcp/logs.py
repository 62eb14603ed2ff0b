"""What members have written, as Cloud Logging keeps it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scalable_core.types import LogLine
from scalable_gcp.cloud import Cloud
from scalable_gcp.names import stem

#: Entries of one page.
PAGE = 1000


def of_pool(pool: str) -> str:
    """Return the filter for what the instances of a pool write, or of all whose names begin so with ``*``."""
    name = pool.rpartition("/")[2]
    relation = f'=~"^{name[:-1]}"' if name.endswith("*") else f'="{name}"'
    return f'resource.type="cloud_run_worker_pool" AND resource.labels.worker_pool_name{relation}'


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
    """Return what wrote an entry: the scheduler, or a pool, by the name of its first worker."""
    pool = entry.get("resource", {}).get("labels", {}).get("worker_pool_name")
    return str(pool).split("-", 2)[2] if pool else "scheduler"


def read_lines(
    cloud: Cloud, project: str, run: str, member: str | None, *, follow: bool, over: Any
) -> Iterator[LogLine]:
    """Yield what the members of a run have written, in order, and go on with what they write.

    Args:
        cloud: Where.
        project: Whose.
        run: Of which run.
        member: A worker or ``scheduler``; None for all.
        follow: Go on until the members have ended.
        over: Says whether they have.
    """
    import time

    from scalable_gcp import client

    root = stem(project, run)
    which = f"(({of_pool(f'{root}-*')}) OR ({of_machine(cloud, f'{root}-*')}))"
    since, seen = "", set[str]()
    while True:
        ended = over() if follow else True
        while True:
            after = f' AND timestamp>="{since}"' if since else ""
            entries = client.run(entries_of(cloud, which + after))
            fresh = [each for each in entries if each["insertId"] not in seen]
            for entry in fresh:
                since = str(entry["timestamp"])
                seen.add(str(entry["insertId"]))
                if member in (None, member_of(entry)):
                    yield LogLine(
                        member=member_of(entry), text=text_of(entry), time=_seconds(since)
                    )
            if len(entries) < PAGE or not fresh:
                break
        if ended:
            return
        time.sleep(2.5)


def _seconds(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
