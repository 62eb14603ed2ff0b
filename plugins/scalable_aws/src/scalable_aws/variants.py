"""The same work on AWS, bought in another way: Spot or on demand, other processors, another region."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Literal

from attrs import evolve

from scalable_aws.options import AwsOptions
from scalable_aws.prices import DATA
from scalable_core.types import Plan


def capacity_variants(plan: Plan) -> Iterator[Plan]:
    """Yield the plan with each other capacity and kind of processors that its kind of cluster has.

    Spot falls back to on demand, as ``spot: true`` does. The scheduler never is Spot.
    """
    options: AwsOptions = plan.target.options
    for architecture, spot in product(_architectures(plan), _capacities(plan)):
        if (architecture, spot) == (options.architecture, _is_spot(options)):
            continue
        changed = evolve(options, capacity="spot_with_fallback" if spot else "on-demand", spot=None)
        if architecture != options.architecture:  # a type has the one or the other
            changed = evolve(changed, architecture=architecture, instance_type=None)
        label = "spot" if spot else "on-demand"
        yield _named(plan, changed, f"{label}, arm64" if architecture == "arm64" else label)


def region_variants(plan: Plan) -> Iterator[Plan]:
    """Yield the plan in each other region that there are prices of."""
    options: AwsOptions = plan.target.options
    for path in sorted((DATA / "regions").glob("*-*.csv")):
        region = path.stem
        if region != options.region:
            moved = evolve(options, region=region, vpc=None, subnets=(), security_groups=())
            yield _named(plan, moved, region)


def _architectures(plan: Plan) -> tuple[Literal["x86_64", "arm64"], ...]:
    """Return the processors that workers may have; nodes of EKS, and machines with GPUs, keep theirs."""
    if plan.target.cluster_type == "eks" or any(group.gpus for group in plan.groups):
        return (plan.target.options.architecture,)
    return ("x86_64", "arm64")


def _capacities(plan: Plan) -> tuple[bool, ...]:
    """Return whether workers may be Spot, or not: pods on Fargate, of EKS, never are."""
    if plan.target.cluster_type != "eks":
        return (False, True)
    nodes = plan.target.options.instance_type or any(group.gpus for group in plan.groups)
    return (False, True) if nodes else (False,)


def _is_spot(options: AwsOptions) -> bool:
    return bool(options.spot) if options.capacity is None else options.capacity != "on-demand"


def _named(plan: Plan, options: AwsOptions, label: str) -> Plan:
    target = evolve(plan.target, name=f"{plan.target.name} ({label})", options=options)
    return evolve(plan, target=target)
