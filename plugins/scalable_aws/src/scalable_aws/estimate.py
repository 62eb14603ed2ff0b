"""What a plan on AWS will be billed for, at list prices, without asking AWS."""

from __future__ import annotations

import math
from collections.abc import Iterator

from attrs import field, frozen

from scalable_aws.options import AwsOptions
from scalable_aws.prices import fargate_price, machine_price, price_book, usual_machines
from scalable_aws.sizes import FargateSize, fit, misfit
from scalable_core.errors import UsageError
from scalable_core.types import CostEstimate, CostLine, Forecast, Plan, WorkerGroup
from scalable_core.types.bill import (
    LOG_GB_PER_HOUR,
    MONTH,
    PART,
    Span,
    Workers,
    billed_wall,
    billed_workers,
    exactly,
    forecast_of,
    gigabytes,
    priced,
    priced_in_tiers,
    total,
)
from scalable_core.types.prices import MachineType, PriceBook, cheapest_machine
from scalable_core.types.units import GIB, format_size

#: What a URI scheme of another cloud is called on its bill.
_FOREIGN_STORES = {"gs": "Cloud Storage", "gcs": "Cloud Storage"}

#: GB of the volume that an instance starts from.
_ROOT_VOLUME = 30

#: GB a month that an account gets free: what leaves AWS, and what its logs take in.
_FREE_EGRESS = 100
_FREE_LOGS = 5


@frozen(kw_only=True)
class _Bill:
    """A plan with what its lines need: its options, prices and forecast."""

    plan: Plan
    forecast: Forecast
    book: PriceBook
    workers: dict[str, Workers] = field(factory=dict)

    @property
    def options(self) -> AwsOptions:
        options: AwsOptions = self.plan.target.options
        return options

    @property
    def kind(self) -> str:
        return self.plan.target.cluster_type or "fargate"

    @property
    def arm(self) -> bool:
        return self.options.architecture == "arm64"

    @property
    def spot(self) -> bool:
        asked = self.options.capacity
        return bool(self.options.spot) if asked is None else asked != "on-demand"

    @property
    def wall(self) -> Span:
        return billed_wall(self.forecast)

    def member_hours(self) -> Span:
        """Return the hours of all workers and the scheduler together."""
        hours = self.wall
        for workers in self.workers.values():
            hours = hours.plus(workers.hours)
        return hours


def cost_estimate(plan: Plan, *, provider: str) -> CostEstimate:
    """Return what a plan will cost, line by line, at the list prices of its region.

    Raises:
        UsageError: A component is larger than anything that the kind of cluster has.
    """
    forecast = forecast_of(plan)
    bill = _Bill(
        plan=plan,
        forecast=forecast,
        book=price_book(plan.target.options.region),
        workers={group.name: billed_workers(forecast, group) for group in plan.groups},
    )
    lines = {"fargate": _fargate, "ec2": _ec2, "eks": _eks}[bill.kind](bill)
    basis = f"list prices in {bill.options.region}; {forecast.basis}"
    return total(provider, basis, (*lines, *_shared(bill)))


def _fargate(bill: _Bill) -> Iterator[CostLine]:
    for group in bill.plan.groups:
        yield from _fargate_workers(bill, group, spot=bill.spot)
    yield from _fargate_scheduler(bill)


def _fargate_scheduler(bill: _Bill) -> Iterator[CostLine]:
    options = bill.options
    size = fit(options.scheduler_cpu, options.scheduler_mem)
    if size is None:
        raise UsageError(
            f"the scheduler of target {bill.plan.target.name!r} does not fit:"
            f" {misfit(options.scheduler_cpu, options.scheduler_mem)}",
            cure="lower scheduler_cpu or scheduler_mem",
        )
    gib, hours = size.memory / GIB, f"{bill.wall.expected:.4g}h"
    yield priced(
        "Scheduler compute",
        "vCPU-h",
        bill.wall.times(size.cpus),
        fargate_price(bill.book, "vcpu_hour", arm=bill.arm, spot=False),
        note=f"{size.cpus:g} vCPU x {hours}",
    )
    yield priced(
        "Scheduler memory",
        "GB-h",
        bill.wall.times(gib),
        fargate_price(bill.book, "gb_hour", arm=bill.arm, spot=False),
        note=f"{gib:g} GB x {hours}",
    )


