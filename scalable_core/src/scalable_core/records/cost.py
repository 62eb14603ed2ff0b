"""What a run cost beside what it was expected to cost, and why the two differ where that is plain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import frozen

from scalable_core.records.reading import RunHistory
from scalable_core.types.units import format_duration

#: Parts of the expected quantity within which two are taken to be the same.
_SAME = 0.05


@frozen(kw_only=True)
class CostSummary:
    """What a run cost. Amounts in the plan's currency; None is unknown.

    Attributes:
        spent: From ``cost.jsonl``: launch prices times paid seconds.
        expected, low, high: The estimate, and its tenth and ninetieth percentile.
        error: ``spent`` over ``expected``, less one; None where there is no estimate.
        comparable: The error is the estimate's: it rested on something, and the run did all of its work.
        worker_hours, expected_worker_hours: Of all workers together.
        reasons: Sentences: why the two differ.
        budget: What the run was allowed to cost.
        snapshot: Id of the prices.
    """

    spent: float | None
    expected: float | None
    low: float | None = None
    high: float | None = None
    error: float | None = None
    comparable: bool = False
    worker_hours: float | None = None
    expected_worker_hours: float | None = None
    reasons: tuple[str, ...] = ()
    budget: float | None = None
    snapshot: str | None = None


def summarise_cost(history: RunHistory) -> CostSummary:
    """Return what a run cost and was expected to cost."""
    estimate: Mapping[str, Any] = history.plan.get("cost") or {}
    expected, spent = _number(estimate.get("expected")), _spent(history)
    first = next((row for row in history.cost if row.get("item") == "estimate"), {})
    paid = [row for row in history.cost if row.get("item") == "workers"]
    record = history.record.cost
    return CostSummary(
        spent=spent,
        expected=expected,
        low=_number(estimate.get("low")),
        high=_number(estimate.get("high")),
        error=spent / expected - 1 if spent is not None and expected else None,
        comparable=record is not None and record.comparable,
        worker_hours=sum(_number(row.get("seconds")) or 0.0 for row in paid) / 3600
        if paid
        else None,
        expected_worker_hours=_expected_hours(history),
        reasons=() if spent is None or not expected else tuple(_reasons(history)),
        budget=_number(first.get("budget")),
        snapshot=first.get("snapshot"),
    )


def paid_rows(history: RunHistory) -> list[tuple[str, float, float, float]]:
    """Return what was paid by the hour: what, its hours, its price for one, the sum; in order of appearance."""
    paid: dict[tuple[str, float], list[float]] = {}
    for row in history.cost:
        seconds, price = _number(row.get("seconds")), _number(row.get("price"))
        if seconds is None or price is None:
            continue
        shared = row.get("item") == "shared"
        name = (
            "the run itself" if shared else f"workers of {row.get('component') or 'no component'}"
        )
        sums = paid.setdefault((name, price), [0.0, 0.0])
        sums[0] += seconds / 3600
        sums[1] += _number(row.get("amount")) or 0.0
    return [(name, hours, price, amount) for (name, price), (hours, amount) in paid.items()]


def _spent(history: RunHistory) -> float | None:
    amounts = [_number(row.get("amount")) for row in history.cost]
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if known else None


def _expected_hours(history: RunHistory) -> float | None:
    groups = (history.plan.get("forecast") or {}).get("groups") or {}
    hours = [_number(group.get("worker_hours")) for group in groups.values()]
    known = [hour for hour in hours if hour is not None]
    return sum(known) if known else None


def _reasons(history: RunHistory) -> Iterator[str]:
    record, forecast = history.record, history.plan.get("forecast") or {}
    if record.status != "done":
        yield {"stopped": "it was stopped by its budget"}.get(record.status, f"it {record.status}")
    if not forecast.get("known"):
        yield f"the estimate rested on nothing known ({forecast.get('basis', 'no forecast')})"
    cached, failed = record.tasks.get("cached", 0), record.tasks.get("failed", 0)
    if cached:
        yield f"{cached:,} of {cached + record.tasks.get('total', 0):,} results came from the cache"
    if failed:
        yield f"{failed:,} call{'s' * (failed != 1)} failed"
    paid = [
        _number(row.get("seconds")) or 0.0 for row in history.cost if row.get("item") == "workers"
    ]
    hours, expected = sum(paid) / 3600, _expected_hours(history)
    if expected and paid and abs(hours / expected - 1) > _SAME:
        yield f"workers were there for {_time(hours)} together, not {_time(expected)}"
    wall = _number(forecast.get("wall_hours"))
    took = max(history.ended - history.started, 0.0) / 3600
    if wall and abs(took / wall - 1) > _SAME:
        yield f"it took {_time(took)}, not {_time(wall)}"


def _time(hours: float) -> str:
    return format_duration(3600 * hours)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None
