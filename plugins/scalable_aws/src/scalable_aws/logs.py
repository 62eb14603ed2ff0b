"""What members wrote, from CloudWatch."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from typing import Any

from scalable_aws.account import Account, CallError
from scalable_aws.machines import KIND as INSTANCE
from scalable_aws.machines import describe_instances
from scalable_aws.requests import CONTAINER
from scalable_aws.standing import RUN, log_group_name, standing_name
from scalable_aws.tasks import DRIVER, describe_tasks, list_tasks
from scalable_aws.tasks import KIND as TASK
from scalable_core.types import ClusterRecord, HookContext, LogLine

#: Seconds between looks for what is new.
FOLLOW_EVERY = 2.0


def stream_of(name: str, arn: str) -> str:
    """Return the log stream of a member."""
    role = "scheduler" if name.startswith("scheduler-") else "worker"
    if name == DRIVER:
        role = DRIVER
    return f"{role}/{CONTAINER}/{arn.rpartition('/')[2]}"


async def last_lines(account: Account, group: str, stream: str, lines: int) -> Sequence[str]:
    """Return the last lines of a stream; none when it is not there."""
    try:
        answer = await account.call(
            "logs",
            "GetLogEvents",
            logGroupName=group,
            logStreamName=stream,
            limit=lines,
            startFromHead=False,
        )
    except CallError as error:
        if error.code == "ResourceNotFoundException":
            return ()
        raise
    return [str(event["message"]).rstrip("\n") for event in answer["events"]][-lines:]


def reports_of(run: str) -> str:
    """Return the log stream in which the machines of a run say what became of their containers."""
    return f"machines/{run}"


async def new_reports(
    account: Account, group: str, run: str, token: str | None
) -> tuple[list[dict[str, Any]], str | None]:
    """Return what machines have said since a token was returned, and the next token; one call."""
    since = {"nextToken": token} if token else {}
    try:
        answer = await account.call(
            "logs",
            "GetLogEvents",
            logGroupName=group,
            logStreamName=reports_of(run),
            startFromHead=True,
            **since,
        )
    except CallError as error:
        if error.code == "ResourceNotFoundException":
            return [], token  # nothing has gone wrong yet
        raise
    return [json.loads(each["message"]) for each in answer["events"]], answer["nextForwardToken"]


def read(
    record: ClusterRecord, member: str | None, *, follow: bool, context: HookContext
) -> Iterator[LogLine] | None:
    """Return the lines of a run's members in the order of their time; None when there is no log of any.

    Args:
        record: Of the run.
        member: Only this one; None for all.
        follow: Go on until all members have ended.
        context: With the run's folder, whose ledger says which task has which name.

    Raises:
        ClusterError: They cannot be read.
    """
    from scalable_aws import client as aws

    account = Account(record.data.get("region"), record.data.get("profile"))
    group = str(record.data.get("log_group") or log_group_name(record.project))
    arns = _arns(context)
    if member is not None:
        wanted = {"scheduler": "scheduler-0"}.get(member, member)
        arns = {name: arn for name, arn in arns.items() if name == wanted}
    if not arns:
        return None

    def lines() -> Iterator[LogLine]:
        since, seen = 0, set[str]()
        known = dict(arns)
        while True:
            live = follow and aws.run(_alive(account, record))
            events = aws.run(_events(account, group, known, since))
            for event in sorted(events, key=lambda each: each["timestamp"]):
                if event["eventId"] not in seen:
                    seen.add(event["eventId"])
                    since = max(since, int(event["timestamp"]) - 10_000)
                    yield LogLine(
                        member=event["member"],
                        text=str(event["message"]).rstrip("\n"),
                        time=event["timestamp"] / 1000,
                    )
            if not live:
                return
            time.sleep(FOLLOW_EVERY)
            if member is None:
                known |= _arns(context)

    return lines()


def _arns(context: HookContext) -> dict[str, str]:
    """Return the tasks that a run has had, by name, from the lines of its ledger."""
    from scalable_core.cluster import ledger

    arns: dict[str, str] = {}
    if context.run_dir is not None and (context.run_dir / ledger.FILE).exists():
        for line in (context.run_dir / ledger.FILE).read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if row["what"] == "made" and row["kind"] in (TASK, INSTANCE):
                arns[row["id"]] = row["as"]
    return arns


async def _alive(account: Account, record: ClusterRecord) -> bool:
    if record.data.get("cluster_type") == "ec2":
        return bool(await describe_instances(account, {RUN: record.run}, ("pending", "running")))
    cluster = standing_name(record.project)
    arns = await list_tasks(account, cluster, record.run)
    tasks = await describe_tasks(account, cluster, arns)
    return any(task["lastStatus"] != "STOPPED" for task in tasks.values())


async def _events(
    account: Account, group: str, arns: dict[str, str], since: int
) -> list[dict[str, Any]]:
    """Return events of members with their names, from a time in milliseconds on."""
    names = {stream_of(name, arn): name for name, arn in arns.items()}
    streams = sorted(names)
    found = await asyncio.gather(
        *(
            _page(account, group, streams[start : start + 100], since)
            for start in range(0, len(streams), 100)
        )
    )
    return [{**event, "member": names[event["logStreamName"]]} for page in found for event in page]


async def _page(
    account: Account, group: str, streams: list[str], since: int
) -> list[dict[str, Any]]:
    try:
        return await account.pages(
            "logs",
            "FilterLogEvents",
            "events",
            logGroupName=group,
            logStreamNames=streams,
            startTime=since,
        )
    except CallError as error:
        if error.code != "ResourceNotFoundException":
            raise
    found = []
    for stream in streams:  # one of them has written nothing yet, and FilterLogEvents wants all
        try:
            events = await account.pages(
                "logs",
                "FilterLogEvents",
                "events",
                logGroupName=group,
                logStreamNames=[stream],
                startTime=since,
            )
        except CallError as error:
            if error.code != "ResourceNotFoundException":
                raise
            continue
        found += events
    return found
