"""How many vCPU an account may have in a region, against what a plan may use at one time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Mapping

from attrs import frozen

from scalable_aws.account import Account, CallError
from scalable_aws.options import AwsOptions
from scalable_aws.sizes import fit
from scalable_core.types import Plan, Problem, WorkerGroup

#: Families of EC2 that have quotas of their own, by the first letters of a type; others are "standard".
_FAMILIES = (("vt", "G"), ("g", "G"), ("p", "P"), ("x", "X"), ("inf", "Inf"), ("f", "F"))
#: Service, and the codes of the quotas for on-demand and for Spot.
_CODES: Mapping[str, tuple[str, str, str]] = {
    "Fargate": ("fargate", "L-3032A538", "L-36FBB829"),
    "Standard": ("ec2", "L-1216C47A", "L-34B43A08"),
    "G": ("ec2", "L-DB2E81BA", "L-3819A6DF"),
    "P": ("ec2", "L-417A185B", "L-7212CCBC"),
    "X": ("ec2", "L-7295265B", "L-E3A00192"),
    "F": ("ec2", "L-74FC7D96", "L-88CF9481"),
    "Inf": ("ec2", "L-1945791B", "L-B5D1601B"),
}


@frozen(kw_only=True)
class Need:
    """What a plan may use of one quota.

    Attributes:
        kind: A key of the codes.
        spot: Of Spot, or on demand.
        least: vCPU below which the run cannot begin.
        most: vCPU at one time, when all that is planned is there.
    """

    kind: str
    spot: bool
    least: float
    most: float

    @property
    def code(self) -> str:
        """The quota's own code."""
        return _CODES[self.kind][2 if self.spot else 1]


def needs(plan: Plan) -> tuple[Need, ...]:
    """Return what a plan may use, by quota. Workers that fall back from Spot count as Spot."""
    options: AwsOptions = plan.target.options
    spot = options.spot if options.capacity is None else options.capacity != "on-demand"
    machines = plan.target.cluster_type == "ec2"
    # The groups share the plan's own bound: the largest workers come first.
    sizes: list[tuple[str, float]] = []
    for group in plan.groups:
        sizes += [_size(group, options, machines)] * group.maximum
    sizes = sorted(sizes, key=lambda each: -each[1])[: plan.maximum]
    scheduler = _scheduler(options, machines)
    least: dict[tuple[str, bool], float] = {(scheduler[0], False): scheduler[1]}
    most = dict(least)
    for number, (kind, cpus) in enumerate(reversed(sizes)):
        key = kind, bool(spot)
        most[key] = most.get(key, 0.0) + cpus
        if number < max(1, options.min_workers):
            least[key] = least.get(key, 0.0) + cpus
    return tuple(
        Need(kind=kind, spot=on_spot, least=least.get((kind, on_spot), 0.0), most=total)
        for (kind, on_spot), total in most.items()
    )


async def quota_problems(account: Account, plan: Plan) -> list[Problem]:
    """Return where a quota is too small for a plan, with the command that has it raised."""
    wanted = needs(plan)
    values = await asyncio.gather(*(_value(account, need) for need in wanted))
    pairs = zip(wanted, values, strict=True)
    return [problem for need, value in pairs for problem in _compare(account, need, value)]


def _compare(account: Account, need: Need, value: float | None) -> Iterator[Problem]:
    service = _CODES[need.kind][0]
    kind = need.kind if need.kind == "Fargate" else f"EC2 {need.kind}"
    name = f"{kind} {'Spot' if need.spot else 'on-demand'} vCPU ({need.code}) in {account.region}"
    if value is None:
        message = f"this account has no entry for the quota {name}; the plan may use {need.most:g}"
        yield Problem(code="I1154", where="quota", message=message, severity="info")
    elif value >= need.most:
        message = f"{name}: {value:g}, and the plan may use {need.most:g}"
        yield Problem(code="I1154", where="quota", message=message, severity="info")
    else:
        cure = (
            f"have it raised: aws service-quotas request-service-quota-increase --service-code {service}"
            f" --quota-code {need.code} --desired-value {math.ceil(need.most)} --region {account.region}"
        )
        message = f"{name} is {value:g}, and the plan may use {need.most:g}"
        if value < need.least:
            message += f"; it cannot begin with less than {need.least:g}"
            yield Problem(code="E1154", where="quota", message=message, cure=cure)
        else:
            message += ": the run will have fewer workers"
            yield Problem(
                code="W1154", where="quota", message=message, cure=cure, severity="warning"
            )


async def _value(account: Account, need: Need) -> float | None:
    service, code = _CODES[need.kind][0], need.code
    try:
        answer = await account.call(
            "service-quotas", "GetServiceQuota", ServiceCode=service, QuotaCode=code
        )
    except CallError as error:
        if error.code == "NoSuchResourceException":
            return None
        raise
    return float(answer["Quota"]["Value"])


def _size(group: WorkerGroup, options: AwsOptions, machines: bool) -> tuple[str, float]:
    """Return which quota a worker counts for, and with how many vCPU."""
    if not machines:
        size = fit(group.cpus, group.memory)
        return "Fargate", size.cpus if size else group.cpus
    return family(options.instance_type or ("g" if group.gpus else "")), group.cpus


def _scheduler(options: AwsOptions, machines: bool) -> tuple[str, float]:
    if machines:
        return "Standard", max(2.0, options.scheduler_cpu)
    size = fit(options.scheduler_cpu, options.scheduler_mem)
    return "Fargate", size.cpus if size else options.scheduler_cpu


def family(instance_type: str) -> str:
    """Return which quota of EC2 an instance type counts for."""
    letters = instance_type.partition(".")[0]
    return next((kind for start, kind in _FAMILIES if letters.startswith(start)), "Standard")
