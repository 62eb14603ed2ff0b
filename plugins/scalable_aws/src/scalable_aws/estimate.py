"""What a plan on AWS will be billed for, at list prices, without asking AWS: the machines and containers."""

from __future__ import annotations

from collections.abc import Iterator

from scalable_aws.bill import Bill, machine_of, node_hours
from scalable_aws.estimate_traffic import traffic_lines
from scalable_aws.prices import (
    cheapest,
    credit_price,
    fargate_price,
    is_bursting,
    price_book,
    usual_machines,
)
from scalable_aws.sizes import FargateSize, driver_size, fit, misfit
from scalable_core.errors import UsageError
from scalable_core.types import CostEstimate, CostLine, Plan, WorkerGroup
from scalable_core.types.bill import MONTH, Span, billed_workers, forecast_of, priced, total
from scalable_core.types.prices import fitting_machines
from scalable_core.types.snapshot import snapshot_id
from scalable_core.types.units import GIB, MIB, format_size

#: GB of the volume that an instance starts from.
_ROOT_VOLUME = 30

#: Bytes of a task's own disk that cost nothing.
_FREE_DISK = 20 * GIB

#: Bytes that EKS adds to each pod on Fargate, for kubelet, kube-proxy and containerd, before it rounds up.
_KUBERNETES = 256 * MIB

#: What the pods of a scheduler and of a driver on EKS ask for, as the kit of scalable-kubernetes makes them.
SCHEDULER_CPUS, SCHEDULER_GIB = 1.0, 4.0
DRIVER_CPUS, DRIVER_GIB = 2.0, 8.0


def cost_estimate(plan: Plan, *, provider: str) -> CostEstimate:
    """Return what a plan will cost, line by line, at the list prices of its region.

    Raises:
        UsageError: A component is larger than anything that the kind of cluster has.
    """
    forecast = forecast_of(plan)
    bill = Bill(
        plan=plan,
        forecast=forecast,
        book=price_book(plan.target.options.region),
        workers={group.name: billed_workers(forecast, group) for group in plan.groups},
    )
    lines = [*_members(bill), *traffic_lines(bill)]
    basis = f"list prices in {bill.options.region}; {forecast.basis}"
    return total(provider, basis, lines, snapshot=snapshot_id(bill.book.folder))


def _members(bill: Bill) -> Iterator[CostLine]:
    """Yield the workers, the scheduler and on EKS the cluster; EKS has ECS's rates on Fargate, and no Spot."""
    for group in bill.plan.groups:
        if bill.on_nodes(group):
            yield from _instances(bill, group)
        else:
            yield from _fargate_workers(bill, group, spot=bill.spot and bill.kind == "fargate")
    if bill.plan.detached and bill.kind != "eks":
        size = driver_size(bill.options, bill.plan.target.name)
        yield from _fargate_member(bill, "Driver", size)
    elif bill.kind == "ec2":
        yield from _scheduler_instance(bill)
    elif bill.kind == "fargate":
        yield from _fargate_scheduler(bill)
    else:
        yield from _eks_scheduler(bill)


def _eks_scheduler(bill: Bill) -> Iterator[CostLine]:
    """Yield the pod with the scheduler: the driver's in a detached run, and else on a node that is there."""
    asked = bill.options.instance_type
    if bill.plan.detached and asked:
        machine, price = cheapest(
            bill.book, [m for m in bill.book.machines() if m.name == asked], spot=False
        )
        share = (
            1.0 if machine is None else max(DRIVER_CPUS / machine.vcpu, DRIVER_GIB / machine.gib)
        )
        note = f"{min(share, 1.0):.3g} of a {asked} x {bill.wall.expected:.4g}h"
        yield priced("Driver", "h", bill.wall.times(min(share, 1.0)), price, note=note)
    elif bill.plan.detached:
        size = fit(DRIVER_CPUS, round(DRIVER_GIB * GIB) + _KUBERNETES)
        assert size is not None
        yield from _fargate_member(bill, "Driver", size)
    elif not asked:
        size = fit(SCHEDULER_CPUS, round(SCHEDULER_GIB * GIB) + _KUBERNETES)
        assert size is not None
        yield from _fargate_member(bill, "Scheduler", size)
    usual = bill.book.find("eks", "cluster_standard_support")
    extended = bill.book.find("eks", "cluster_extended_support")
    note = f"EKS control plane x {bill.wall.expected:.4g}h, paid whether or not a run uses it"
    if extended is not None:
        note += f", and ${extended.usd:g}/h for a version that is in extended support"
    yield priced("Cluster fee", "h", bill.wall, usual, note=note)


def _fargate_scheduler(bill: Bill) -> Iterator[CostLine]:
    options = bill.options
    size = fit(options.scheduler_cpu, options.scheduler_mem)
    if size is None:
        raise UsageError(
            f"the scheduler of target {bill.plan.target.name!r} does not fit:"
            f" {misfit(options.scheduler_cpu, options.scheduler_mem)}",
            cure="lower scheduler_cpu or scheduler_mem",
        )
    yield from _fargate_member(bill, "Scheduler", size)


