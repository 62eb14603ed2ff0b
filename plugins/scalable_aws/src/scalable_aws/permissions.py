"""Whether who asks may do what a plan needs: IAM simulates it, or it is tried without being done."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from scalable_aws.account import Account, CallError
from scalable_aws.policy import Grant
from scalable_core.types import Problem

_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}


async def permission_problems(
    account: Account, caller: str, grants: Sequence[Grant], target: str
) -> list[Problem]:
    """Return what who asks lacks.

    Args:
        account: Where.
        caller: Its ARN, as ``sts:GetCallerIdentity`` says it.
        grants: What is needed.
        target: The target's name, for cures.
    """
    if caller.endswith(":root"):
        return [_right(f"{caller} may do everything, which is more than this needs")]
    try:
        principal = await _principal(account, caller)
        lacks = await asyncio.gather(*(_missing(account, principal, grant) for grant in grants))
    except CallError as error:
        if error.code not in _DENIED:
            raise
        return await _try_out(account, target)
    need = {
        each for lack, grant in zip(lacks, grants, strict=True) for each in lack if not grant.once
    }
    once = {each for lack, grant in zip(lacks, grants, strict=True) for each in lack if grant.once}
    cure = f"have them allowed; the whole policy: scalable doctor --target {target} --print-policy"
    found = []
    if need:
        message = f"{caller} may not {', '.join(sorted(need))}"
        found.append(Problem(code="E1153", where="permissions", message=message, cure=cure))
    if once:
        message = (
            f"{caller} may not {', '.join(sorted(once))}: another has to make and remove what stands"
            " for all runs"
        )
        found.append(
            Problem(
                code="W1153", where="permissions", message=message, cure=cure, severity="warning"
            )
        )
    if not found:
        count = len({action for grant in grants for action in grant.actions})
        found.append(_right(f"{caller} may do all {count} actions that this needs"))
    return found


async def _principal(account: Account, caller: str) -> str:
    """Return the user or role that IAM can simulate: sessions of a role are the role, with its path."""
    kind, _, rest = caller.rpartition(":")[2].partition("/")
    if kind != "assumed-role":
        return caller
    role = await account.call("iam", "GetRole", RoleName=rest.partition("/")[0])
    return str(role["Role"]["Arn"])


async def _missing(account: Account, principal: str, grant: Grant) -> set[str]:
    number = principal.split(":")[4]
    arns = [sample(resource, number) for resource in grant.resources if resource != "*"]
    context = [
        {"ContextKeyName": key, "ContextKeyType": "string", "ContextKeyValues": [sample(value, number)]}
        for pairs in grant.condition.values()
        for key, value in pairs.items()
    ]  # fmt: skip
    answer = await account.call(
        "iam",
        "SimulatePrincipalPolicy",
        PolicySourceArn=principal,
        ActionNames=sorted(grant.actions),
        MaxItems=1000,
        **({"ResourceArns": arns} if arns else {}),
        **({"ContextEntries": context} if context else {}),
    )
    allowed = set()
    for result in answer["EvaluationResults"]:
        parts = [each["EvalResourceDecision"] for each in result.get("ResourceSpecificResults", [])]
        if "allowed" in (result["EvalDecision"], *parts):
            allowed.add(result["EvalActionName"])
    return set(grant.actions) - allowed


def sample(pattern: str, account: str) -> str:
    """Return something that a pattern of a policy fits, in an account."""
    parts = pattern.split(":")
    if len(parts) > 5 and parts[4] == "*":
        parts[4] = account
    return ":".join(parts).replace("*", "x")


async def _try_out(account: Account, target: str) -> list[Problem]:
    """Try without doing: only EC2 lets that be done."""
    cure = f"allow iam:SimulatePrincipalPolicy, or compare: scalable doctor --target {target} --print-policy"
    try:
        await account.call(
            "ec2", "CreateSecurityGroup", GroupName="scalable", Description="tried", DryRun=True
        )
    except CallError as error:
        if error.code in _DENIED:
            message = "these credentials may not ec2:CreateSecurityGroup, which every run needs"
            return [Problem(code="E1153", where="permissions", message=message, cure=error.cure)]
        if error.code != "DryRunOperation":
            raise
    message = "whether all permissions are there cannot be simulated with these credentials"
    return [
        Problem(code="W1153", where="permissions", message=message, cure=cure, severity="warning")
    ]


def _right(message: str) -> Problem:
    return Problem(code="I1153", where="permissions", message=message, severity="info")
