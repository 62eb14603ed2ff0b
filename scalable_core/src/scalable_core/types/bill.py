"""The arithmetic that every provider's estimate shares: how much of a thing, times its price, and the sum.

A quantity is a `Span`: what is expected and the band that it lies in. What has no price or no quantity
becomes a line without an amount; it is never 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from attrs import evolve, frozen

from scalable_core.types.cost import CostEstimate, CostLine
from scalable_core.types.forecast import Forecast, GroupForecast
from scalable_core.types.plan import Plan, WorkerGroup
from scalable_core.types.prices import Price, Tier, tiered
from scalable_core.types.units import GIB

#: Seconds that a member is billed for at least, on every service but a few.
SHORTEST = 60

#: Hours of a month on a bill.
MONTH = 730.0

#: A log's GB for each hour of a member: our own assumption, as no provider knows before.
LOG_GB_PER_HOUR = 1 / 1024

#: Uploads are cut into parts of this many bytes, each a request.
PART = 8 * 1024**2


@frozen
class Span:
    """A quantity: expected, and at the tenth and ninetieth percentile."""

    expected: float
    low: float
    high: float

    def times(self, factor: float) -> Span:
        """Return the quantity times a factor that is not negative."""
        return Span(self.expected * factor, self.low * factor, self.high * factor)

    def plus(self, other: Span) -> Span:
        """Return the sum of two quantities."""
        return Span(self.expected + other.expected, self.low + other.low, self.high + other.high)

    def each(self, change: Callable[[float], float]) -> Span:
        """Return the quantity with each of its three numbers changed by a function that never falls."""
        return Span(change(self.expected), change(self.low), change(self.high))


def exactly(quantity: float) -> Span:
    """Return a quantity without a band."""
    return Span(quantity, quantity, quantity)


def gigabytes(nbytes: int | None) -> Span | None:
    """Return bytes in the GB of a bill, which are GiB; None when unknown."""
    return None if nbytes is None else exactly(nbytes / GIB)


def forecast_of(plan: Plan) -> Forecast:
    """Return the plan's forecast; one hour with every group at its share of the maximum when it has none."""
    if plan.forecast is not None:
        return plan.forecast
    most = sum(group.maximum for group in plan.groups)
    share = min(1.0, plan.maximum / most) if most else 0.0
    groups = {
        group.name: GroupForecast(
            worker_hours=group.maximum * share,
            low=group.maximum * share,
            high=group.maximum * share,
            workers=math.ceil(group.maximum * share),
        )
        for group in plan.groups
    }
    basis = "no forecast: one hour with every group at its share of the maximum"
    return Forecast(
        basis=basis, wall_hours=1.0, low_wall_hours=1.0, high_wall_hours=1.0, groups=groups
    )


@frozen(kw_only=True)
class Workers:
    """The workers of a group as they are billed.

    Attributes:
        count: Most at one time.
        hours: Their hours together, each at least a minute, in whole seconds.
    """

    count: int
    hours: Span

    def note(self, what: str) -> str:
        """Say how a quantity comes about, such as ``10 workers x 4 vCPU x 2h``."""
        each = self.hours.expected / self.count if self.count else 0.0
        plural = "" if self.count == 1 else "s"
        return f"{self.count} worker{plural} x {what} x {each:.4g}h"


def billed_workers(forecast: Forecast, group: WorkerGroup, *, shortest: int = SHORTEST) -> Workers:
    """Return how long the workers of a group are billed for; nothing when it has no forecast.

    Args:
        forecast: Of the plan.
        group: One of its groups.
        shortest: Seconds that each worker is billed for at least.
    """
    known = forecast.groups.get(group.name)
    if known is None or not known.workers:
        return Workers(count=0, hours=exactly(0.0))
    # Each worker's seconds are rounded up, so it is their mean that is rounded, and not their sum.
    count = known.workers
    hours = Span(known.worker_hours, known.low, known.high)
    hours = hours.each(lambda hour: count * _seconds(hour / count, shortest) / 3600)
    return Workers(count=count, hours=hours)


def billed_wall(forecast: Forecast, *, shortest: int = SHORTEST) -> Span:
    """Return the hours for which what lives as long as the run, such as the scheduler, is billed."""
    wall = Span(forecast.wall_hours, forecast.low_wall_hours, forecast.high_wall_hours)
    return wall.each(lambda hour: _seconds(hour, shortest) / 3600)


