"""What a plan on a Kubernetes cluster will be billed for, at the prices that its target gives, if any."""

from __future__ import annotations

from collections.abc import Iterator

from scalable_core.types import CostEstimate, CostLine, Plan
from scalable_core.types.bill import Span, billed_wall, billed_workers, forecast_of, priced, total
from scalable_core.types.prices import Price
from scalable_core.types.units import GIB
from scalable_kubernetes.options import KubernetesOptions
from scalable_kubernetes.pods import (
    DRIVER_CPUS,
    DRIVER_MEMORY,
    SCHEDULER_CPUS,
    SCHEDULER_MEMORY,
)

_SCHEDULER_GIB, _DRIVER_GIB = SCHEDULER_MEMORY / GIB, DRIVER_MEMORY / GIB


def cost_estimate(plan: Plan, *, provider: str) -> CostEstimate:
    """Return lines for the pods of each group and the scheduler; without `price` none has an amount."""
    options: KubernetesOptions = plan.target.options
    prices = "no prices: the target gives none" if options.price is None else "the target's prices"
    basis = f"{prices}; {forecast_of(plan).basis}"
    return total(provider, basis, _lines(plan, options))


def _lines(plan: Plan, options: KubernetesOptions) -> Iterator[CostLine]:
    vcpu = gib_hour = None
    if options.price is not None:
        vcpu, gib_hour = _own(options.price.vcpu_hour), _own(options.price.gib_hour)
    forecast = forecast_of(plan)
    for group in plan.groups:
        workers = billed_workers(forecast, group)
        hours, name = workers.hours, group.name
        note = workers.note(f"{group.cpus:g} vCPU")
        yield priced("Compute", "vCPU-h", hours.times(group.cpus), vcpu, component=name, note=note)
        size: Span | None = None
        note = "memory is left to the cluster"
        if group.memory is not None:
            size = hours.times(group.memory / GIB)
            note = workers.note(f"{group.memory / GIB:g} GB")
        yield priced("Memory", "GB-h", size, gib_hour, component=name, note=note)
        if group.gpus:
            note = workers.note(f"{group.gpus} GPU")
            yield priced("GPUs", "h", hours.times(group.gpus), None, component=name, note=note)
    wall = billed_wall(forecast)
    # The scheduler of a detached run is in its driver.
    name = "Driver" if plan.detached else "Scheduler"
    cpus, gib = (DRIVER_CPUS, _DRIVER_GIB) if plan.detached else (SCHEDULER_CPUS, _SCHEDULER_GIB)
    note = f"{cpus:g} vCPU x {wall.expected:.4g}h"
    yield priced(f"{name} compute", "vCPU-h", wall.times(cpus), vcpu, note=note)
    note = f"{gib:g} GB x {wall.expected:.4g}h"
    yield priced(f"{name} memory", "GB-h", wall.times(gib), gib_hour, note=note)


def _own(usd: float) -> Price:
    return Price(usd=usd, low=usd, high=usd, source="the target")
