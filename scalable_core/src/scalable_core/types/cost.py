"""Money: every line is a quantity times a unit price, with its unit, date and source."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen


@frozen(kw_only=True)
class CostLine:
    """One thing that is paid for.

    Attributes:
        item: Such as ``Compute`` or ``Public IPv4``.
        component: The component that causes it; None for shared things.
        quantity: How much, in ``unit``; None when unknown.
        unit: ``vCPU-h``, ``GB-h``, ``GB-month``, ``GB``, ``h``, ``1k-requests``.
        unit_price: USD for one unit; None when there is no price. Never 0 for unknown.
        amount: USD expected; None when the price or the quantity is unknown.
        low: USD at the tenth percentile.
        high: USD at the ninetieth percentile.
        net: USD that are left when all of what the account has free in a month is left for this run; None
            when nothing of it is free.
        monthly: The amount is for each month that the thing is kept, not for the run.
        as_of: ISO date of the price.
        source: Where the price comes from.
        note: How the quantity comes about, such as ``10 workers x 4 vCPU x 2 h``.
    """

    item: str
    component: str | None = None
    quantity: float | None = None
    unit: str
    unit_price: float | None = None
    amount: float | None = None
    low: float | None = None
    high: float | None = None
    net: float | None = None
    monthly: bool = False
    as_of: str | None = None
    source: str | None = None
    note: str = ""


@frozen(kw_only=True)
class CostEstimate:
    """What a plan will cost, before anything is spent.

    Attributes:
        provider: The plugin that answered.
        currency: ``USD``.
        expected: Sum of the one-time lines that have a price; None when none has.
        low: Sum at the tenth percentile; None when unknown.
        high: Sum at the ninetieth percentile; None when unknown.
        net: Sum of the one-time lines after what the account has free in a month; None when nothing is free.
        monthly: Sum of the monthly lines; None when none has a price.
        basis: One sentence: which prices and how long, such as ``list prices, 10 workers for 2 h``.
        as_of: ISO date of the newest price used.
        oldest: ISO date of the oldest price used.
        snapshot: Id of the price snapshot, see `PriceSnapshot`; None when there is none.
        lines: Every line.
    """

    provider: str
    currency: str = "USD"
    expected: float | None = None
    low: float | None = None
    high: float | None = None
    net: float | None = None
    monthly: float | None = None
    basis: str = ""
    as_of: str | None = None
    oldest: str | None = None
    snapshot: str | None = None
    lines: tuple[CostLine, ...] = ()

    @property
    def unpriced(self) -> tuple[str, ...]:
        """Items whose amount is unknown; shown as ``?`` and counted, never as 0."""
        return tuple(line.item for line in self.lines if line.amount is None)

    @property
    def unpriced_compute(self) -> tuple[str, ...]:
        """Those of them that are paid by the hour, without which nobody can say what a run has spent."""
        lines = (line for line in self.lines if line.amount is None and not line.monthly)
        return tuple(line.item for line in lines if line.unit in _HOURLY)


#: Units of what is paid for as long as it is there.
_HOURLY = frozenset({"vCPU-h", "GB-h", "h"})


@frozen(kw_only=True)
class HourlyRates:
    """What a run pays as it goes, in USD.

    Attributes:
        workers: Group to the price of one of its workers for an hour, its disk and address included.
        shared: The price of an hour of the run itself: the scheduler, a cluster's fee.
        once: What does not grow with time, such as egress.
    """

    workers: Mapping[str, float]
    shared: float = 0.0
    once: float = 0.0

    @property
    def free(self) -> bool:
        """Whether nothing of this costs anything."""
        return not (self.shared or self.once or any(self.workers.values()))


@frozen(kw_only=True)
class PaidWorker:
    """One launch of a worker as it is paid for. A cluster may tell of them in ``paid_workers()``.

    Attributes:
        name: The worker's name; each launch of a name is one of these.
        component: Its group.
        since: Epoch seconds from which it is paid for.
        until: Epoch seconds; None while it is there.
        price: USD an hour that it was launched at; None for the estimate's price of its group.
    """

    name: str
    component: str
    since: float
    until: float | None = None
    price: float | None = None
