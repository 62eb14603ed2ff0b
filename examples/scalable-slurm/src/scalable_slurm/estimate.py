"""How many core-hours a plan needs, and what they cost when the target has a price."""

from __future__ import annotations

from scalable_core.types import CostEstimate, CostLine, Plan, WorkerGroup


def cost_estimate(plan: Plan, *, provider: str) -> CostEstimate:
    """Return a line for the cores of each group; without a price no line has an amount."""
    price = plan.target.options.price
    usd = None if price is None else price.core_hour
    lines = tuple(_line(plan, group, usd) for group in plan.groups)
    amounts = [(line.amount, line.low, line.high) for line in lines if line.amount is not None]
    expected, low, high = map(sum, zip(*amounts, strict=True)) if amounts else (None, None, None)
    basis = (
        "the target's price" if price else "the target has no price, so what it costs is unknown"
    )
    return CostEstimate(
        provider=provider, expected=expected, low=low, high=high, basis=basis, lines=lines
    )


def _line(plan: Plan, group: WorkerGroup, usd: float | None) -> CostLine:
    cores = max(1, -(-group.cpus // 1))
    line = {"item": "Compute", "component": group.name, "unit": "vCPU-h", "unit_price": usd}
    forecast = plan.forecast.groups.get(group.name) if plan.forecast else None
    if forecast is None:
        return CostLine(**line, note=f"{cores:g} cores for each worker, nobody knows how long")
    hours = (forecast.worker_hours, forecast.low, forecast.high)
    amount, low, high = (None if usd is None else cores * each * usd for each in hours)
    return CostLine(
        **line,
        quantity=cores * forecast.worker_hours,
        amount=amount,
        low=low,
        high=high,
        source=None if usd is None else "the target",
        note=f"{forecast.workers} jobs of {cores:g} cores, {forecast.worker_hours:.4g}h together",
    )
