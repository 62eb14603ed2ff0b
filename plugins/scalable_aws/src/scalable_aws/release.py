"""The end of a run on AWS, from its record alone, and what there is under a project's tags."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from scalable_aws.account import Account, CallError
from scalable_aws.machine_standing import find_profile, profile_name, remove_profile
from scalable_aws.machines import TEMPLATE, find_machines, remove_machines
from scalable_aws.options import AwsOptions
from scalable_aws.reach import KIND as GROUP
from scalable_aws.reach import delete_group, find_groups
from scalable_aws.secrets import KIND as PARAMETERS
from scalable_aws.secrets import delete_parameters, find_parameters
from scalable_aws.standing import PROJECT, RUN, STANDING, secrets_path, standing_name
from scalable_aws.tasks import DRIVER, describe_tasks, list_tasks, stop_task
from scalable_aws.tasks import KIND as TASK
from scalable_core.cluster.launcher import Rate
from scalable_core.cluster.ledger import Ledger
from scalable_core.cluster.pace import Bucket
from scalable_core.errors import ClusterError
from scalable_core.types import ClusterRecord, HookContext, ReleaseReport, Resource

#: Seconds that tasks have to stop: 120 to end by themselves, and what ECS needs besides.
STOPPING = 240.0
#: Times that everything is removed and looked for.
ROUNDS = 3
#: Seconds between looks.
LOOK_EVERY = 2.0
#: Seconds after which what was asked for last is shown, if anything came of it.
SETTLING = 5.0


async def release_run(
    account: Account,
    project: str,
    run: str,
    *,
    ledger: Ledger | None = None,
    known: Sequence[str] = (),
    sure: bool = False,
    machines: Sequence[str] | None = None,
    parameters: Sequence[str] = (),
    group: str = "",
) -> list[Resource]:
    """Remove everything of a run in the order that AWS accepts, look again, and return what is left.

    Args:
        account: Where.
        project: Whose.
        run: Its id.
        ledger: Told what is gone; None when nobody keeps one here.
        known: ARNs of tasks that nobody has seen stop.
        sure: These are all; otherwise ECS is given time to show what was asked for last.
        machines: For a run on EC2, the instances that its tags may not show yet; None for one on Fargate.
        parameters: Names of the run's parameters, where they are known; the last look finds others.
        group: Id of its security group, where it is known.
    """
    path = f"{secrets_path(project)}/{run}"
    left: list[Resource] = []
    for _ in range(ROUNDS):  # somebody may have made something while it was removed
        removing = asyncio.ensure_future(_remove_parameters(account, path, parameters))
        try:
            if machines is None:
                await _stop_tasks(account, standing_name(project), run, known, sure=sure)
            else:
                await remove_machines(account, project, run, machines)
        finally:
            await removing
        await _remove_groups(account, project, run, group)
        parameters, group = (), ""  # what is left has to be looked for
        left = await find_of_run(account, project, run, machines=machines is not None)
        if not left:
            break
    if ledger is not None:
        there = {(each.kind, each.id) for each in left}
        for entry in ledger.entries:
            kind, ids = entry.resource.kind, {entry.resource.id, entry.made}
            ours = kind in (PARAMETERS, GROUP, TEMPLATE) or entry.resource.id == DRIVER
            if ours and not {(kind, each) for each in ids} & there:
                await ledger.gone(kind, [entry.resource.id])
    return left


async def find_of_run(
    account: Account, project: str, run: str | None, *, machines: bool | None = None
) -> list[Resource]:
    """Return what there is of a run, or of all runs of a project, found by tag and path.

    Args:
        account: Where.
        project: Whose.
        run: Its id; None for all.
        machines: Its members are on instances, or are tasks; None to look for both.
    """
    cluster, root = standing_name(project), secrets_path(project)
    looks = [_find_tasks(account, cluster, run)] if machines is not True else []
    looks += [find_machines(account, project, run)] if machines is not False else []
    members, groups, names = await asyncio.gather(
        asyncio.gather(*looks),
        find_groups(account, {PROJECT: project, **({RUN: run} if run else {})}),
        find_parameters(account, f"{root}/{run}" if run else root),
    )
    found = [member for part in members for member in part]
    for group in groups:
        tags = {each["Key"]: each["Value"] for each in group.get("Tags", [])}
        if owner := tags.get(RUN):
            found.append(
                Resource(
                    kind=GROUP,
                    id=str(group["GroupId"]),
                    region=account.region,
                    run=owner,
                    hourly=0.0,
                )
            )
    for owner in sorted({name.removeprefix(f"{root}/").split("/")[0] for name in names}):
        found.append(
            Resource(
                kind=PARAMETERS,
                id=f"{root}/{owner}",
                region=account.region,
                run=owner,
                hourly=0.0,
            )
        )
    return found


async def _find_tasks(account: Account, cluster: str, run: str | None) -> list[Resource]:
    arns = await list_tasks(account, cluster, run)
    tasks = await describe_tasks(account, cluster, arns, tags=True)
    found = []
    for arn, task in tasks.items():
        tags = {each["key"]: each["value"] for each in task.get("tags", [])}
        if task["lastStatus"] != "STOPPED" and (run is None or tags.get(RUN) == run):
            created = task.get("createdAt")
            found.append(
                Resource(
                    kind=TASK,
                    id=arn,
                    region=account.region,
                    run=tags.get(RUN, task.get("startedBy")),
                    hourly=_hourly(account.region, task),
                    created=created.isoformat() if isinstance(created, datetime) else None,
                )
            )
    return found


def _hourly(region: str | None, task: dict[str, Any]) -> float | None:
    from scalable_aws.options import FargateOptions
    from scalable_aws.requests import hourly
    from scalable_aws.sizes import FargateSize
    from scalable_core.types.units import GIB, MIB

    arm = any(each.get("value") == "arm64" for each in task.get("attributes", []))
    options = FargateOptions(region=region or "", architecture="arm64" if arm else "x86_64")
    size = FargateSize(cpus=int(task["cpu"]) / 1024, memory=int(task["memory"]) * MIB)
    disk = task.get("ephemeralStorage", {}).get("sizeInGiB")
    spot = task.get("capacityProviderName") == "FARGATE_SPOT"
    return hourly(size, options, spot=spot, disk=disk and disk * GIB)


async def _stop_tasks(
    account: Account, cluster: str, run: str, known: Sequence[str], *, sure: bool
) -> None:
    """Stop all tasks of a run, and wait until they have stopped.

    Those that end by themselves, because their scheduler has gone, need no call of their own.
    """
    started, stops = time.monotonic(), Bucket(Rate(burst=90, per_second=38))
    waiting, told = set(known), set[str]()
    patience = 3 * LOOK_EVERY if known else 0.0
    await asyncio.sleep(LOOK_EVERY / 2 if known else 0.0)
    while time.monotonic() - started < STOPPING:
        listed = set(await list_tasks(account, cluster, run))
        waiting |= listed
        tasks = await describe_tasks(account, cluster, sorted(waiting))
        waiting = {arn for arn, task in tasks.items() if task["lastStatus"] != "STOPPED"}
        settled = sure or time.monotonic() - started > SETTLING
        if not waiting and settled:
            return
        if time.monotonic() - started >= patience:
            for arn in sorted((waiting & listed) - told):
                await stops.take()
                await stop_task(account, cluster, arn, "its run has ended")
                told.add(arn)
        await asyncio.sleep(LOOK_EVERY)


async def _remove_parameters(account: Account, path: str, known: Sequence[str]) -> None:
    await delete_parameters(account, known or await find_parameters(account, path))


async def _remove_groups(account: Account, project: str, run: str, known: str) -> None:
    """Delete a run's security groups; they are in use until the interfaces of its tasks are gone."""
    left = [known]
    if not known:
        groups = await find_groups(account, {PROJECT: project, RUN: run})
        left = [str(group["GroupId"]) for group in groups]
    started, pause = time.monotonic(), 1.0
    while left and time.monotonic() - started < STOPPING:
        left = [each for each in left if not await delete_group(account, each)]
        if left:
            await asyncio.sleep(pause)
            pause = min(10.0, pause * 1.5)


