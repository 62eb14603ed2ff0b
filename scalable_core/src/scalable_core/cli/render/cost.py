"""Money as text. What is unknown is ``?`` and counted; it is never written as nothing."""

from __future__ import annotations

import calendar
import datetime
import math
import re

from scalable_core.cli.render.problems import count
from scalable_core.cli.render.table import wrap
from scalable_core.cli.terminal import Look, clean, display_width
from scalable_core.types import CostEstimate, CostLine, Forecast, Plan
from scalable_core.types.units import format_duration

_INDENT = "  "
_REST = "      "

#: A number at the beginning of a factor, such as that of ``10 workers``.
_FACTOR = re.compile(r"\s*([0-9][0-9,]*(?:\.[0-9]+)?)(?![0-9.])")

#: By how much the factors of a note may differ from the quantity, rounded as they are.
_ROUNDED = 0.01

#: Days by which a price may be older than the newest without being named.
_OLD = 90


def render_cost(plan: Plan, look: Look) -> list[str]:
    """Return the estimate of a plan line by line, with its sum and what it rests on."""
    cost = plan.cost
    if cost is None:
        return []
    head = look.paint(f"Cost Estimate for target {clean(plan.target.name)!r}:", "bold")
    if is_free(cost):
        return [head, *wrap(_free(cost), look, first=_INDENT, rest=_INDENT)]
    several = len(plan.groups) > 1
    labels = [f"{_label(line, several=several)}:" for line in cost.lines]
    rows = list(zip(labels, map(_sum, cost.lines), strict=True))
    rows += [("Total:", look.paint(_total(cost), "bold")), ("Prices:", _prices(plan, cost))]
    if plan.forecast is not None:
        rows.append(("Basis:", _basis(plan.forecast)))
    width = max(display_width(label) for label, _ in rows)
    if width > look.width // 2:
        width = 0
    lines = [head]
    for label, text in rows:
        padded = label + " " * (width - display_width(label))
        lines += wrap(f"{padded} {text}", look, first=_INDENT, rest=_REST)
    return lines


def _label(line: CostLine, *, several: bool) -> str:
    named = several and line.component is not None
    return clean(f"{line.item} ({line.component})" if named else line.item)


def _sum(line: CostLine) -> str:
    """Return what a line comes to and how: ``$3.24 (10 workers x 4 vCPU x 2h x $0.04048/vCPU-h)``."""
    amount = "?" if line.amount is None else f"${_amount(line.amount)}"
    month = "/month" if line.monthly else ""
    unit = clean(line.unit)
    price = f"${_price(line.unit_price)}/{unit}" if line.unit_price is not None else f"?/{unit}"
    note = clean(line.note)
    factors, mark, rest = _split(note)
    if line.quantity is not None and _is_product(factors, line.quantity):
        how = f"{_short(factors)} x {price}{mark}{rest}"
    elif line.quantity is None and line.unit_price is None:
        how = f"no price for {unit}" + (f"; {note}" if note else "")
    else:
        how = f"{_number(line.quantity)} {unit} x {price}" + (f"; {note}" if note else "")
    return f"{amount}{month} ({how})"


def _split(note: str) -> tuple[str, str, str]:
    """Split a note into the product that it begins with, and the rest."""
    match = re.search(r"[,;](?: |$)", note)
    if match is None:
        return note, "", ""
    return note[: match.start()], match[0], note[match.end() :]


def _is_product(text: str, quantity: float) -> bool:
    """Whether the numbers of ``10 workers x 4 vCPU x 2 h`` come to a quantity."""
    found = [_FACTOR.match(part) for part in text.split(" x ")]
    numbers = [float(match[1].replace(",", "")) for match in found if match is not None]
    if len(numbers) != len(found):
        return False
    return math.isclose(math.prod(numbers), quantity, rel_tol=_ROUNDED)


def _short(factors: str) -> str:
    return re.sub(r"(?<=[0-9]) h\b", "h", factors)


