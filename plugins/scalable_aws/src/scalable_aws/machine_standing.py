"""What stands once for each account and project so that members can be instances of EC2."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from scalable_aws.account import Account, CallError
from scalable_aws.options import Ec2Options
from scalable_aws.standing import (
    PROJECT,
    STANDING,
    Standing,
    execution_policy,
    log_group_name,
    make_log_group,
    make_network,
    make_role,
    partition_of,
    standing_name,
    task_policy,
)

#: Services whose own roles an account must have before it makes fleets of machines, and Spot ones.
_LINKED = {
    "AWSServiceRoleForEC2Fleet": "ec2fleet.amazonaws.com",
    "AWSServiceRoleForEC2Spot": "spot.amazonaws.com",
}
_ABSENT = ("NoSuchEntity", "NoSuchEntityException")
_THERE = ("EntityAlreadyExists", "EntityAlreadyExistsException")


async def find_or_make_machines(
    account: Account, options: Ec2Options, project: str, storage: str | None
) -> Standing:
    """Return what stands for machines, making what is not there; no cluster, and one role for everything.

    Args:
        account: Where.
        options: Of the target; what it names is used as it is.
        project: Its name.
        storage: Where artifacts and results go; members may read and write below it.

    Raises:
        ClusterError: Something cannot be found or made.
    """
    name, tags = standing_name(project), {PROJECT: project, STANDING: "true"}
    network, group, profile, _ = await asyncio.gather(
        make_network(account, options, name, tags),
        make_log_group(account, log_group_name(project), tags),
        _profile(account, options, project, storage, tags),
        asyncio.gather(*(_linked(account, *each) for each in _LINKED.items())),
    )
    vpc, subnets, public, security_group = network
    return Standing(
        name=name,
        tags=tags,
        cluster="",
        execution_role="",
        task_role="",
        security_group=security_group,
        log_group=group,
        vpc=vpc,
        subnets=subnets,
        public=public,
        profile=profile,
    )


async def find_image(account: Account, options: Ec2Options, *, gpus: bool) -> str:
    """Return the machine image: the target's own, or the newest one that AWS makes for containers.

    Raises:
        CallError: AWS does not say which that is.
    """
    if options.ami:
        return options.ami
    kind = "gpu/" if gpus else "arm64/" if options.architecture == "arm64" else ""
    name = f"/aws/service/ecs/optimized-ami/amazon-linux-2023/{kind}recommended/image_id"
    answer = await account.call("ssm", "GetParameter", Name=name)
    return str(answer["Parameter"]["Value"])


def profile_name(project: str) -> str:
    """Return the name of the role of a project's machines, and of its instance profile."""
    return f"{standing_name(project)}-machine"


async def _profile(
    account: Account,
    options: Ec2Options,
    project: str,
    storage: str | None,
    tags: Mapping[str, str],
) -> str:
    if options.instance_profile:
        return options.instance_profile
    name, partition = profile_name(project), partition_of(options.region)
    policy = [*execution_policy(project, partition), *task_policy(project, storage, partition)]
    await make_role(account, name, policy, tags, "ec2.amazonaws.com")
    profile = await _find_or_make_profile(account, name, tags)
    if not profile["Roles"]:
        try:
            await account.call(
                "iam", "AddRoleToInstanceProfile", InstanceProfileName=name, RoleName=name
            )
        except CallError as error:
            if error.code not in ("LimitExceeded", "LimitExceededException"):
                raise  # another run has just added it
    return name


async def _find_or_make_profile(
    account: Account, name: str, tags: Mapping[str, str]
) -> dict[str, Any]:
    try:
        answer = await account.call("iam", "GetInstanceProfile", InstanceProfileName=name)
    except CallError as error:
        if error.code not in _ABSENT:
            raise
        answer = await _make_profile(account, name, tags)
    profile: dict[str, Any] = answer["InstanceProfile"]
    return profile


async def _make_profile(account: Account, name: str, tags: Mapping[str, str]) -> dict[str, Any]:
    try:
        return await account.call(
            "iam",
            "CreateInstanceProfile",
            InstanceProfileName=name,
            Path="/scalable/",
            Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
        )
    except CallError as error:
        if error.code not in _THERE:
            raise
        return await account.call("iam", "GetInstanceProfile", InstanceProfileName=name)


async def _linked(account: Account, role: str, service: str) -> None:
    """Have the role that a service needs in the account, for whose first fleet nobody has made it yet."""
    try:
        await account.call("iam", "GetRole", RoleName=role)
    except CallError as error:
        if error.code not in _ABSENT:
            raise
        try:
            await account.call("iam", "CreateServiceLinkedRole", AWSServiceName=service)
        except CallError as refused:
            if refused.code not in ("InvalidInput", "InvalidInputException", *_THERE):
                raise  # those say that it is there already


async def find_profile(account: Account, name: str) -> str | None:
    """Return the name of an instance profile that is there; None when it is not."""
    try:
        await account.call("iam", "GetInstanceProfile", InstanceProfileName=name)
    except CallError as error:
        if error.code not in _ABSENT:
            raise
        return None
    return name


async def remove_profile(account: Account, name: str) -> None:
    """Delete an instance profile; its role is another matter."""
    answer = await account.call("iam", "GetInstanceProfile", InstanceProfileName=name)
    for role in answer["InstanceProfile"]["Roles"]:
        await account.call(
            "iam",
            "RemoveRoleFromInstanceProfile",
            InstanceProfileName=name,
            RoleName=role["RoleName"],
        )
    await account.call("iam", "DeleteInstanceProfile", InstanceProfileName=name)
