"""Money: every line is a quantity times a unit price, with its unit, date and source."""

from __future__ import annotations

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
        monthly: Sum of the monthly lines; None when none has a price.
        basis: One sentence: which prices and how long, such as ``list prices, 10 workers for 2 h``.
        as_of: ISO date of the oldest price used.
        lines: Every line.
    """

    provider: str
    currency: str = "USD"
    expected: float | None = None
    low: float | None = None
    high: float | None = None
    monthly: float | None = None
    basis: str = ""
    as_of: str | None = None
    lines: tuple[CostLine, ...] = ()

    @property
    def unpriced(self) -> tuple[str, ...]:
        """Items whose amount is unknown; shown as ``?`` and counted, never as 0."""
        return tuple(line.item for line in self.lines if line.amount is None)