def _fargate_workers(bill: _Bill, group: WorkerGroup, *, spot: bool) -> Iterator[CostLine]:
    size = _fargate_size(bill.plan, group)
    workers = bill.workers[group.name]
    gib = size.memory / GIB
    more = ", Spot" if spot else ""
    if (size.cpus, size.memory) != (group.cpus, group.memory or size.memory):
        asked = f" with {format_size(group.memory)}" if group.memory else ""
        more += f", rounded up from {group.cpus:g} vCPU{asked}"
    yield priced(
        "Compute",
        "vCPU-h",
        workers.hours.times(size.cpus),
        fargate_price(bill.book, "vcpu_hour", arm=bill.arm, spot=spot),
        component=group.name,
        note=workers.note(f"{size.cpus:g} vCPU") + more,
    )
    yield priced(
        "Memory",
        "GB-h",
        workers.hours.times(gib),
        fargate_price(bill.book, "gb_hour", arm=bill.arm, spot=spot),
        component=group.name,
        note=workers.note(f"{gib:g} GB") + more,
    )


def _fargate_size(plan: Plan, group: WorkerGroup) -> FargateSize:
    size = fit(group.cpus, group.memory)
    if size is None or group.gpus:
        said = "Fargate has no GPUs" if group.gpus else misfit(group.cpus, group.memory)
        raise UsageError(
            f"component {group.name!r} does not fit target {plan.target.name!r}: {said}",
            cure="ask for less, or use cluster_type: ec2",
        )
    return size


def _ec2(bill: _Bill) -> Iterator[CostLine]:
    for group in bill.plan.groups:
        yield from _instances(bill, group)
    options = bill.options
    gib = options.scheduler_mem / GIB
    machine = cheapest_machine(
        usual_machines(bill.book),
        vcpu=options.scheduler_cpu,
        gib=gib,
        arch=options.architecture,
    )
    yield priced(
        "Scheduler instance",
        "h",
        bill.wall,
        machine.price if machine else None,
        note=f"{machine.name if machine else 'no type known'} x {bill.wall.expected:.4g}h",
    )
    yield _volumes(bill, "Scheduler volume", bill.wall, None)


def _instances(bill: _Bill, group: WorkerGroup) -> Iterator[CostLine]:
    """Yield the machines of a group and their volumes; as many workers share one as it holds."""
    machine, share = _machine(bill, group)
    machines, hours = _machine_hours(bill.workers[group.name], share)
    if machine is not None:
        each = hours.expected / machines if machines else 0.0
        note = f"{machines} x {machine.name} x {each:.4g}h"
        note += f", {share} workers on each" if share > 1 else ""
    else:
        note = f"no type with {group.cpus:g} vCPU, {format_size(group.memory or 0)}, {group.gpus} GPU is known"
    price = machine_price(bill.book, machine, spot=bill.spot) if machine else None
    note += ", Spot" if bill.spot else ""
    yield priced("Instances", "h", hours, price, component=group.name, note=note)
    yield _volumes(bill, "EBS volumes", hours, group.name)


def _machine(bill: _Bill, group: WorkerGroup) -> tuple[MachineType | None, int]:
    """Return the type for a group, and how many workers share one: the asked one, or the cheapest."""
    gib = (group.memory or 0) / GIB
    asked = bill.options.instance_type
    if asked is None:
        arch, gpus = bill.options.architecture, group.gpus
        usual = usual_machines(bill.book)
        return cheapest_machine(usual, vcpu=group.cpus, gib=gib, gpus=gpus, arch=arch), 1
    machine = next((each for each in bill.book.machines() if each.name == asked), None)
    if machine is None:
        return None, 1
    room = [machine.vcpu / group.cpus]
    room += [machine.gib / gib] if gib else []
    room += [machine.accelerators / group.gpus] if group.gpus else []
    share = math.floor(min(room))
    if share < 1:
        raise UsageError(
            f"component {group.name!r} does not fit target {bill.plan.target.name!r}: {asked} has"
            f" {machine.vcpu:g} vCPU, {machine.gib:g}G and {machine.accelerators} GPUs",
            cure="ask for less, or leave instance_type out",
        )
    return machine, share


