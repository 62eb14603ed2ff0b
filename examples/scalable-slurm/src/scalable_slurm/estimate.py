"""How many core-hours a plan needs, and what they cost when the target has a price."""

from __future__ import annotations

from scalable_core.types import CostEstimate, Plan
from scalable_core.types.bill import billed_workers, forecast_of, priced, total
from scalable_core.types.prices import Price
from scalable_slurm.jobs import cores


def cost_estimate(plan: Plan, *, provider: str) -> CostEstimate:
    """Return a line for the cores of each group; without a price no line has an amount."""
    own, forecast = plan.target.options.price, forecast_of(plan)
    usd = None if own is None else own.core_hour
    price = None if usd is None else Price(usd=usd, low=usd, high=usd, source="the target")
    lines = []
    for group in plan.groups:
        jobs, each = billed_workers(forecast, group, shortest=1), cores(group)
        hours, note = jobs.hours.times(each), jobs.note(f"{each} vCPU")
        lines.append(priced("Compute", "vCPU-h", hours, price, component=group.name, note=note))
    said = (
        "the target has no price, so what it costs is unknown"
        if price is None
        else "the target's price"
    )
    return total(provider, f"{said}; {forecast.basis}", lines)
