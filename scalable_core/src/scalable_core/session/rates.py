"""What a run pays as it goes, read from its provider's own estimate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from attrs import evolve

from scalable_core.errors import UsageError
from scalable_core.plugins import PluginHost
from scalable_core.session import invocation
from scalable_core.session.governor import Governor
from scalable_core.types import (
    CostEstimate,
    Forecast,
    GroupForecast,
    HookContext,
    HourlyRates,
    Plan,
)

if TYPE_CHECKING:
    from scalable_core.session.client import ScalableClient
    from scalable_core.session.kept import KeptResults
    from scalable_core.session.session import ScalableSession


def make_governor(
    plan: Plan,
    *,
    host: PluginHost,
    context: HookContext,
    session: ScalableSession,
    client: ScalableClient,
    kept: KeptResults,
    budget: float | None,
    **more: Any,
) -> Governor | None:
    """Return what watches the spending of a run; None where nothing has a price.

    Args:
        plan: The run's plan.
        host: The plugins.
        context: The run's.
        session: The run's.
        client: The run's.
        kept: The run's.
        budget: USD that the session may cost. A budget on the command line comes before it, and is for all
            sessions of the workflow together.
        **more: Further arguments of `Governor`.

    Raises:
        UsageError: There is a budget, and something that is paid by the hour has no price.
    """
    run = invocation.current()
    whole = None if run is None else run.budget
    unpriced = () if plan.cost is None else plan.cost.unpriced_compute
    if whole is None and budget is not None and unpriced:
        raise UsageError(
            f"a budget cannot be kept on {plan.target.name!r}: no price is known for {', '.join(unpriced)}",
            cure="give the target a price, or leave budget out",
        )
    rates = hourly_rates(plan, lambda plan: host.estimate_cost(plan, context))
    if rates.free:
        return None
    provider = plan.target.provider
    snapshot = host.price_snapshot(provider, refresh=False, context=context)
    return Governor(
        plan,
        context.run or "",
        rates=rates,
        profile=host.service_profile(plan.target),
        snapshot=None if snapshot is None else snapshot.id,
        client=client,
        progress=session.progress,
        is_kept=kept.is_kept,
        keep_done=lambda: kept.keep_done(client),
        budget=budget if whole is None else whole,
        elsewhere=lambda: 0.0 if run is None or whole is None else run.spent(but=session),
        **more,
    )


def hourly_rates(plan: Plan, estimate: Callable[[Plan], CostEstimate]) -> HourlyRates:
    """Return the prices of an hour of each group's workers and of the run itself.

    The provider is asked what the plan would cost with an hour more of one thing at a time. So whatever grows
    with a worker's time is part of its price, in whichever lines the provider writes it, and minimums that are
    shorter than an hour do not blur it. Lines without a price count nothing.

    Args:
        plan: The plan.
        estimate: Prices a plan; pure.
    """
    most = {group.name: max(1, min(group.maximum, plan.maximum)) for group in plan.groups}

    def price(wall: float, **hours: float) -> float:
        return _once(estimate(evolve(plan, forecast=_forecast(plan, most, wall, hours))))

    base = price(1.0)
    workers = {
        name: max(0.0, price(1.0, **{name: 2.0}) - base) / count for name, count in most.items()
    }
    shared = max(0.0, price(2.0) - base)
    paid = shared + sum(rate * most[name] for name, rate in workers.items())
    # What is left does not grow with time; a rest of rounding is nothing.
    once = base - paid
    return HourlyRates(workers=workers, shared=shared, once=once if once > 1e-9 else 0.0)


def _once(cost: CostEstimate) -> float:
    return sum(line.amount or 0.0 for line in cost.lines if not line.monthly)


def _forecast(
    plan: Plan, most: Mapping[str, int], wall: float, hours: Mapping[str, float]
) -> Forecast:
    """Every group at its most workers, each for an hour or as long as is asked."""
    known = plan.forecast
    groups = {}
    for name, count in most.items():
        total = count * hours.get(name, 1.0)
        groups[name] = GroupForecast(worker_hours=total, low=total, high=total, workers=count)
    return Forecast(
        basis="one hour",
        wall_hours=wall,
        low_wall_hours=wall,
        high_wall_hours=wall,
        output_bytes=None if known is None else known.output_bytes,
        download_bytes=None if known is None else known.download_bytes,
        groups=groups,
    )