def _machine_hours(workers: Workers, share: int) -> tuple[int, Span]:
    # Whole machines: three workers on machines for two are two machines, not one and a half.
    machines = math.ceil(workers.count / share)
    return machines, workers.hours.times(machines / workers.count if workers.count else 0.0)


def _volumes(bill: _Bill, item: str, hours: Span, component: str | None) -> CostLine:
    return priced(
        item,
        "GB-month",
        hours.times(_ROOT_VOLUME / MONTH),
        bill.book.find("ebs", "gp3_storage"),
        component=component,
        note=f"{_ROOT_VOLUME} GB gp3 x {hours.expected:.4g}h / {MONTH:g}h",
    )


def _eks(bill: _Bill) -> Iterator[CostLine]:
    """Yield nodes of the named type or for GPUs; else EKS on Fargate, which has ECS's rates and no Spot."""
    for group in bill.plan.groups:
        if bill.options.instance_type or group.gpus:
            yield from _instances(bill, group)
        else:
            yield from _fargate_workers(bill, group, spot=False)
    if not bill.options.instance_type:  # with a type, its pod is on a node that is there anyway
        yield from _fargate_scheduler(bill)
    yield priced(
        "Cluster fee",
        "h",
        bill.wall,
        bill.book.find("eks", "cluster_standard_support"),
        note=f"EKS control plane x {bill.wall.expected:.4g}h, paid whether or not a run uses it",
    )


def _shared(bill: _Bill) -> Iterator[CostLine]:
    options, book = bill.options, bill.book
    if bill.kind != "eks":
        yield from _addresses(bill)
        if len(options.subnets) != 1:
            zone = book.find("data_transfer", "inter_az_each_direction")
            price = None if zone is None else zone.times(2)
            note = "between scheduler and workers in several zones, paid in both directions"
            yield priced("Inter-zone traffic", "GB", None, price, note=note)
    yield priced(
        "Logs",
        "GB",
        bill.member_hours().times(LOG_GB_PER_HOUR),
        book.find("cloudwatch_logs", "ingest_standard"),
        note=f"CloudWatch; 1 MB an hour of each member assumed; {_FREE_LOGS} GB a month are free, net $0",
        free=True,
    )
    yield from _storage(bill)
    yield priced_in_tiers(
        "Egress",
        "GB",
        gigabytes(bill.forecast.download_bytes),
        book.tiers("data_transfer", "internet_egress"),
        allowance=_FREE_EGRESS,
        note="results that this machine fetches",
    )


def _addresses(bill: _Bill) -> Iterator[CostLine]:
    """Yield an address for each member; without one, the data that goes through a NAT gateway instead."""
    if bill.options.assign_public_ip is False:
        price = bill.book.find("vpc", "nat_gateway_data")
        note = (
            "images and logs, unless the subnets have endpoints; the gateway itself is not counted"
        )
        yield priced("NAT data", "GB", None, price, note=note)
        return
    note = "one for each worker and the scheduler"
    hours = bill.wall if bill.kind == "ec2" else bill.member_hours()
    if bill.kind == "ec2":
        for group in bill.plan.groups:
            _, share = _machine(bill, group)
            hours = hours.plus(_machine_hours(bill.workers[group.name], share)[1])
        note = "one for each instance"
    yield priced("Public IPv4", "h", hours, bill.book.find("vpc", "public_ipv4"), note=note)


def _storage(bill: _Bill) -> Iterator[CostLine]:
    scheme = bill.plan.stores.artifacts.partition("://")[0]
    size = gigabytes(bill.forecast.output_bytes)
    parts = None if size is None else exactly(math.ceil(size.expected * GIB / PART) / 1000)
    if scheme == "s3":
        tiers = bill.book.tiers("s3", "standard_storage")
        yield priced_in_tiers("S3 storage", "GB-month", size, tiers, monthly=True)
        put = bill.book.find("s3", "put_copy_post_list")
        yield priced("S3 requests", "1k-requests", parts, put, note="a PUT for each 8 MB")
    elif scheme in _FOREIGN_STORES:
        name, note = (
            _FOREIGN_STORES[scheme],
            "of another cloud, whose prices are not looked up here",
        )
        yield priced(f"{name} storage", "GB-month", size, None, monthly=True, note=note)
        yield priced(f"{name} requests", "1k-requests", parts, None, note=note)
