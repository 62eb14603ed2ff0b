"""What a plan on Google Cloud will be billed for, at list prices, without asking Google Cloud."""

from __future__ import annotations

import math
from collections.abc import Iterator

from attrs import evolve, frozen

from scalable_core.errors import UsageError
from scalable_core.types import CostEstimate, CostLine, Forecast, Plan, WorkerGroup
from scalable_core.types.bill import (
    LOG_GB_PER_HOUR,
    MONTH,
    PART,
    SHORTEST,
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
from scalable_core.types.prices import MachineType, PriceBook
from scalable_core.types.snapshot import snapshot_id
from scalable_core.types.units import GIB, format_size
from scalable_gcp.options import CloudRunOptions, GcpOptions
from scalable_gcp.prices import (
    free_hours,
    job_price,
    pod_price,
    price_book,
    sustained_use,
    worker_pool_price,
)
from scalable_gcp.requests import SCHEDULER_DISK
from scalable_gcp.sizes import CloudRunSize, fit, misfit, single_size

#: GB of the boot disk of a node as GKE makes it.
_NODE_DISK = 100

#: vCPU, GiB and GiB of disk of the scheduler's pod.
_SCHEDULER_POD = {"vcpu": 1.0, "gib": 4.0, "ephemeral_gib": 1.0}
#: And of the driver's, which has the scheduler in it.
DRIVER_POD = {"vcpu": 2.0, "gib": 8.0, "ephemeral_gib": 1.0}

#: GiB of disk that a worker's pod asks for: the most that a general-purpose pod has.
POD_DISK = 10.0

#: vCPU and GiB of the largest pod that has Autopilot's general-purpose prices.
_LARGEST_POD = {"vcpu": 30.0, "gib": 110.0}

#: What an account has free in a month: GB that leave Google Cloud, GB of logs, hours of a cluster's fee, which
#: are its credit of $74.40.
_FREE_EGRESS = 1.0
_FREE_LOGS = 50.0
_FREE_CLUSTER = 744.0


@frozen(kw_only=True)
class _Bill:
    """A plan with what its lines need: its options, prices and forecast."""

    plan: Plan
    forecast: Forecast
    book: PriceBook
    workers: dict[str, Workers]
    shortest: int

    @property
    def options(self) -> GcpOptions:
        options: GcpOptions = self.plan.target.options
        return options

    @property
    def wall(self) -> Span:
        return billed_wall(self.forecast, shortest=self.shortest)


def cost_estimate(plan: Plan, *, provider: str) -> CostEstimate:
    """Return what a plan will cost, line by line, at the list prices of its region.

    Raises:
        UsageError: A component is larger than anything that the kind of cluster has.
    """
    forecast, options = forecast_of(plan), plan.target.options
    cloud_run = isinstance(options, CloudRunOptions)
    # Pods of Autopilot are billed by the second from the first on; all else is at least a minute.
    shortest = SHORTEST if cloud_run or options.machine_type else 1
    bill = _Bill(
        plan=plan,
        forecast=forecast,
        book=price_book(options.region),
        workers={g.name: billed_workers(forecast, g, shortest=shortest) for g in plan.groups},
        shortest=shortest,
    )
    lines = [*(_cloud_run(bill) if cloud_run else _gke(bill)), *_shared(bill)]
    basis = f"list prices in {options.region}; {forecast.basis}"
    return total(provider, basis, lines, snapshot=snapshot_id(bill.book.folder))


def _cloud_run(bill: _Bill) -> Iterator[CostLine]:
    """Yield a worker pool for each group and the scheduler's machine, or one job; Cloud Run has no Spot."""
    options = bill.plan.target.options
    single = single_size(bill.plan)
    if single is not None:
        yield from _job(bill, single)
        return
    free = {
        of: free_hours(bill.book, of) for of in ("vcpu", "gib")
    }  # all groups share the account's
    for group in bill.plan.groups:
        size, workers = _size(bill.plan, group), bill.workers[group.name]
        gib, more = size.memory / GIB, ""
        if (size.cpus, size.memory) != (group.cpus, group.memory or size.memory):
            asked = f" with {format_size(group.memory)}" if group.memory else ""
            more = f", rounded up from {group.cpus:g} vCPU{asked}"
        for item, unit, each, of in (
            ("Compute", "vCPU-h", float(size.cpus), "vcpu"),
            ("Memory", "GB-h", gib, "gib"),
        ):
            quantity = workers.hours.times(each)
            yield priced(
                item,
                unit,
                quantity,
                worker_pool_price(bill.book, of),
                component=group.name,
                note=workers.note(f"{each:g} {'vCPU' if of == 'vcpu' else 'GB'}") + more,
                allowance=free[of],
            )
            free[of] = max(0.0, free[of] - quantity.expected)
        yield from _gpus(bill, group)
    yield from _scheduler(bill, options)


def _job(bill: _Bill, size: CloudRunSize) -> Iterator[CostLine]:
    """Yield the one instance of a run, which is there, and paid for, from its first second to the last."""
    gib, hours = size.memory / GIB, f"{bill.wall.expected:.4g}h"
    workers = f"{bill.plan.maximum} worker{'s' * (bill.plan.maximum != 1)}"
    for item, unit, each, of in (
        ("Driver's instance: compute", "vCPU-h", float(size.cpus), "vcpu"),
        ("Driver's instance: memory", "GB-h", gib, "gib"),
    ):
        what = f"{each:g} {'vCPU' if of == 'vcpu' else 'GB'}"
        yield priced(
            item,
            unit,
            bill.wall.times(each),
            job_price(bill.book, of),
            note=f"driver, scheduler and {workers} in one job: {what} x {hours}",
            allowance=free_hours(bill.book, of, "job_and_instance_based"),
        )


def _size(plan: Plan, group: WorkerGroup) -> CloudRunSize:
    size = fit(group.cpus, group.memory)
    if size is None:
        raise UsageError(
            f"component {group.name!r} does not fit target {plan.target.name!r}:"
            f" {misfit(group.cpus, group.memory)}",
            cure="ask for less, or use cluster_type: gke",
        )
    return size


def _scheduler(bill: _Bill, options: CloudRunOptions) -> Iterator[CostLine]:
    kind, hours = options.scheduler_machine_type, f"{bill.wall.expected:.4g}h"
    machine = _machine(bill.book, kind)
    price = machine.price if machine else None
    whose, also = ("Driver", ", the scheduler too") if bill.plan.detached else ("Scheduler", "")
    note = f"1 {kind} x {hours}{also}"
    yield priced(f"{whose} machine", "h", bill.wall, price, note=note)
    yield _disk(bill, f"{whose} disk", bill.wall, SCHEDULER_DISK, None, "")
    if options.public:
        address = bill.book.find("network", "external_ipv4_in_use")
        yield priced("Public IPv4", "h", bill.wall, address, note="the scheduler")


def _disk(
    bill: _Bill, item: str, hours: Span, size: int, component: str | None, each: str
) -> CostLine:
    return priced(
        item,
        "GB-month",
        hours.times(size / MONTH),
        bill.book.find("disk", "pd_balanced"),
        component=component,
        note=f"{each}{size} GB pd-balanced, for {hours.expected:.4g}h of a month's {MONTH:g}h",
    )


def _machine(book: PriceBook, name: str) -> MachineType | None:
    return next((machine for machine in book.machines() if machine.name == name), None)


def _gke(bill: _Bill) -> Iterator[CostLine]:
    """Yield nodes of the named type, else what Autopilot charges for pods, and the cluster's fee."""
    for group in bill.plan.groups:
        if bill.options.machine_type:
            yield from _nodes(bill, group, bill.options.machine_type)
        else:
            yield from _pods(bill, group)
    yield from _gke_scheduler(bill)
    note = f"GKE control plane x {bill.wall.expected:.4g}h, paid whether or not a run uses it"
    extended = bill.book.find("gke", "cluster_extended_period")
    if extended is not None:
        note += f", and ${extended.usd:g}/h more for a version that is out of support"
    yield priced(
        "Cluster fee",
        "h",
        bill.wall,
        bill.book.find("gke", "cluster"),
        note=note,
        allowance=_FREE_CLUSTER,
    )


def _gke_scheduler(bill: _Bill) -> Iterator[CostLine]:
    """Yield the pod with the scheduler: the driver's in a detached run, and else on a node that is there."""
    kind, detached, hours = bill.options.machine_type, bill.plan.detached, bill.wall.expected
    whose, pod = ("Driver", DRIVER_POD) if detached else ("Scheduler", _SCHEDULER_POD)
    for item, unit, of in (
        ("compute", "vCPU-h", "vcpu"),
        ("memory", "GB-h", "gib"),
        ("ephemeral storage", "GB-h", "ephemeral_gib"),
    ):
        if not kind:
            note = f"{pod[of]:g} {unit.removesuffix('-h')} x {hours:.4g}h"
            price = pod_price(bill.book, of, spot=False)
            yield priced(f"{whose} {item}", unit, bill.wall.times(pod[of]), price, note=note)
    if kind and detached:
        machine, share = _machine(bill.book, kind), 1.0
        if machine is not None:
            share = min(share, max(pod["vcpu"] / machine.vcpu, pod["gib"] / machine.gib))
        note = f"{share:.3g} of a {kind} x {hours:.4g}h"
        price = machine.price if machine else None
        yield priced("Driver", "h", bill.wall.times(share), price, note=note)


def _pods(bill: _Bill, group: WorkerGroup) -> Iterator[CostLine]:
    cpus, gib = pod_size(group.cpus, None if group.memory is None else group.memory / GIB)
    workers, spot = bill.workers[group.name], bill.options.spot
    more = ", Spot" if spot else ""
    if (cpus, gib) != (group.cpus, (group.memory or gib * GIB) / GIB):
        asked = f" with {format_size(group.memory)}" if group.memory else ""
        more += f", rounded up from {group.cpus:g} vCPU{asked}"
    large = cpus > _LARGEST_POD["vcpu"] or gib > _LARGEST_POD["gib"]
    if large:
        more += ", more than a general-purpose pod can have; the price is that of another class"
    for item, unit, each, of, name in (
        ("Compute", "vCPU-h", cpus, "vCPU", "vcpu"),
        ("Memory", "GB-h", gib, "GB", "gib"),
        ("Ephemeral storage", "GB-h", POD_DISK, "GB", "ephemeral_gib"),
    ):
        yield priced(
            item,
            unit,
            workers.hours.times(each),
            None if large else pod_price(bill.book, name, spot=spot),
            component=group.name,
            note=workers.note(f"{each:g} {of}") + ("" if name == "ephemeral_gib" else more),
        )
    yield from _gpus(bill, group)


def pod_size(cpus: float, gib: float | None) -> tuple[float, float]:
    """Return what Autopilot bills for a pod: vCPU in steps of 0.25, GiB in steps of 0.5, 1 to 6.5 GiB a vCPU.

    Args:
        cpus: vCPU that are asked for.
        gib: GiB that are asked for; Autopilot's default of 2 when None.
    """
    gib = max(0.5, math.ceil((2.0 if gib is None else gib) * 2) / 2)
    cpus = max(0.25, math.ceil(cpus * 4) / 4, math.ceil(gib / 6.5 * 4) / 4)
    return cpus, max(gib, math.ceil(cpus * 2) / 2)


def _nodes(bill: _Bill, group: WorkerGroup, name: str) -> Iterator[CostLine]:
    """Yield the machines of a group and their disks; as many workers share one as it holds."""
    machine, workers = _machine(bill.book, name), bill.workers[group.name]
    share = 1
    if machine is not None:
        room = [machine.vcpu / group.cpus]
        room += [machine.gib * GIB / group.memory] if group.memory else []
        room += [machine.accelerators / group.gpus] if group.gpus and machine.accelerators else []
        share = math.floor(min(room))
        if share < 1:
            raise UsageError(
                f"component {group.name!r} does not fit target {bill.plan.target.name!r}:"
                f" {name} has {machine.vcpu:g} vCPU, {machine.gib:g}G and {machine.accelerators} GPUs",
                cure="ask for less, or name a larger machine_type",
            )
    nodes = math.ceil(workers.count / share)
    hours = workers.hours.times(nodes / workers.count if workers.count else 0.0)
    each = hours.expected / nodes if nodes else 0.0
    note = f"{nodes} {name} x {each:.4g}h"
    note += f", {share} workers on each" if share > 1 else ""
    note += ", Spot" if bill.options.spot else ""
    yield _node_line(bill, group, machine, hours, each, note)
    yield _disk(bill, "Node disks", hours, _NODE_DISK, group.name, f"{nodes} x ")
    address = bill.book.find("network", "external_ipv4_in_use")
    note = "one for each node, unless they are private and go through Cloud NAT"
    yield priced("Public IPv4", "h", None, address, component=group.name, note=note)
    if group.gpus and not (machine and machine.accelerator):
        yield from _gpus(bill, group)


def _node_line(
    bill: _Bill,
    group: WorkerGroup,
    machine: MachineType | None,
    hours: Span,
    each: float,
    note: str,
) -> CostLine:
    """Return the line of a group's machines, less what is taken off for running long in a month.

    That needs the run to lie in one month, so the high end is without it.
    """
    price = None
    if machine is not None:
        price = machine.spot if bill.options.spot else machine.price
    line = priced("Instances", "h", hours, price, component=group.name, note=note)
    if machine is None or bill.options.spot or line.amount is None or line.unit_price is None:
        return line
    months, rest = divmod(each, MONTH)
    whole, part = sustained_use(machine, 1.0), sustained_use(machine, rest / MONTH)
    factor = (months * MONTH * whole + rest * part) / each if each else 1.0
    if factor == 1:
        return line
    return evolve(
        line,
        unit_price=line.unit_price * factor,
        amount=line.amount * factor,
        low=min(line.low or 0.0, line.amount * factor, (line.low or 0.0) * whole),
        note=f"{note}, {1 - factor:.3g} of it taken off for sustained use",
    )


def _gpus(bill: _Bill, group: WorkerGroup) -> Iterator[CostLine]:
    if not group.gpus:
        return
    workers = bill.workers[group.name]
    price = None
    if isinstance(bill.options, CloudRunOptions):
        second = bill.book.find("run", "gpu_l4_gpu_second")
        price = None if second is None else second.times(3600)
    quantity = workers.hours.times(group.gpus)
    note = workers.note(f"{group.gpus} GPU")
    yield priced("GPUs", "h", quantity, price, component=group.name, note=note)


def _shared(bill: _Bill) -> Iterator[CostLine]:
    hours = bill.wall
    for workers in bill.workers.values():
        hours = hours.plus(workers.hours)
    yield priced(
        "Logs",
        "GB",
        hours.times(LOG_GB_PER_HOUR),
        bill.book.find("logging", "ingest"),
        note="Cloud Logging; 1 MB an hour of each member assumed",
        allowance=_FREE_LOGS,
    )
    scheme = bill.plan.stores.artifacts.partition("://")[0]
    size = gigabytes(bill.forecast.output_bytes)
    parts = None if size is None else exactly(math.ceil(size.expected * GIB / PART) / 1000)
    if scheme in ("gs", "gcs"):
        tiers = bill.book.tiers("gcs", "storage_standard")
        yield priced_in_tiers("Cloud Storage", "GB-month", size, tiers, monthly=True)
        writes = bill.book.find("gcs", "class_a_standard")
        price = None if writes is None else writes.times(0.1)  # is for 10,000
        note = "a write for each 8 MB"
        yield priced("Cloud Storage requests", "1k-requests", parts, price, note=note)
    elif scheme == "s3":
        note = "of another cloud, whose prices are not looked up here"
        yield priced("S3 storage", "GB-month", size, None, monthly=True, note=note)
        yield priced("S3 requests", "1k-requests", parts, None, note=note)
    if single_size(bill.plan) is None:
        zone = bill.book.find("network", "inter_zone_same_region")
        note = "between members in several zones of the region"
        yield priced("Inter-zone traffic", "GB", None, zone, note=note)
    fetched, note = bill.forecast.download_bytes, "results that this machine fetches"
    if scheme == "s3":
        note += ", and artifacts on their way to another cloud"
        output = bill.forecast.output_bytes
        fetched = None if fetched is None or output is None else fetched + output
    yield priced_in_tiers(
        "Egress",
        "GB",
        gigabytes(fetched),
        bill.book.tiers("network", "internet_egress"),
        allowance=_FREE_EGRESS,
        note=note,
    )
