"""Money as text. What is unknown is ``?`` and counted; it is never written as nothing."""

from __future__ import annotations

from collections.abc import Sequence

from scalable_core.cli.render.problems import count
from scalable_core.cli.render.table import Cell, table, wrap
from scalable_core.cli.terminal import Look, clean
from scalable_core.types import CostEstimate, CostLine

_INDENT = "  "


def render_cost(cost: CostEstimate, look: Look) -> list[str]:
    """Return an estimate line by line, with its sum and what it rests on."""
    head = look.paint("COST", "bold")
    if is_free(cost):
        return [head, *wrap(_free(cost), look, first=_INDENT, rest=_INDENT)]
    currency = cost.currency
    heads = ["COST", "quantity", "unit", "unit price", currency]
    styles = ["bold", *["dim"] * 4]
    rows: list[Sequence[Cell]] = [list(zip(heads, styles, strict=True))]
    once = [line for line in cost.lines if not line.monthly]
    monthly = [line for line in cost.lines if line.monthly]
    rows += [_row(line) for line in once]
    rows.append([f"{_INDENT}expected", "", "", "", (_amount(cost.expected), "bold")])
    rows += [_row(line) for line in monthly]
    if monthly:
        total = (_amount(cost.monthly), "bold")
        rows.append([f"{_INDENT}afterwards, each month", "", "", "", total])
    lines = table(rows, look, align="lrlrr", shrink=0, spare=[3])
    if cost.low is not None and cost.high is not None:
        lines.append(
            f"{_INDENT}range (p10-p90) {_amount(cost.low)} to {_amount(cost.high)} {currency}"
        )
    dated = f", as of {cost.as_of}" if cost.as_of else ""
    notes = [clean(cost.basis) + dated] if cost.basis or dated else []
    if cost.unpriced:
        notes.append(f"{count(len(cost.unpriced), 'line')} not priced")
    for note in notes:
        lines += wrap(look.paint(note.removeprefix(", "), "dim"), look, first=_INDENT, rest=_INDENT)
    return lines


def cost_verdict(cost: CostEstimate | None) -> str:
    """Return an estimate in one sentence."""
    if cost is None:
        return "Cost not estimated."
    if is_free(cost):
        return "Nothing is billed."
    unpriced = f"{count(len(cost.unpriced), 'line')} not priced"
    if cost.expected is None:
        return f"Cost unknown: {unpriced}."
    most = "" if cost.high is None else f", at most {_money(cost.high, cost)} (p90)"
    rest = f"; {unpriced}" if cost.unpriced else ""
    return f"Expected {_money(cost.expected, cost)}{most}{rest}."


def is_free(cost: CostEstimate) -> bool:
    """Whether everything is priced and comes to nothing, now and later."""
    return not cost.unpriced and cost.expected == 0 and not cost.monthly


def _free(cost: CostEstimate) -> str:
    basis = clean(cost.basis)
    if "nothing is billed" in basis:
        return basis
    return f"nothing is billed: {basis}" if basis else "nothing is billed"


def _row(line: CostLine) -> list[Cell]:
    item = f"{line.item} ({line.component})" if line.component else line.item
    return [
        _INDENT + clean(item),
        _number(line.quantity),
        clean(line.unit),
        _number(line.unit_price),
        _amount(line.amount),
    ]


def _number(number: float | None) -> str:
    if number is None:
        return "?"
    return f"{number:,.0f}" if number >= 1000 else f"{number:.4g}"


def _amount(amount: float | None) -> str:
    if amount is None:
        return "?"
    if 0 < amount < 0.0001:
        return "<0.0001"
    return f"{amount:,.2f}" if amount >= 0.1 or amount == 0 else f"{amount:.2g}"


def _money(amount: float, cost: CostEstimate) -> str:
    text = _amount(amount)
    return f"${text}" if cost.currency == "USD" else f"{text} {cost.currency}"
