"""What is asked of ECS and what it answers, as plain data. Pure: nothing here calls anything."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from scalable_aws.options import FargateOptions
from scalable_aws.prices import fargate_price, price_book
from scalable_aws.sizes import FargateSize, fit, misfit
from scalable_aws.standing import Standing
from scalable_core.cluster.launcher import (
    FailureKind,
    LaunchFailure,
    Member,
    MemberGroup,
    Offer,
    State,
)
from scalable_core.errors import UsageError
from scalable_core.types.units import GIB, MIB

CONTAINER = "member"
#: Seconds that ECS waits between SIGTERM and SIGKILL: the most that Fargate allows.
STOP_TIMEOUT = 120
PROVIDERS = {"spot": "FARGATE_SPOT", "on-demand": "FARGATE"}
#: Bytes of a task's own disk that cost nothing.
_FREE_DISK = 20 * GIB

_STATES: dict[str, State] = {
    "PROVISIONING": "pending",
    "PENDING": "pending",
    "ACTIVATING": "pending",
    "RUNNING": "running",
    "DEACTIVATING": "stopping",
    "STOPPING": "stopping",
    "DEPROVISIONING": "stopping",
    "STOPPED": "stopped",
    "DELETED": "stopped",
}
#: ECS takes the task back with these, or its hardware is ill: not the member's fault.
_TAKEN_BACK = {"SpotInterruption", "TerminationNotice", "InfrastructureHealth"}
#: What the words of a failure amount to; the first that fits counts.
_MEANINGS: tuple[tuple[str, FailureKind], ...] = (
    (r"i/o timeout|deadline exceeded|connection (issue|refused|reset)|no such host", "other"),
    (r"vCPU|limit on the number of tasks|quota|LimitExceeded", "quota"),
    (r"[Cc]apacity is unavailable|CapacityError|RESOURCE:|no capacity|InsufficientFree", "no-capacity"),
    (r"CannotPull|pull image|ImagePull|manifest|Platform.*match", "image"),
    (r"assume the role|AccessDenied|not authorized|registry auth", "permission"),
)  # fmt: skip


def size_of(group: MemberGroup, options: FargateOptions) -> FargateSize:
    """Return the size of a group's tasks, rounded up to one that Fargate has.

    Raises:
        UsageError: There is none that is large enough, or it needs GPUs.
    """
    scheduler = group.role == "scheduler"
    cpus = options.scheduler_cpu if scheduler else group.cpus
    memory = options.scheduler_mem if scheduler else group.memory
    size = fit(cpus, memory)
    if size is None or group.gpus:
        said = "Fargate has no GPUs" if group.gpus else misfit(cpus, memory)
        raise UsageError(
            f"{group.name!r} does not fit Fargate: {said}",
            cure="ask for less, or use cluster_type: ec2",
        )
    return size


def hourly(
    size: FargateSize, options: FargateOptions, *, spot: bool, disk: int | None
) -> float | None:
    """Return USD an hour of one task; None when a price is unknown."""
    book, arm = price_book(options.region), options.architecture == "arm64"
    parts = [
        (size.cpus, fargate_price(book, "vcpu_hour", arm=arm, spot=spot)),
        (size.memory / GIB, fargate_price(book, "gb_hour", arm=arm, spot=spot)),
    ]
    if disk and disk > _FREE_DISK:
        parts.append(((disk - _FREE_DISK) / GIB, book.find("fargate", "linux_ephemeral_gb_hour")))
    known = [amount * price.usd for amount, price in parts if price is not None]
    return sum(known) if len(known) == len(parts) else None


def offers_of(group: MemberGroup, options: FargateOptions) -> tuple[Offer, ...]:
    """Return the ways to buy a group's tasks; the scheduler never is Spot."""
    asked = options.capacity or ("spot_with_fallback" if options.spot else "on-demand")
    if group.role == "scheduler":
        asked = "on-demand"
    ways = {"on-demand": ("on-demand",), "spot": ("spot",)}.get(asked, ("spot", "on-demand"))
    size, disk = size_of(group, options), disk_of(group, options)
    return tuple(
        Offer(
            name=way,
            capacity="spot" if way == "spot" else "on-demand",
            hourly=hourly(size, options, spot=way == "spot", disk=disk),
        )
        for way in ways
    )


def disk_of(group: MemberGroup, options: FargateOptions) -> int | None:
    """Return the bytes of a worker's disk where the target says so; the scheduler needs none."""
    return None if group.role == "scheduler" else options.ephemeral_storage


