"""What is wrong or odd in an `aws` target, as far as it can be known without asking AWS."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec

from scalable_aws.options import AwsOptions, Ec2Options, EksOptions, FargateOptions
from scalable_aws.sizes import fit, misfit
from scalable_core.types import HookContext, Problem, Target
from scalable_core.types.units import GIB, MIB, format_size

_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d{1,2}\Z")
_INSTANCE_TYPE = re.compile(
    r"[a-z][a-z0-9-]*\.(nano|micro|small|medium|large|\d*xlarge|metal(-\d+xl)?)\Z"
)
_ARM_FAMILY = re.compile(r"(a1|[a-z]+\d+g[a-z]*)[.-]")
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+\Z")
_ECR = re.compile(r"(\d+)\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com")
#: The most that one network configuration of ECS takes.
_MOST = {"subnets": 16, "security_groups": 5}


def target_problems(target: Target, context: HookContext) -> list[Problem]:
    """Return everything found; places are relative to the target."""
    options: AwsOptions = target.options
    return [
        *_place(options),
        *_sizes(options),
        *_disk(options),
        *_buying(options),
        *_machines(target.cluster_type, options),
        *_names(options),
        *_image(options),
        *(_cluster(target, context) if isinstance(options, EksOptions) else ()),
    ]


def _place(options: AwsOptions) -> Iterator[Problem]:
    if _REGION.match(options.region):
        return
    zone = _REGION.match(options.region[:-1]) and options.region[-1].isalpha()
    cure = f"write {options.region[:-1]}" if zone else "write for example us-east-1"
    what = "is an availability zone, not a region" if zone else "is not an AWS region"
    yield _error("E1101", "region", f"{options.region!r} {what}", cure)


def _sizes(options: AwsOptions) -> Iterator[Problem]:
    for part in ("worker", "scheduler"):
        cpus, memory = getattr(options, f"{part}_cpu"), getattr(options, f"{part}_mem")
        if cpus is not None and cpus < 0.125:
            units = f"{round(cpus * 1024, 2):g}"
            message = f"{units} means {units}/1024 of a vCPU here"
            cure = f"write {round(cpus * 1024**2)} or '{units} vCPU' for {units} vCPU"
            yield _error("E1102", f"{part}_cpu", message, cure)
        elif memory is not None and memory < 64 * MIB:
            number = f"{memory / MIB:g}"
            message = f"{number} means {number} MiB here"
            yield _error("E1102", f"{part}_mem", message, f"write {number}G for {number} GiB")
        elif isinstance(options, FargateOptions) and (cpus or memory):
            yield from _fargate_size(part, cpus, memory)


def _disk(options: AwsOptions) -> Iterator[Problem]:
    disk = getattr(options, "ephemeral_storage", None)
    if disk is None:
        return
    if isinstance(options, Ec2Options):
        if not 30 * GIB <= disk <= 16384 * GIB:
            message = f"the machine image needs 30 GiB, and a volume has at most 16384, not {format_size(disk)}"
            yield _error("E1118", "ephemeral_storage", message, "write for example 100G")
    elif not 21 * GIB <= disk <= 200 * GIB:
        message = f"Fargate has disks of 21 to 200 GiB, not {format_size(disk)}"
        cure = "write for example 100G, or leave it out for the 20 GiB that are free"
        yield _error("E1118", "ephemeral_storage", message, cure)


def _fargate_size(part: str, cpus: float | None, memory: int | None) -> Iterator[Problem]:
    size = fit(cpus or 0, memory)
    if size is None:
        where = f"{part}_cpu" if (cpus or 0) > 32 else f"{part}_mem"
        yield _error("E1103", where, misfit(cpus or 0, memory), "ask for less, or use ec2")
        return
    if memory is not None and cpus is not None and (size.cpus, size.memory) != (cpus, memory):
        message = f"Fargate has no such pair of CPUs and memory; the {part} gets {size}"
        yield _warning("W1103", f"{part}_mem", message)
    if size.cpus == 32:
        message = "32 vCPU are new on Fargate, and some regions may refuse them"
        yield _warning("W1104", f"{part}_cpu", message)


def _buying(options: AwsOptions) -> Iterator[Problem]:
    if options.spot is None or options.capacity is None:
        return
    if options.spot == (options.capacity == "on-demand"):
        said = str(options.spot).lower()
        message = f"spot is {said}, and capacity is {options.capacity}"
        yield _error("E1108", "spot", message, "remove spot: capacity says it all")


def _machines(cluster_type: str | None, options: AwsOptions) -> Iterator[Problem]:
    name = options.instance_type
    if name is None:
        return
    if not _INSTANCE_TYPE.match(name):
        message = f"{name!r} is not an instance type of EC2"
        yield _error("E1109", "instance_type", message, "write for example m5.xlarge")
    elif cluster_type == "ec2":
        has = "arm64" if _ARM_FAMILY.match(name) else "x86_64"
        if has != options.architecture:
            message = f"{name} has {has} processors, and architecture is {options.architecture}"
            yield _error("E1110", "instance_type", message, f"write architecture: {has}")


def _names(options: AwsOptions) -> Iterator[Problem]:
    prefixes = {"vpc": "vpc", "subnets": "subnet", "security_groups": "sg", "ami": "ami"}
    for where, prefix in prefixes.items():
        value = getattr(options, where, None)
        names = value if isinstance(value, tuple) else (value,) if value else ()
        for name in names:
            if not re.fullmatch(rf"{prefix}-[0-9a-f]+", name):
                message = f"{name!r} is not the id of one"
                yield _error("E1111", where, message, f"write for example {prefix}-0a1b2c3d")
        if len(names) > _MOST.get(where, 1):
            message = f"{len(names)} are more than the {_MOST[where]} that a task can have"
            yield _error("E1112", where, message)
    for where in ("execution_role_arn", "task_role_arn"):
        role = getattr(options, where, None)
        if role is not None and not _ROLE.match(role):
            cure = "write for example arn:aws:iam::123456789012:role/worker"
            yield _error("E1111", where, f"{role!r} is not the ARN of a role", cure)
    for key, value in options.tags.items():
        if key.lower().startswith("aws:") or not 0 < len(key) <= 128 or len(value) > 256:
            message = (
                "AWS takes keys of 1 to 128 characters without aws: in front, and values up to 256"
            )
            yield _error("E1113", f"tags.{key}", message)


def _image(options: AwsOptions) -> Iterator[Problem]:
    found = _ECR.match(options.image or "")
    if found is None:
        return
    account, region = found.groups()
    if len(account) != 12:
        message = f"account {account} of the image has {len(account)} digits, where AWS has 12"
        yield _warning("W1114", "image", message)
    if region != options.region:
        message = (
            f"the image is in {region}, and each worker in {options.region} pulls it from there"
        )
        yield _warning("W1115", "image", message, f"copy it to {options.region}")


def _cluster(target: Target, context: HookContext) -> Iterator[Problem]:
    if find_spec("scalable_kubernetes") is None:
        message = "eks needs the dist scalable-kubernetes, which is not installed"
        yield _error("E1116", "cluster_type", message, "pip install 'scalable-aws[eks]'")
    else:
        from scalable_aws import eks

        yield from eks.target_problems(target, context)
    if target.options.cluster is None:
        cure = "write cluster: and the name of the EKS cluster"
        yield _error("E1117", "cluster_type", "eks needs a cluster that exists already", cure)


def _error(code: str, where: str, message: str, cure: str | None = None) -> Problem:
    return Problem(code=code, where=where, message=message, cure=cure)


def _warning(code: str, where: str, message: str, cure: str | None = None) -> Problem:
    return Problem(code=code, where=where, message=message, cure=cure, severity="warning")
