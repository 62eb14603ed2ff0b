"""What a plan on this machine costs: nothing, or what the target charges for it."""

from __future__ import annotations

from collections.abc import Iterator

from scalable_core.types import CostEstimate, CostLine, Plan
from scalable_core.types.bill import Span, exactly, forecast_of, priced, total
from scalable_core.types.prices import Price
from scalable_core.types.units import GIB
from scalable_local.options import LocalOptions

FREE = "this machine; nothing is billed"


def cost_estimate(plan: Plan, *, provider: str) -> CostEstimate:
    """Return a line for the CPUs and one for the memory of each group; of nothing when there is no `price`."""
    options: LocalOptions = plan.target.options
    if options.price is None:
        groups = forecast_of(plan).groups
        hours = {name: group.worker_hours for name, group in groups.items()}
        lines = tuple(_free(group.name, hours.get(group.name, 0.0)) for group in plan.groups)
        return CostEstimate(
            provider=provider,
            expected=0.0,
            low=0.0,
            high=0.0,
            monthly=0.0,
            basis=FREE,
            lines=lines,
        )
    basis = f"the target's prices; {forecast_of(plan).basis}"
    return total(provider, basis, _lines(plan, options.price.vcpu_hour, options.price.gib_hour))


def _lines(plan: Plan, vcpu_hour: float, gib_hour: float) -> Iterator[CostLine]:
    forecast = forecast_of(plan)
    if plan.detached:
        yield _driver(plan, vcpu_hour)
    for group in plan.groups:
        known, name = forecast.groups.get(group.name), group.name
        hours, count = exactly(0.0), 0
        if known is not None:
            hours, count = Span(known.worker_hours, known.low, known.high), known.workers
        each = hours.expected / count if count else 0.0
        workers = f"{count} worker{'s' * (count != 1)}"
        note = f"{workers} x {group.cpus:g} vCPU x {each:.4g}h"
        yield priced(
            "Compute", "vCPU-h", hours.times(group.cpus), _own(vcpu_hour), component=name, note=note
        )
        if not gib_hour:
            continue
        size: Span | None = None
        note = "memory is left to the machine: set it in the component, or worker_mem"
        if group.memory is not None:
            gib = group.memory / GIB
            size, note = hours.times(gib), f"{workers} x {gib:.4g} GB x {each:.4g}h"
        yield priced("Memory", "GB-h", size, _own(gib_hour), component=name, note=note)


def _driver(plan: Plan, price: float) -> CostLine:
    """The CPU of the process that runs the workflow, from the run's start to its end."""
    known = forecast_of(plan)
    hours = Span(known.wall_hours, known.low_wall_hours, known.high_wall_hours)
    return priced("Driver", "vCPU-h", hours, _own(price), note=f"1 vCPU x {hours.expected:.4g}h")


def _free(component: str, hours: float) -> CostLine:
    return CostLine(
        item="Compute",
        component=component,
        quantity=hours,
        unit="h",
        unit_price=0.0,
        amount=0.0,
        low=0.0,
        high=0.0,
        source=FREE,
    )


def _own(usd: float) -> Price:
    return Price(usd=usd, low=usd, high=usd, source="the target")