def _total(cost: CostEstimate) -> str:
    once = "?" if cost.expected is None else f"~{money(cost.expected, cost)}"
    text = f"{once} one-time"
    if cost.low is not None and cost.high is not None:
        low, high = money(cost.low, cost), money(cost.high, cost)
        text += f" (p10-p90 {low} - {high})" if low != high else ""
    if any(line.monthly for line in cost.lines):
        monthly = "?" if cost.monthly is None else money(cost.monthly, cost)
        text += f" + {monthly}/month (storage)"
    if cost.net is not None and money(cost.net, cost) != once.removeprefix("~"):
        text += f"; {money(cost.net, cost)} after what is free in a month"
    if cost.unpriced:
        names = ", ".join(dict.fromkeys(map(clean, cost.unpriced)))
        text += f"; {count(len(cost.unpriced), 'line')} not priced: {names}"
    return text


def _prices(plan: Plan, cost: CostEstimate) -> str:
    if cost.as_of is None:
        how_long = clean(plan.forecast.basis) if plan.forecast is not None else ""  # said below
        return clean(cost.basis).removesuffix(how_long).rstrip("; ") or "unknown"
    region = getattr(plan.target.options, "region", None)
    parts = ["list", f"snapshot {cost.as_of}", *([region] if region else []), "offline"]
    if cost.snapshot is not None:
        parts.append(f"id {cost.snapshot}")
    text = ", ".join(parts)
    aged = [
        line
        for line in cost.lines
        if line.amount is not None and line.as_of and _days_between(line.as_of, cost.as_of) > _OLD
    ]
    if aged:
        aged.sort(key=lambda line: -(line.amount or 0.0))  # what matters most is named first
        named = dict.fromkeys(f"{line.item} of {line.as_of}" for line in aged)
        text += f"; older: {', '.join(named)}"
    return clean(text)


def _days_between(older: str, newer: str) -> int:
    """Return the days between two dates; of a date that is only a year or a month, its last day counts."""
    return (_last_day(newer) - _last_day(older)).days


def _last_day(date: str) -> datetime.date:
    year, month, day = (*map(int, date.split("-")), 0, 0)[:3]
    if day:
        return datetime.date(year, month, day)
    month = month or 12
    return datetime.date(year, month, calendar.monthrange(year, month)[1])


def _basis(forecast: Forecast) -> str:
    wall, low, high = (
        format_duration(3600 * hours)
        for hours in (forecast.wall_hours, forecast.low_wall_hours, forecast.high_wall_hours)
    )
    band = "" if low == high else f" ({low} - {high})"
    return f"{clean(forecast.basis)}; {wall} from start to end{band}"


def cost_verdict(cost: CostEstimate | None) -> str:
    """Return an estimate in one sentence."""
    if cost is None:
        return "Cost not estimated."
    if is_free(cost):
        return "Nothing is billed."
    unpriced = f"{count(len(cost.unpriced), 'line')} not priced"
    if cost.expected is None:
        return f"Cost unknown: {unpriced}."
    expected = money(cost.expected, cost)
    high = expected if cost.high is None else money(cost.high, cost)
    most = f", at most {high} (p90)" if high != expected else ""
    rest = f"; {unpriced}" if cost.unpriced else ""
    return f"Expected {expected}{most}{rest}."


def costs_money(plan: Plan) -> bool:
    """Whether a run of a plan is billed, or nobody can say."""
    return plan.cost is None or not is_free(plan.cost)


def is_free(cost: CostEstimate) -> bool:
    """Whether everything is priced and comes to nothing, now and later."""
    return not cost.unpriced and cost.expected == 0 and not cost.monthly


def _free(cost: CostEstimate) -> str:
    basis = clean(cost.basis)
    if "nothing is billed" in basis:
        return basis
    return f"nothing is billed: {basis}" if basis else "nothing is billed"


def _number(number: float | None) -> str:
    if number is None:
        return "?"
    return f"{number:,.0f}" if number >= 1000 else f"{number:.4g}"


def _price(price: float) -> str:
    """Write a price with all its digits, without an exponent."""
    if price == 0:
        return "0"
    digits = max(6 - math.ceil(math.log10(abs(price))), 2)
    return f"{price:.{digits}f}".rstrip("0").rstrip(".")


def _amount(amount: float | None) -> str:
    if amount is None:
        return "?"
    if 0 < amount < 0.0001:
        return "<0.0001"
    return f"{amount:,.2f}" if amount >= 0.1 or amount == 0 else f"{amount:.2g}"


def money(amount: float, cost: CostEstimate) -> str:
    """Write an amount in the currency of its estimate: ``$3.24``."""
    text = _amount(amount)
    return f"${text}" if cost.currency == "USD" else f"{text} {cost.currency}"
