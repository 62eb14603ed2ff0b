"""What a plan costs: worker-hours at the target's price, and honestly unknown without one."""

from __future__ import annotations

from scalable_core.types import CostEstimate, Plan
from scalable_core.types.bill import Span, forecast_of, priced, total
from scalable_core.types.prices import Price


def cost_estimate(plan: Plan, *, provider: str) -> CostEstimate:
    """Return a line of worker-hours for each group."""
    usd, forecast = plan.target.options.usd_per_hour, forecast_of(plan)
    price = None if usd is None else Price(usd=usd, low=usd, high=usd, source="the target")
    said = "the target has no price" if price is None else "the target's price"
    lines = []
    for group in plan.groups:
        known = forecast.groups.get(group.name)
        hours = None if known is None else Span(known.worker_hours, known.low, known.high)
        lines.append(priced("Workers", "h", hours, price, component=group.name))
    basis = f"{said}; {forecast.basis}"
    return total(provider, basis, lines)
