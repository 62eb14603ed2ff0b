"""Ways to do the same work as tables: targets, regions, and what a deadline or a budget leaves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from scalable_core.cli.render.cost import money
from scalable_core.cli.render.plan import changed_options, render_header
from scalable_core.cli.render.problems import count
from scalable_core.cli.render.table import Cell, table, wrap
from scalable_core.cli.terminal import Look, clean
from scalable_core.plan.ways import Choice, Comparison, NoWay, Way
from scalable_core.types import CostEstimate
from scalable_core.types.units import format_duration

_INDENT = "  "

#: How many regions are shown; JSON has all.
_REGIONS = 10

_OBJECTIVES = {
    "minimize cost": "the cheapest",
    "minimize time": "the fastest",
    "balance": "the best balance of time and cost",
}


def render_targets(comparison: Comparison, look: Look) -> list[str]:
    """Return every target, and the ways in which each may be bought, as lines; the cheapest first."""
    heads = ["TARGET", "capacity", "workers", "time", "cost", "p10-p90", "month", "unpriced"]
    rows: list[Sequence[Cell]] = [_heads(heads)]
    for way in comparison.ways:
        mark = _mark(way is comparison.current, way.target)
        label = way.label.replace(",", "") or "-"
        rows.append([mark, label, str(way.workers), _time(way), *_costs(way)])
    for no in comparison.failed:
        rows.append([_mark(False, no.target), *["-"] * 6, "x"])
    lines = table(rows, look, align="llrrrrrr", shrink=1, spare=(6,))
    lines += [""] if comparison.failed else []
    for no in comparison.failed:
        text = f"{clean(no.target)} has no plan: {clean(_reason(no))}"
        lines += wrap(text, look, rest=_INDENT)
    lines += ["", *_foot(comparison.ways, look), *_chances(comparison.ways, look)]
    return [*lines, "", *wrap(targets_verdict(comparison), look, rest=_INDENT)]


def targets_verdict(comparison: Comparison) -> str:
    """Return which target is the cheapest, and which the fastest."""
    known = [way for way in comparison.ways if _is_known(way)]
    fastest = min(comparison.ways, key=_hours)
    if not known:
        return f"No cost is known. Fastest: {_named(fastest)}, {_time(fastest)}."
    cheapest = known[0]
    text = f"Cheapest: {_named(cheapest)}, {_expected(cheapest)} in {_time(cheapest)}."
    if fastest is not cheapest:
        text += f" Fastest: {_named(fastest)}, {_time(fastest)} for {_expected(fastest)}."
    return text


def render_regions(comparison: Comparison, look: Look) -> list[str]:
    """Return the cheapest regions for a plan as lines, with what they cost as a multiple of the chosen one."""
    known = [way for way in comparison.ways if _is_known(way)]
    unknown = [way for way in comparison.ways if not _is_known(way)]
    shown = known[:_REGIONS]
    if comparison.current is not None and comparison.current not in shown:
        shown.append(comparison.current)
    heads = ["REGION", "ratio", "cost", "p10-p90", "month", "unpriced"]
    rows: list[Sequence[Cell]] = [_heads(heads)]
    for way in shown:
        mark = _mark(way is comparison.current, way.label)
        rows.append([mark, _ratio(way, comparison.current), *_costs(way)])
    lines = table(rows, look, align="lrrrrr", shrink=0, spare=(4,))
    lines = [
        *_head(comparison.ways[0] if comparison.current is None else comparison.current, look),
        "",
        *lines,
    ]
    more = len(known) - len([way for way in shown if _is_known(way)])
    if more > 0:
        lines.append(
            look.paint(f"{_INDENT}and {count(more, 'dearer region')}; --json has all", "dim")
        )
    if unknown:
        names = ", ".join(way.label for way in unknown)
        text = f"no price for the workers in {count(len(unknown), 'region')}: {names}"
        lines += wrap(look.paint(clean(text), "dim"), look, first=_INDENT, rest=_INDENT)
    note = "Moving images and data to another region is not counted."
    lines += ["", *_foot(comparison.ways, look), *wrap(look.paint(note, "dim"), look)]
    return [*lines, "", *wrap(regions_verdict(comparison), look, rest=_INDENT)]


def regions_verdict(comparison: Comparison) -> str:
    """Return which region is the cheapest, and by how much."""
    cheapest, current = comparison.ways[0], comparison.current
    if not _is_known(cheapest):
        return "No region has a price for the workers."
    text = f"Cheapest region: {clean(cheapest.label)}, {_expected(cheapest)}"
    ratio = _ratio(cheapest, current)
    if current is None or current is cheapest or not _is_known(current):
        return f"{text}."
    if ratio == "1.00":
        return f"No region is cheaper than {clean(current.label)}, {_expected(current)}."
    return f"{text}, which is {ratio} x {clean(current.label)}."


def render_choice(choice: Choice, look: Look) -> list[str]:
    """Return what was chosen as lines, among the ways than which none is both faster and cheaper."""
    heads = ["WORKERS", "capacity", "time", "p90", "cost", "p90", "unpriced"]
    rows: list[Sequence[Cell]] = [_heads(heads)]
    for way in choice.ways:
        forecast = way.plan.forecast
        high = "-" if forecast is None else format_duration(3600 * forecast.high_wall_hours)
        cost = way.plan.cost
        dear = "?" if not _is_known(way) or cost is None else _money(cost.high, cost)
        mark = _mark(way is choice.chosen, f"{way.workers:>7}")
        label = way.label or "-"
        rows.append([mark, label, _time(way), high, _expected(way), dear, _unpriced(way)])
    lines = [*_head(choice.nearest, look), "", *table(rows, look, align="llrrrrr", shrink=1)]
    lines += ["", *_foot(choice.ways, look)]
    if choice.chosen is not None:
        lines += _chances([choice.chosen], look)
        most = "at most " if choice.chosen.plan.adaptive else ""
        changed = [f"{most}{count(choice.chosen.workers, 'worker')}"]
        changed += changed_options(choice.chosen.plan)
        text = f"In place of what the manifest says: {', '.join(changed)}"
        lines += wrap(look.paint(clean(text), "dim"), look, rest=_INDENT)
    return [*lines, "", *wrap(choice_verdict(choice), look, rest=_INDENT)]


def choice_verdict(choice: Choice) -> str:
    """Return what was chosen and what it keeps to, or what comes nearest."""
    limits = _limits(choice)
    way = choice.chosen or choice.nearest
    figures = f"{_time(way)}{_high_time(way)}, {_expected(way)}{_high_cost(way)}"
    what = f"{count(way.workers, 'worker')}{f', {way.label}' if way.label else ''}: {figures}"
    lines = len(way.plan.cost.unpriced) if way.plan.cost else 0
    unpriced = f" {count(lines, 'line')} not priced." if lines else ""
    if choice.chosen is None:
        return f"Nothing keeps to {limits}. Nearest: {what}.{unpriced}"
    best = _OBJECTIVES[choice.limits["objective"]]
    within = f" that keeps to {limits}" if limits else ""
    return f"Chosen: {what}; {best}{within}.{unpriced}"


def _limits(choice: Choice) -> str:
    at = "expected" if choice.limits["at"] == "expected" else "at p90"
    deadline, budget = choice.limits["deadline"], choice.limits["budget"]
    texts = [f"{format_duration(3600 * deadline)}"] if deadline is not None else []
    texts += [f"${budget:,.2f}"] if budget is not None else []
    return f"{' and '.join(texts)} ({at})" if texts else ""


def _head(way: Way, look: Look) -> list[str]:
    return render_header(way.plan, look, folder=Path.cwd())[:1]


def _heads(heads: Iterable[str]) -> list[Cell]:
    return [
        (f"{_INDENT}{h}" if i == 0 else h, "bold" if i == 0 else "dim") for i, h in enumerate(heads)
    ]


def _mark(marked: bool, text: str) -> str:
    return f"{'* ' if marked else _INDENT}{clean(text)}"


def _named(way: Way) -> str:
    return clean(f"{way.target} ({way.label})" if way.label else way.target)


def _hours(way: Way) -> float:
    return way.plan.forecast.wall_hours if way.plan.forecast else float("inf")


def _time(way: Way) -> str:
    return format_duration(3600 * _hours(way)) if way.plan.forecast else "-"


def _high_time(way: Way) -> str:
    forecast = way.plan.forecast
    if forecast is None or forecast.high_wall_hours <= forecast.wall_hours:
        return ""
    return f" ({format_duration(3600 * forecast.high_wall_hours)} at p90)"


def _is_known(way: Way) -> bool:
    """Whether the cost says anything: what workers are paid for by the hour has a price."""
    cost = way.plan.cost
    return cost is not None and cost.expected is not None and not cost.unpriced_compute


def _expected(way: Way) -> str:
    cost = way.plan.cost
    return "?" if cost is None or not _is_known(way) else _money(cost.expected, cost)


def _high_cost(way: Way) -> str:
    cost = way.plan.cost
    if cost is None or not _is_known(way) or cost.high in (None, cost.expected):
        return ""
    return f" ({_money(cost.high, cost)} at p90)"


def _costs(way: Way) -> list[str]:
    """Return what is expected, from where to where, what each month costs, and how many lines have no price."""
    cost = way.plan.cost
    if cost is None or not _is_known(way):
        return ["?", "-", "-", _unpriced(way)]
    low, high = _money(cost.low, cost), _money(cost.high, cost)
    band = f"{low} - {high}" if low != high else "-"
    month = "-" if cost.monthly is None else _money(cost.monthly, cost)
    return [_expected(way), band, month, _unpriced(way)]


def _money(amount: float | None, cost: CostEstimate) -> str:
    return "?" if amount is None else money(amount, cost)


def _unpriced(way: Way) -> str:
    lines = len(way.plan.cost.unpriced) if way.plan.cost else 0
    return str(lines) if lines else "-"


def _ratio(way: Way, current: Way | None) -> str:
    base = current.plan.cost if current is not None and _is_known(current) else None
    cost = way.plan.cost
    if base is None or not base.expected or cost is None or cost.expected is None:
        return "-"
    return f"{cost.expected / base.expected:.2f}"


def _reason(no: NoWay) -> str:
    """Return why a target has no plan: the error in one line, with the first of its problems, and the cure."""
    error = no.error
    message = getattr(error, "message", None) or f"{type(error).__name__}: {error}"
    problems = getattr(error, "problems", ())
    first = next((p for p in problems if p.severity == "error"), None)
    parts = [message, *([f"{first.where}: {first.message}"] if first else [])]
    cure = (first.cure if first else None) or getattr(error, "cure", None)
    return "; ".join(" ".join(part.split()) for part in [*parts, *([cure] if cure else [])])


def _chances(ways: Iterable[Way], look: Look) -> list[str]:
    """Return how likely it is that a service takes at least one worker away, where it may."""
    shares = [(way, -math.expm1(-way.lost_workers)) for way in ways if way.lost_workers]
    if not shares:
        return []
    texts = [f"{_named(way)} {'<1%' if p < 0.01 else f'{p:.0%}'}" for way, p in shares]
    text = f"Chance that a Spot worker is taken away: {', '.join(texts)}"
    return wrap(look.paint(text, "dim"), look, rest=_INDENT)


def _foot(ways: Iterable[Way], look: Look) -> list[str]:
    """Return what the figures rest on."""
    ways = tuple(ways)
    bases = dict.fromkeys(way.plan.forecast.basis for way in ways if way.plan.forecast)
    dates = sorted({way.plan.cost.as_of for way in ways if way.plan.cost and way.plan.cost.as_of})
    prices = "none"
    if dates:
        span = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
        prices = f"list, snapshots {span}, offline"
    names = dict.fromkeys(n for way in ways if way.plan.cost for n in way.plan.cost.unpriced)
    lines = [f"Basis: {'; '.join(bases)}", f"Prices: {prices}"]
    if names:
        lines.append(f"Not priced: {', '.join(names)}")
    return [
        text for line in lines for text in wrap(look.paint(clean(line), "dim"), look, rest=_INDENT)
    ]