# -- what hooks answer with ----------------------------------------------------------------------------


def release(record: ClusterRecord, context: HookContext, *, provider: str) -> ReleaseReport:
    """Release a run, or with ``standing`` in the context's data what stands for all runs.

    Raises:
        ClusterError: AWS cannot be asked.
    """
    from scalable_aws import client as aws

    account = Account(record.data.get("region"), record.data.get("profile"))
    if context.dry_run:
        return ReleaseReport(provider=provider, remaining=record.resources)
    if context.data.get("standing"):
        left = aws.run(_release_standing(account, record.project))
    else:
        left = aws.run(_release_all(account, record))
    names = {each.id for each in left}
    gone = tuple(each for each in record.resources if each.id not in names)
    return ReleaseReport(provider=provider, released=gone, remaining=tuple(left))


async def _release_all(account: Account, record: ClusterRecord) -> list[Resource]:
    """Release a run whose members are tasks, or machines and maybe a task that drives them."""
    if record.data.get("cluster_type") != "ec2":
        return await release_run(account, record.project, record.run)
    cluster = standing_name(record.project)
    await _stop_tasks(account, cluster, record.run, (), sure=True)
    left = await release_run(account, record.project, record.run, machines=())
    return [*left, *await _find_tasks(account, cluster, record.run)]


