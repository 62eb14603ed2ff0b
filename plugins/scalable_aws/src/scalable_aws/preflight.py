"""What AWS says of a plan before it costs anything: all is asked at once, and everything found is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from scalable_aws.account import Account, CallError
from scalable_aws.images import explain_absence, find_image, find_place
from scalable_aws.network import network_problems
from scalable_aws.options import AwsOptions
from scalable_aws.permissions import permission_problems
from scalable_aws.policy import driver_grants, grants
from scalable_aws.quota import quota_problems
from scalable_aws.tasks import own_task
from scalable_core.types import HookContext, Plan, Problem, WorkerGroup
from scalable_core.types.units import GIB, format_size

#: Seconds for one part; what takes longer is told, and stops nothing.
PATIENCE = 20.0
#: Seconds by which a clock may be wrong; AWS refuses signatures that are wrong by 300.
SKEW = 120.0
#: GiB of the disk of a task; that of a machine is larger.
_DISK = 20
#: Unpacked, an image is about three times as large as in its registry, and both lie on the disk.
_UNPACKED = 4


def preflight(plan: Plan, context: HookContext) -> tuple[Problem, ...]:
    """Return what is wrong with a plan, and what was looked at and is right, as AWS says it now."""
    from scalable_aws import client as aws

    return tuple(aws.run(_look(plan), deadline=context.deadline))


async def _look(plan: Plan) -> list[Problem]:
    options: AwsOptions = plan.target.options
    account = Account.of(options)
    identity = asyncio.ensure_future(account.call("sts", "GetCallerIdentity"))

    own = driver_grants if own_task() else grants

    async def permissions() -> list[Problem]:
        who = str((await asyncio.shield(identity))["Arn"])
        return await permission_problems(account, who, tuple(own(plan)), plan.target.name)

    parts: dict[str, Callable[[], Awaitable[list[Problem]]]] = {
        "credentials": lambda: _identity(account, identity),
        "permissions": permissions,
        "quota": lambda: quota_problems(account, plan),
        "network": lambda: network_problems(account, plan),
        "roles": lambda: _roles(account, options),
        "image": lambda: _images(options, plan),
    }
    found = await asyncio.gather(*(_look_at(where, part) for where, part in parts.items()))
    first = found[0]
    if any(problem.code == "E1151" for problem in first):
        return first  # all the others failed for the same reason
    return [problem for part in found for problem in part]


async def _look_at(where: str, part: Callable[[], Awaitable[list[Problem]]]) -> list[Problem]:
    """Return what one part finds; that it cannot look is a warning, for the run may go well all the same."""
    try:
        return await asyncio.wait_for(part(), PATIENCE)
    except TimeoutError:
        message, cure = f"AWS did not answer within {PATIENCE:g} s", "try again"
    except CallError as error:
        message, cure = f"it could not be looked at: {error.message}", error.cure or ""
    if where == "credentials":
        return [Problem(code="E1151", where=where, message=message, cure=cure)]
    return [Problem(code="W1161", where=where, message=message, cure=cure, severity="warning")]


async def _identity(account: Account, asked: asyncio.Future[dict[str, Any]]) -> list[Problem]:
    try:
        answer = await asyncio.shield(asked)
    except CallError as error:
        message = error.message.rpartition("GetCallerIdentity failed: ")[2]
        return [Problem(code="E1151", where="credentials", message=message, cure=error.cure)]
    message = f"{answer['Arn']} in {account.region}"
    found = [Problem(code="I1151", where="credentials", message=message, severity="info")]
    said = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    skew = (datetime.now(UTC) - parsedate_to_datetime(said)).total_seconds() if said else 0.0
    if abs(skew) > SKEW:
        way = "ahead" if skew > 0 else "behind"
        found.append(
            Problem(
                code="W1152",
                where="credentials",
                message=f"the clock of this machine is {abs(skew):.0f} s {way}; AWS refuses from 300 on",
                cure="set the clock, for example with 'timedatectl set-ntp true'",
                severity="warning",
            )
        )
    return found


async def _roles(account: Account, options: AwsOptions) -> list[Problem]:
    """Look at roles that the target names; those that are made need no look."""
    named = {
        part: getattr(options, f"{part}_role_arn", None) for part in ("execution", "task", "driver")
    }
    looks = (_role(account, part, arn) for part, arn in named.items() if arn)
    return [problem for found in await asyncio.gather(*looks) for problem in found]


async def _role(account: Account, part: str, arn: str) -> list[Problem]:
    name, where = arn.rpartition("/")[2], f"{part}_role_arn"
    try:
        role = (await account.call("iam", "GetRole", RoleName=name))["Role"]
    except CallError as error:
        if error.code not in ("NoSuchEntity", "NoSuchEntityException"):
            raise
        cure = "correct it, or leave it out to have one made"
        return [Problem(code="E1158", where=where, message=f"there is no role {name!r}", cure=cure)]
    trust = role["AssumeRolePolicyDocument"]
    text = trust if isinstance(trust, str) else json.dumps(trust)
    service = "ecs-tasks.amazonaws.com"
    if service not in text:
        message = f"role {name!r} does not trust {service}, so tasks cannot have it"
        cure = f"add {service} to its trust policy: aws iam update-assume-role-policy --role-name {name}"
        return [Problem(code="E1158", where=where, message=message, cure=cure)]
    message = f"{name} may be had by tasks"
    return [Problem(code="I1158", where=where, message=message, severity="info")]


async def _images(options: AwsOptions, plan: Plan) -> list[Problem]:
    found = await asyncio.gather(*(_image(options, group) for group in plan.groups))
    return [problem for part in found for problem in part]


async def _image(options: AwsOptions, group: WorkerGroup) -> list[Problem]:
    reference = group.image or options.image
    if reference is None:
        message = f"component {group.name!r} has no image, and containers need one"
        cure = "set image in the component or in the target"
        return [Problem(code="E1159", where="image", message=message, cure=cure)]
    wanted = f"linux/{'arm64' if options.architecture == 'arm64' else 'amd64'}"
    found, size = [], group.resolved.size if group.resolved else None
    if group.resolved and group.resolved.platforms and wanted not in group.resolved.platforms:
        made = ", ".join(group.resolved.platforms)
        message = f"{reference} is made for {made}, and workers have {wanted}"
        cure = f"build it for {wanted}, or change architecture"
        found.append(Problem(code="E1159", where="image", message=message, cure=cure))
    place = find_place(group.resolved.pinned if group.resolved else reference)
    if place is not None:
        try:
            image = await find_image(Account(place.region, options.profile), place)
        except CallError as error:
            message, cure_of = explain_absence(place, error)
            return [
                *found,
                Problem(code="E1159", where="image", message=message, cure=cure_of),
            ]
        size = size or image.size or None
    disk = getattr(options, "ephemeral_storage", None) or _DISK * GIB
    if size and size * _UNPACKED > disk:
        message = (
            f"{reference} has {format_size(size)} compressed and about four times as much on the disk of"
            f" a worker, which has {format_size(disk)}"
        )
        cure = "write a larger ephemeral_storage, or build a smaller image"
        found.append(
            Problem(code="W1159", where="image", message=message, cure=cure, severity="warning")
        )
    if not found and place is not None:
        message = (
            f"{group.name}: {place.repository} in ECR, {format_size(size) if size else 'an index'}"
        )
        found.append(Problem(code="I1159", where="image", message=message, severity="info"))
    return found