def _seconds(hours: float, least: float) -> float:
    # 1 h is 3600 s, not 3601 because of the last bit of a float.
    return max(least, math.ceil(round(hours * 3600, 6))) if hours > 0 else 0.0


def priced(
    item: str,
    unit: str,
    quantity: Span | None,
    price: Price | None,
    *,
    component: str | None = None,
    note: str = "",
    monthly: bool = False,
    allowance: float | None = None,
) -> CostLine:
    """Return a line: quantity x unit price, without an amount when either is unknown.

    Args:
        item: What is paid for.
        unit: Of the quantity.
        quantity: How much; None when unknown.
        price: Of one unit; None when unknown.
        component: That causes it.
        note: How the quantity comes about.
        monthly: The amount is for each month.
        allowance: Units that the account has free in a month, or what is left of them; None for none. The
            amount stays gross, the low end is net, for what else the account does with them is not known.
    """
    line = CostLine(
        item=item,
        component=component,
        quantity=None if quantity is None else quantity.expected,
        unit=unit,
        unit_price=None if price is None else price.usd,
        monthly=monthly,
        as_of=None if price is None else price.as_of,
        source=None if price is None else price.source,
        note=note,
    )
    if quantity is None or price is None:
        return line
    amount = quantity.expected * price.usd
    low, high = min(amount, quantity.low * price.low), max(amount, quantity.high * price.high)
    line = evolve(line, amount=amount, low=low, high=high)
    if allowance is None:
        return line
    net = max(0.0, quantity.expected - allowance) * price.usd
    least = max(0.0, quantity.low - allowance) * price.low
    return _with_net(line, net, min(low, least), allowance)


def priced_in_tiers(
    item: str,
    unit: str,
    quantity: Span | None,
    tiers: Sequence[Tier],
    *,
    component: str | None = None,
    allowance: float | None = None,
    note: str = "",
    monthly: bool = False,
) -> CostLine:
    """Return a line at the mean price over the tiers that a quantity reaches; see `priced`."""
    first = tiers[0].price if tiers else None
    line = priced(item, unit, quantity, first, component=component, note=note, monthly=monthly)
    if quantity is None or first is None:
        return line
    gross = tiered(tiers, quantity.expected)
    mean = gross / quantity.expected if quantity.expected else first.usd
    low, high = tiered(tiers, quantity.low), tiered(tiers, quantity.high)
    line = evolve(line, unit_price=mean, amount=gross, low=min(low, gross), high=max(high, gross))
    if allowance is None:
        return line
    net = tiered(tiers, max(0.0, quantity.expected - allowance))
    return _with_net(line, net, tiered(tiers, max(0.0, quantity.low - allowance)), allowance)


def _with_net(line: CostLine, net: float, low: float, allowance: float) -> CostLine:
    said = (
        f"gross ${line.amount:.2f}, net ${net:.2f} after {allowance:.4g} {line.unit} free a month"
    )
    note = f"{line.note}; {said}" if line.note else said
    return evolve(line, net=net, low=low, note=note)


def total(
    provider: str, basis: str, lines: Iterable[CostLine], *, snapshot: str | None = None
) -> CostEstimate:
    """Return an estimate with the sums of its lines; a sum of nothing priced is unknown, not 0."""
    lines = tuple(lines)
    once = [line for line in lines if line.amount is not None and not line.monthly]
    monthly = [line.amount for line in lines if line.amount is not None and line.monthly]
    dates = [line.as_of for line in lines if line.amount is not None and line.as_of]
    return CostEstimate(
        provider=provider,
        expected=sum(line.amount or 0.0 for line in once) if once else None,
        low=sum(line.low or 0.0 for line in once) if once else None,
        high=sum(line.high or 0.0 for line in once) if once else None,
        net=_net(once),
        monthly=sum(monthly) if monthly else None,
        basis=basis,
        as_of=max(dates, default=None),
        oldest=min(dates, default=None),
        snapshot=snapshot,
        lines=lines,
    )


def _net(lines: Sequence[CostLine]) -> float | None:
    if all(line.net is None for line in lines):
        return None
    return sum((line.amount if line.net is None else line.net) or 0.0 for line in lines)
