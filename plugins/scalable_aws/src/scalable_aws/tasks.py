"""Tasks of ECS as they are found, described and stopped, with as few calls as the service allows."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from scalable_aws.account import Account, CallError
from scalable_core.cluster.ledger import Ledger
from scalable_core.types import Resource

KIND = "ecs:task"
#: What the driver of a detached run is called, beside members.
DRIVER = "driver"
#: Tasks in one ``DescribeTasks``.
PAGE = 100


def own_task() -> str | None:
    """Return the ARN of the task that this process is, if it is the driver of a detached run."""
    return os.environ.get("SCALABLE_DRIVER_TASK")


async def note_own_task(ledger: Ledger, region: str | None) -> None:
    """Put the task that this process is into the ledger of its run, if it is one."""
    if own := own_task():
        await ledger.intend([Resource(kind=KIND, id=DRIVER, region=region, run=ledger.run)])
        await ledger.made(KIND, {DRIVER: own})


async def list_tasks(
    account: Account, cluster: str, run: str | None, status: str = "RUNNING"
) -> list[str]:
    """Return the ARNs of a run's tasks, or of all, that are meant to run (or to stop).

    A cluster that is not there has none. The task that this process is, as driver of a detached run, is left
    out: it ends by itself when all the others are gone.
    """
    only = {"startedBy": run[:128]} if run else {}
    answer: dict[str, Any] = {}
    arns: list[str] = []
    while not answer or answer.get("nextToken"):
        more = {"nextToken": answer["nextToken"]} if answer else {}
        try:
            answer = await account.call(
                "ecs", "ListTasks", cluster=cluster, desiredStatus=status, **only, **more
            )
        except CallError as error:
            if error.code == "ClusterNotFoundException":
                return []
            raise
        arns += answer["taskArns"]
    own = own_task()
    return [arn for arn in arns if arn != own]


async def describe_tasks(
    account: Account, cluster: str, arns: Sequence[str], *, tags: bool = False
) -> dict[str, dict[str, Any]]:
    """Return what ECS says of tasks, by ARN; what it does not know is left out."""
    found: dict[str, dict[str, Any]] = {}
    include = {"include": ["TAGS"]} if tags else {}
    for start in range(0, len(arns), PAGE):
        answer = await account.call(
            "ecs",
            "DescribeTasks",
            cluster=cluster,
            tasks=list(arns[start : start + PAGE]),
            **include,
        )
        found |= {task["taskArn"]: task for task in answer["tasks"]}
    return found


async def find_or_register(account: Account, wanted: Mapping[str, Any]) -> str:
    """Return the ARN of a task definition, registered unless that was done before."""
    try:
        answer = await account.call(
            "ecs", "DescribeTaskDefinition", taskDefinition=wanted["family"]
        )
        if answer["taskDefinition"].get("status", "ACTIVE") == "ACTIVE":
            return str(answer["taskDefinition"]["taskDefinitionArn"])
    except CallError as error:
        if error.code != "ClientException":
            raise
    answer = await account.call("ecs", "RegisterTaskDefinition", **wanted)
    return str(answer["taskDefinition"]["taskDefinitionArn"])


async def stop_task(account: Account, cluster: str, arn: str, reason: str) -> None:
    """Have a task end; one that is gone is no error."""
    try:
        await account.call("ecs", "StopTask", cluster=cluster, task=arn, reason=reason)
    except CallError as error:
        if error.code not in ("InvalidParameterException", "ClusterNotFoundException"):
            raise
