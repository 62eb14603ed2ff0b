"""What the lines of a bill of AWS need to know of a plan: its options, prices, sizes and hours."""

from __future__ import annotations

import math

from attrs import frozen

from scalable_aws.options import AwsOptions
from scalable_aws.prices import cheapest, machine_price, usual_machines
from scalable_core.errors import UsageError
from scalable_core.types import Forecast, Plan, WorkerGroup
from scalable_core.types.bill import Span, Workers, billed_wall
from scalable_core.types.prices import MachineType, Price, PriceBook, fitting_machines
from scalable_core.types.units import GIB


@frozen(kw_only=True)
class Bill:
    """A plan with what its lines need: its options, prices and forecast.

    Attributes:
        plan: What is billed.
        forecast: How long and how many.
        book: The prices of its region.
        workers: How the workers of each group are billed.
    """

    plan: Plan
    forecast: Forecast
    book: PriceBook
    workers: dict[str, Workers]

    @property
    def options(self) -> AwsOptions:
        """The target's own options."""
        options: AwsOptions = self.plan.target.options
        return options

    @property
    def kind(self) -> str:
        """``fargate``, ``ec2`` or ``eks``."""
        return self.plan.target.cluster_type or "fargate"

    @property
    def arm(self) -> bool:
        """Whether the processors are ARM's."""
        return self.options.architecture == "arm64"

    @property
    def spot(self) -> bool:
        """Whether workers are bought as Spot."""
        asked = self.options.capacity
        return bool(self.options.spot) if asked is None else asked != "on-demand"

    @property
    def wall(self) -> Span:
        """The hours that the scheduler is there."""
        return billed_wall(self.forecast)

    def on_nodes(self, group: WorkerGroup) -> bool:
        """Whether a group has instances; otherwise it has tasks or pods on Fargate."""
        asked = self.options.instance_type is not None or group.gpus > 0
        return self.kind == "ec2" or (self.kind == "eks" and asked)


def machine_of(bill: Bill, group: WorkerGroup) -> tuple[MachineType | None, Price | None, int]:
    """Return the asked or cheapest type for a group, its price, and how many workers share one."""
    gib = (group.memory or 0) / GIB
    asked, book = bill.options.instance_type, bill.book
    if asked is None:
        arch = bill.options.architecture
        usual = usual_machines(book)
        fitting = fitting_machines(usual, vcpu=group.cpus, gib=gib, gpus=group.gpus, arch=arch)
        return *cheapest(book, fitting, spot=bill.spot), 1
    machine = next((each for each in book.machines() if each.name == asked), None)
    if machine is None:
        return None, None, 1
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
    return machine, machine_price(book, machine, spot=bill.spot), share


def node_hours(bill: Bill, group: WorkerGroup) -> tuple[int, Span]:
    """Return how many machines a group has, and their hours together."""
    _, _, share = machine_of(bill, group)
    workers = bill.workers[group.name]
    # Whole machines: three workers on machines for two are two machines, not one and a half.
    machines = math.ceil(workers.count / share)
    return machines, workers.hours.times(machines / workers.count if workers.count else 0.0)