def find(options: AwsOptions, run: str | None, context: HookContext) -> tuple[Resource, ...]:
    """Return what carries the project's tags: of a run, or of all runs and what stands.

    Raises:
        ClusterError: AWS cannot be asked.
    """
    from scalable_aws import client as aws

    async def look() -> list[Resource]:
        account = Account.of(options)
        if run is not None:
            return await find_of_run(account, context.project, run)
        found = await asyncio.gather(
            find_of_run(account, context.project, None), find_standing(account, context.project)
        )
        return [resource for part in found for resource in part]

    try:
        return tuple(aws.run(look(), deadline=context.deadline))
    except TimeoutError:
        raise ClusterError(
            "AWS did not say in time what there is", cure="look at the network, or ask again"
        ) from None


async def find_standing(account: Account, project: str) -> list[Resource]:
    """Return what stands for all runs of a project; it costs nothing."""
    name = standing_name(project)

    def each(kind: str, ids: Iterable[str]) -> list[Resource]:
        return [Resource(kind=kind, id=one, region=account.region, hourly=0.0) for one in ids]

    clusters, groups, logs, families, profile, *roles = await asyncio.gather(
        account.call("ecs", "DescribeClusters", clusters=[name]),
        find_groups(account, {PROJECT: project, STANDING: "true"}),
        account.call("logs", "DescribeLogGroups", logGroupNamePrefix=secrets_path(project)),
        account.pages(
            "ecs", "ListTaskDefinitionFamilies", "families", familyPrefix=name, status="ACTIVE"
        ),
        find_profile(account, profile_name(project)),
        *(_role(account, f"{name}-{part}") for part in ("execution", "task", "machine", "driver")),
    )
    alive = [c["clusterArn"] for c in clusters["clusters"] if c.get("status") == "ACTIVE"]
    own = [family for family in map(str, families) if family.rpartition("-")[0] == name]
    names = [g["logGroupName"] for g in logs["logGroups"]]
    return [
        *each("ecs:cluster", alive),
        *each(GROUP, [str(group["GroupId"]) for group in groups]),
        *each("logs:log-group", [n for n in names if n == secrets_path(project)]),
        *each("ecs:task-definition", own),
        *each("iam:instance-profile", [profile] if profile else []),
        *each("iam:role", [role for role in roles if role]),
    ]


async def _role(account: Account, name: str) -> str | None:
    try:
        await account.call("iam", "GetRole", RoleName=name)
    except CallError as error:
        if error.code in ("NoSuchEntity", "NoSuchEntityException"):
            return None
        raise
    return name


async def _release_standing(account: Account, project: str) -> list[Resource]:
    for each in await find_standing(account, project):
        if each.kind == "ecs:task-definition":
            listed = await account.call("ecs", "ListTaskDefinitions", familyPrefix=each.id)
            for arn in listed["taskDefinitionArns"]:
                await account.call("ecs", "DeregisterTaskDefinition", taskDefinition=arn)
        elif each.kind == "ecs:cluster":
            await account.call("ecs", "DeleteCluster", cluster=each.id)
        elif each.kind == "logs:log-group":
            await account.call("logs", "DeleteLogGroup", logGroupName=each.id)
        elif each.kind == "iam:instance-profile":
            await remove_profile(account, each.id)
        elif each.kind == "iam:role":
            await account.call("iam", "DeleteRolePolicy", RoleName=each.id, PolicyName="scalable")
            await account.call("iam", "DeleteRole", RoleName=each.id)
        elif each.kind == GROUP:
            await delete_group(account, each.id)
    return await find_standing(account, project)
