"""Instances of EC2 and their launch templates as they are found and removed, by tag."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import Any

from scalable_aws.account import Account, CallError
from scalable_aws.prices import machine_price, price_book
from scalable_aws.standing import PROJECT, RUN
from scalable_core.types import Resource

KIND = "ec2:instance"
TEMPLATE = "ec2:launch-template"
#: Says how many members an instance holds.
SLOTS = "scalable-slots"
#: Instances in one ``TerminateInstances``.
_AT_ONCE = 100
#: Seconds that instances have to end, and between looks.
STOPPING, LOOK_EVERY = 300.0, 3.0
_ALIVE = ("pending", "running", "stopping", "shutting-down", "stopped")


async def describe_instances(
    account: Account, tags: dict[str, str], states: Sequence[str] = ()
) -> dict[str, dict[str, Any]]:
    """Return what EC2 says of the instances that carry tags, by id; in all states, or only in some."""
    filters = [{"Name": f"tag:{key}", "Values": [value]} for key, value in tags.items()]
    filters += [{"Name": "instance-state-name", "Values": list(states)}] if states else []
    pages = await account.pages(
        "ec2", "DescribeInstances", "Reservations", Filters=filters, MaxResults=1000
    )
    return {each["InstanceId"]: each for page in pages for each in page["Instances"]}


async def terminate(account: Account, ids: Iterable[str]) -> None:
    """Have instances end, for good; one that is gone is no error."""
    waiting = sorted(ids)
    for start in range(0, len(waiting), _AT_ONCE):
        batch = waiting[start : start + _AT_ONCE]
        try:
            await account.call("ec2", "TerminateInstances", InstanceIds=batch)
        except CallError as error:
            if error.code != "InvalidInstanceID.NotFound":
                raise
            for one in batch if len(batch) > 1 else ():  # one unknown id keeps all the others
                await terminate(account, [one])


async def find_machines(account: Account, project: str, run: str | None) -> list[Resource]:
    """Return the members on instances, and the launch templates, of a run or of all."""
    tags = {PROJECT: project, **({RUN: run} if run else {})}
    instances, templates = await asyncio.gather(
        describe_instances(account, tags, _ALIVE[:2]), _templates(account, tags)
    )
    found = [member for each in instances.values() for member in _members(account, each)]
    for template in templates:
        found.append(
            Resource(
                kind=TEMPLATE,
                id=str(template["LaunchTemplateName"]),
                region=account.region,
                run=_tags(template).get(RUN),
                hourly=0.0,
            )
        )
    return found


async def remove_machines(
    account: Account, project: str, run: str, known: Iterable[str] = ()
) -> None:
    """End the instances of a run, wait until they have ended, and delete its launch templates.

    Args:
        account: Where.
        project: Whose.
        run: Its id.
        known: Instances that the tags may not show yet.
    """
    tags = {PROJECT: project, RUN: run}
    started, told = time.monotonic(), set[str]()
    waiting = set(known)
    await _remove_templates(account, tags)  # first, so that nothing comes of them any more
    while time.monotonic() - started < STOPPING:
        there = await describe_instances(account, tags, _ALIVE)
        fresh = (set(there) | (waiting - told)) - told
        await terminate(account, fresh)
        told |= fresh
        waiting = set(there)
        if not waiting:
            return
        await asyncio.sleep(LOOK_EVERY)


async def _remove_templates(account: Account, tags: dict[str, str]) -> None:
    for template in await _templates(account, tags):
        try:
            await account.call(
                "ec2", "DeleteLaunchTemplate", LaunchTemplateId=template["LaunchTemplateId"]
            )
        except CallError as error:
            if "NotFound" not in error.code:
                raise


async def _templates(account: Account, tags: dict[str, str]) -> list[dict[str, Any]]:
    filters = [{"Name": f"tag:{key}", "Values": [value]} for key, value in tags.items()]
    return await account.pages(
        "ec2", "DescribeLaunchTemplates", "LaunchTemplates", Filters=filters, MaxResults=200
    )


def _members(account: Account, instance: dict[str, Any]) -> Iterable[Resource]:
    tags, launched = _tags(instance), instance.get("LaunchTime")
    slots = int(tags.get(SLOTS, "1"))
    for slot in range(slots):
        yield Resource(
            kind=KIND,
            id=f"{instance['InstanceId']}.{slot}",
            region=account.region,
            run=tags.get(RUN),
            hourly=_hourly(account.region or "", instance, slots),
            created=launched.isoformat() if launched is not None else None,
        )


def _hourly(region: str, instance: dict[str, Any], slots: int) -> float | None:
    book = price_book(region)
    for machine in book.machines():
        if machine.name == instance["InstanceType"]:
            spot = instance.get("InstanceLifecycle") == "spot"
            price = machine_price(book, machine, spot=spot)
            return None if price is None else price.usd / slots
    return None


def _tags(thing: dict[str, Any]) -> dict[str, str]:
    return {each["Key"]: each["Value"] for each in thing.get("Tags", [])}
