"""What AWS and the cluster say of a plan on EKS before it costs anything, and what both must allow."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

from attrs import evolve

from scalable_aws.account import Account, CallError
from scalable_aws.eks_access import Place, access_to
from scalable_aws.images import explain_absence, find_image, find_place
from scalable_aws.options import EksOptions
from scalable_aws.permissions import permission_problems
from scalable_aws.policy import grants
from scalable_core.errors import ClusterError
from scalable_core.types import HookContext, Plan, Policy, Problem
from scalable_kubernetes import permissions
from scalable_kubernetes.access import from_pod, is_driver
from scalable_kubernetes.options import KubernetesOptions

#: Seconds for what AWS is asked, all at once.
PATIENCE = 30.0


def look(plan: Plan, options: KubernetesOptions, context: HookContext) -> list[Problem]:
    """Return what is wrong with a plan, and what was looked at and is right.

    Args:
        plan: For a cluster of EKS.
        options: What its pods are like.
        context: The manifest's folder, and how long to wait.
    """
    from scalable_aws import client as aws
    from scalable_kubernetes.preflight import look_with

    if is_driver():  # all else was asked by who has started it, and its pod has its own way in
        return look_with(plan, options, from_pod(), context.workdir)
    place = Place.of(plan.target.options)
    try:
        found, cluster, arn = aws.run(_ask(plan, place), deadline=context.deadline)
    except CallError as error:
        code = "E1162" if error.code == "ResourceNotFoundException" else "E1151"
        where = "cluster" if code == "E1162" else "credentials"
        return [Problem(code=code, where=where, message=error.message, cure=error.cure)]
    except TimeoutError:
        message = f"AWS did not answer within {PATIENCE:g} s"
        return [Problem(code="E1151", where="credentials", message=message, cure="try again")]
    try:
        access = access_to(place, cluster)
    except ClusterError as error:
        return [
            *found,
            Problem(code="E1162", where="cluster", message=error.message, cure=error.cure),
        ]
    version = f"EKS cluster {place.cluster}, version {cluster.get('version')}"
    found.append(_info("I1162", "cluster", version))
    for problem in look_with(plan, options, access, context.workdir):
        if problem.code == "E1321" and "does not accept who we are" in problem.message:
            entry = (
                f"--cluster-name {place.cluster} --principal-arn {arn} --kubernetes-groups GROUP"
            )
            cure = f"let it in: aws eks create-access-entry {entry}"
            problem = evolve(problem, cure=cure)
        elif problem.code == "E1321" and "cannot be reached" in problem.message:
            cure = "its endpoint may be private, or open to other addresses alone: run where it is reached"
            problem = evolve(problem, cure=cure)
        found.append(problem)
    return found


def policies(plan: Plan, *, provider: str) -> Policy:
    """Return both halves: the policy of IAM, and behind ``---`` the Role of the cluster, as YAML."""
    options: EksOptions = plan.target.options
    aws = tuple(grants(plan))
    document = {"Version": "2012-10-17", "Statement": [grant.statement for grant in aws]}
    role = permissions.policy(options.namespace, provider)
    note = "# The access entry of who runs needs a Kubernetes group, and this Role bound to it:\n"
    text = f"{json.dumps(document, indent=2)}\n---\n{note}{role.text}"
    actions = {action for grant in aws for action in grant.actions}
    return Policy(provider=provider, text=text, actions=tuple(sorted({*actions, *role.actions})))


async def _ask(plan: Plan, place: Place) -> tuple[list[Problem], dict[str, Any], str]:
    """Return what AWS says of who asks and of the images, what EKS says of the cluster, and who asks."""
    account = place.account
    async with asyncio.timeout(PATIENCE):
        identity, cluster = await asyncio.gather(
            account.call("sts", "GetCallerIdentity"), place.describe()
        )
        arn = str(identity["Arn"])
        looks = (_permissions(account, arn, plan), _images(plan))
        parts = await asyncio.gather(*looks)
    found = [_info("I1151", "credentials", f"{arn} in {place.region}")]
    return [*found, *(problem for part in parts for problem in part)], dict(cluster), arn


async def _permissions(account: Account, arn: str, plan: Plan) -> list[Problem]:
    try:
        return await permission_problems(account, arn, tuple(grants(plan)), plan.target.name)
    except CallError as error:
        message = f"permissions could not be looked at: {error.message}"
        return [
            Problem(
                code="W1161",
                where="permissions",
                message=message,
                cure=error.cure,
                severity="warning",
            )
        ]


async def _images(plan: Plan) -> list[Problem]:
    options: EksOptions = plan.target.options
    references = dict.fromkeys(_references(plan))
    found = await asyncio.gather(*(_image(each, options.profile) for each in references))
    return [problem for problem in found if problem is not None]


def _references(plan: Plan) -> Iterator[str]:
    for group in plan.groups:
        reference = group.resolved.pinned if group.resolved else group.image
        if reference is not None:
            yield reference


async def _image(reference: str, profile: str | None) -> Problem | None:
    """Ask ECR for an image of its own; what is elsewhere, the nodes ask for themselves."""
    place = find_place(reference)
    if place is None:
        return None
    try:
        await find_image(Account(place.region, profile), place)
    except CallError as error:
        message, cure = explain_absence(place, error)
        return Problem(code="E1159", where="image", message=message, cure=cure)
    return _info("I1159", "image", f"{place.repository} in ECR")


def _info(code: str, where: str, message: str) -> Problem:
    return Problem(code=code, where=where, message=message, severity="info")