def task_definition(
    group: MemberGroup, options: FargateOptions, standing: Standing, program: str
) -> dict[str, Any]:
    """Return the parameters of ``RegisterTaskDefinition``, with nothing of one run in them.

    Its family has the hash of all the rest, so what is there already under that name is the same.

    Raises:
        UsageError: No size fits, or there is no image.
    """
    image = group.image or options.image
    if image is None:
        raise UsageError(
            f"component {group.name!r} has no image, and containers need one",
            cure="set image in the component or in the target",
        )
    size, disk = size_of(group, options), disk_of(group, options)
    definition: dict[str, Any] = {
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": str(int(size.cpus * 1024)),
        "memory": str(size.memory // MIB),
        "executionRoleArn": standing.execution_role,
        "taskRoleArn": standing.task_role,
        "runtimePlatform": {
            "cpuArchitecture": "ARM64" if options.architecture == "arm64" else "X86_64",
            "operatingSystemFamily": "LINUX",
        },
        "containerDefinitions": [
            {
                "name": CONTAINER,
                "image": image,
                "essential": True,
                "entryPoint": ["python", "-c", program],
                "stopTimeout": STOP_TIMEOUT,
                "logConfiguration": {
                    "logDriver": "awslogs",
                    "options": {
                        "awslogs-group": standing.log_group,
                        "awslogs-region": options.region,
                        "awslogs-stream-prefix": stream_prefix(group),
                        "mode": "non-blocking",
                        "max-buffer-size": "8m",
                    },
                },
            }
        ],
    }
    if disk:
        definition["ephemeralStorage"] = {"sizeInGiB": -(-disk // GIB)}
    digest = hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()[:16]
    return {
        "family": f"{standing.name}-{digest}",
        **definition,
        "tags": tag_list(standing.tags),
    }


def stream_prefix(group: MemberGroup) -> str:
    """Return what the names of a group's log streams begin with: ``worker``, ``scheduler`` or ``driver``."""
    return group.name if group.role == "scheduler" else group.role


def run_task(
    group: MemberGroup,
    names: Sequence[str],
    offer: Offer,
    *,
    definition: str,
    options: FargateOptions,
    standing: Standing,
    groups: Sequence[str],
    run: str,
    tags: Mapping[str, str],
    place: str,
) -> dict[str, Any]:
    """Return the parameters of ``RunTask`` for up to ten members.

    Args:
        group: What they are.
        names: One for each.
        offer: How they are bought.
        definition: ARN of the task definition.
        options: Of the target.
        standing: Where they go.
        groups: Their security groups.
        run: Of which run.
        tags: What each carries.
        place: Where the run's documents are; the only word about them.
    """
    own = names[0] if len(names) == 1 else "*"
    token = hashlib.sha256(" ".join([run, *names]).encode()).hexdigest()[:32]
    return {
        "cluster": standing.cluster,
        "taskDefinition": definition,
        "count": len(names),
        "capacityProviderStrategy": [{"capacityProvider": PROVIDERS[offer.capacity], "weight": 1}],
        "clientToken": token,
        "startedBy": run[:128],
        "enableECSManagedTags": False,
        "tags": tag_list(tags),
        "networkConfiguration": {
            "awsvpcConfiguration": {
                "subnets": list(standing.subnets)[:16],
                "securityGroups": list(groups),
                "assignPublicIp": "ENABLED" if standing.public else "DISABLED",
            }
        },
        "overrides": {
            "containerOverrides": [
                {"name": CONTAINER, "command": [group.role, group.name, own, place]}
            ]
        },
    }


def member_of(task: Mapping[str, Any], name: str, offer: Offer | None) -> Member:
    """Return what ``DescribeTasks`` says of one task."""
    container: Mapping[str, Any] = next(iter(task.get("containers", [])), {})
    code = task.get("stopCode")
    state = _STATES.get(task["lastStatus"], "pending")
    reason = container.get("reason") or task.get("stoppedReason")
    started = task.get("startedAt") is not None or container.get("exitCode") is not None
    failed = state == "stopped" and not started
    return Member(
        name=name,
        state=state,
        id=task["taskArn"],
        address=address_of(task),
        reason=reason,
        stop_code=code,
        exit_code=container.get("exitCode"),
        failure=meaning(reason or "") if failed else None,
        interrupted=code in _TAKEN_BACK,
        zone=task.get("availabilityZone"),
        capacity=offer.capacity if offer else None,
        hourly=offer.hourly if offer else None,
    )


def interface_of(task: Mapping[str, Any]) -> dict[str, str]:
    """Return the details of a task's network interface, such as ``privateIPv4Address``."""
    return {
        each["name"]: each["value"]
        for attachment in task.get("attachments", [])
        if attachment.get("type") == "ElasticNetworkInterface"
        for each in attachment.get("details", [])
    }


def address_of(task: Mapping[str, Any]) -> str | None:
    """Return a task's address inside its network; None while it has none."""
    return interface_of(task).get("privateIPv4Address")


def meaning(words: str) -> FailureKind:
    """Return what the words of a failure amount to."""
    return next((kind for pattern, kind in _MEANINGS if re.search(pattern, words)), "other")


def failure_of(words: str) -> LaunchFailure:
    """Return the failure that words of ECS tell."""
    kind = meaning(words)
    cures = {
        "quota": "ask for fewer workers, or have the Fargate vCPU quota of the region raised",
        "permission": "see what is missing with: scalable doctor --print-policy",
    }
    return LaunchFailure(kind=kind, message=words, cure=cures.get(kind))


def tag_list(
    tags: Mapping[str, str], key: str = "key", value: str = "value"
) -> list[dict[str, str]]:
    """Return tags in the form of an API: ECS writes them small, EC2, IAM and SSM large."""
    return [{key: name, value: text} for name, text in tags.items()]