def _fargate_member(bill: Bill, whose: str, size: FargateSize) -> Iterator[CostLine]:
    gib, hours = size.memory / GIB, f"{bill.wall.expected:.4g}h"
    yield priced(
        f"{whose} compute",
        "vCPU-h",
        bill.wall.times(size.cpus),
        fargate_price(bill.book, "vcpu_hour", arm=bill.arm, spot=False),
        note=f"{size.cpus:g} vCPU x {hours}",
    )
    yield priced(
        f"{whose} memory",
        "GB-h",
        bill.wall.times(gib),
        fargate_price(bill.book, "gb_hour", arm=bill.arm, spot=False),
        note=f"{gib:g} GB x {hours}",
    )


def _fargate_workers(bill: Bill, group: WorkerGroup, *, spot: bool) -> Iterator[CostLine]:
    size = _fargate_size(bill, group)
    workers = bill.workers[group.name]
    gib = size.memory / GIB
    more = ", Spot" if spot else ""
    if (size.cpus, size.memory) != (group.cpus, group.memory or size.memory):
        asked = f" with {format_size(group.memory)}" if group.memory else ""
        own = f" and {format_size(_KUBERNETES)} of Kubernetes' own" if _own_memory(bill) else ""
        more += f", rounded up from {group.cpus:g} vCPU{asked}{own}"
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
    disk = getattr(bill.options, "ephemeral_storage", None) or 0
    if disk > _FREE_DISK:
        more = (disk - _FREE_DISK) / GIB
        yield priced(
            "Ephemeral storage",
            "GB-h",
            workers.hours.times(more),
            bill.book.find("fargate", "linux_ephemeral_gb_hour"),
            component=group.name,
            note=workers.note(f"{more:g} GB")
            + f", above the {format_size(_FREE_DISK)} that are free",
        )


def _own_memory(bill: Bill) -> int:
    return _KUBERNETES if bill.kind == "eks" else 0


def _fargate_size(bill: Bill, group: WorkerGroup) -> FargateSize:
    plan = bill.plan
    size = fit(group.cpus, group.memory + _own_memory(bill) if group.memory else None)
    if size is None or group.gpus:
        said = "Fargate has no GPUs" if group.gpus else misfit(group.cpus, group.memory)
        raise UsageError(
            f"component {group.name!r} does not fit target {plan.target.name!r}: {said}",
            cure="ask for less, or use cluster_type: ec2",
        )
    return size


def _scheduler_instance(bill: Bill) -> Iterator[CostLine]:
    options = bill.options
    fitting = fitting_machines(
        usual_machines(bill.book),
        vcpu=options.scheduler_cpu,
        gib=options.scheduler_mem / GIB,
        arch=options.architecture,
    )
    machine, price = cheapest(bill.book, fitting, spot=False)
    name = f"1 {machine.name}" if machine else "no type known"
    note = f"{name} x {bill.wall.expected:.4g}h"
    yield priced("Scheduler instance", "h", bill.wall, price, note=note)
    yield _volumes(bill, "Scheduler volume", bill.wall, None, "")


def _instances(bill: Bill, group: WorkerGroup) -> Iterator[CostLine]:
    """Yield the machines of a group and their volumes; as many workers share one as it holds."""
    machine, price, share = machine_of(bill, group)
    machines, hours = node_hours(bill, group)
    each = hours.expected / machines if machines else 0.0
    if machine is not None:
        note = f"{machines} {machine.name} x {each:.4g}h"
        note += f", {share} workers on each" if share > 1 else ""
    else:
        note = f"no type with {group.cpus:g} vCPU, {format_size(group.memory or 0)}, {group.gpus} GPU is known"
    note += ", Spot" if bill.spot else ""
    yield priced("Instances", "h", hours, price, component=group.name, note=note)
    yield _volumes(bill, "EBS volumes", hours, group.name, f"{machines} x ")
    if machine is not None and is_bursting(machine):
        # How busy they are nobody knows before; the price says what the most can be.
        most = f"{hours.expected * machine.vcpu:.4g} vCPU-h"
        note = f"for CPU time above the share of {machine.name}, less than {most}"
        rate = credit_price(bill.book, machine)
        yield priced("CPU credits", "vCPU-h", None, rate, component=group.name, note=note)


def _volumes(bill: Bill, item: str, hours: Span, component: str | None, each: str) -> CostLine:
    return priced(
        item,
        "GB-month",
        hours.times(_ROOT_VOLUME / MONTH),
        bill.book.find("ebs", "gp3_storage"),
        component=component,
        note=f"{each}{_ROOT_VOLUME} GB gp3, for {hours.expected:.4g}h of a month's {MONTH:g}h",
    )
