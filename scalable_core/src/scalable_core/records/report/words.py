"""What the report says in words, the same on a page and in a terminal."""

from __future__ import annotations

from scalable_core.records.advice import Advice, Bound
from scalable_core.records.failures import FailureGroup
from scalable_core.records.report.document import Report
from scalable_core.records.summary import RunSummary
from scalable_core.types.units import format_duration, format_size, format_usd

_SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£"}


def count(number: float, noun: str) -> str:
    """Return ``1 call`` or ``3 calls``."""
    return f"{number:,.0f} {noun}{'' if number == 1 else 's'}"


def short_id(run: str) -> str:
    """Return the part of a run's id that people say: the two words and the four digits."""
    parts = run.split("-")
    return "-".join(parts[3:]) if len(parts) == 6 and parts[0] == "run" else run


def verdict(summary: RunSummary) -> str:
    """Return how a run ended, in one line with numbers."""
    if not summary.calls:
        return "No task ended"
    ended = summary.done + summary.cached
    failed = f", {summary.failed} failed" if summary.failed else ""
    if ended == summary.calls:
        return f"{count(ended, 'task')} done"
    return f"{ended:,} of {count(summary.calls, 'task')} done{failed}"


def money(report: Report) -> tuple[str, str]:
    """Return what a run cost, and what is known about that; ``?`` when it is unknown, never nothing."""
    summary = report.summary
    estimate = report.history.plan.get("cost") or {}
    symbol = _SYMBOLS.get(estimate.get("currency", "USD"), "")
    unpriced = estimate.get("unpriced") or ()
    expected = summary.expected
    if summary.spent is not None:
        error = "" if summary.cost.error is None else f", {summary.cost.error:+.0%}"
        note = "" if expected is None else f"estimate {_usd(expected, symbol)}{error}"
        return _usd(summary.spent, symbol), note
    if expected is None:
        return "?", "not known"
    lines = estimate.get("lines") or ()
    if not expected and not unpriced and all(line.get("unit_price") == 0 for line in lines):
        return "none", "nothing is billed"
    more = f", {count(len(unpriced), 'line')} not priced" if unpriced else ""
    return _usd(expected, symbol), f"estimated before the run{more}"


def cost_lines(report: Report) -> list[str]:
    """Return what a run cost beside its estimate, and why they differ; empty when it was not watched."""
    cost = report.summary.cost
    if cost.spent is None:
        return []
    symbol = _SYMBOLS.get((report.history.plan.get("cost") or {}).get("currency", "USD"), "")
    text = f"spent {_usd(cost.spent, symbol)}"
    if cost.budget is not None:
        text += f" of {_usd(cost.budget, symbol)}"
    if cost.expected is not None:
        text += f", estimate {_usd(cost.expected, symbol)}"
        if cost.low is not None and cost.high is not None and cost.low != cost.high:
            text += f" (p10-p90 {_usd(cost.low, symbol)} - {_usd(cost.high, symbol)})"
        text += "" if cost.error is None else f", {cost.error:+.0%}"
    lines = [text]
    if cost.reasons and (cost.error is None or abs(cost.error) >= 0.01):
        lines.append(f"because {'; '.join(cost.reasons)}")
    return [*lines, f"prices: snapshot {cost.snapshot}"] if cost.snapshot else lines


def _usd(amount: float, symbol: str) -> str:
    return format_usd(amount).replace("$", symbol)


def sources_text(summary: RunSummary) -> str:
    """Return which runs had made the cached results: ``371 of 420 came from run calm-heron-1c09``."""
    runs = sorted(summary.cache.sources.items(), key=lambda item: -item[1])
    shown = [f"{number:,} from run {short_id(run)}" for run, number in runs[:4]]
    more = len(runs) - len(shown)
    text = ", ".join(shown) + (f", others from {count(more, 'more run')}" if more > 0 else "")
    return text.replace(" from run ", f" of {summary.calls:,} came from run ", 1)


def failure_facts(group: FailureGroup) -> str:
    """Return where and how often a cause was met, and what became of the calls."""
    words = f"{count(group.attempts, 'attempt')} of {count(group.calls, 'call')} of "
    words += ", ".join(group.tasks)
    if group.workers:
        shown = ", ".join(group.workers[:3])
        more = len(group.workers) - 3
        words += f" on {shown}" + (f" and {more} more" if more > 0 else "")
    ends = []
    if group.given_up:
        ends.append(f"{group.given_up} given up")
    if group.recovered:
        ends.append(f"{group.recovered} done in the end")
    return words + (f"; {', '.join(ends)}" if ends else "")


def bound_text(bound: Bound, *, unit: str) -> str:
    """Return a bound, or plainly why there is none.

    Args:
        bound: Of memory or of time.
        unit: ``B`` or ``s``.
    """
    if bound.value is not None:
        return written(bound.value, unit)
    if bound.count == 0:
        return "not measured"
    if bound.beyond:
        what = "ran out of memory" if unit == "B" else "were stopped by their timeout"
        return f"unknown: {bound.beyond} of {count(bound.count, 'call')} {what}"
    return f"not enough runs: {bound.count} of {bound.needed} calls"


def written(value: float | None, unit: str) -> str:
    """Return a quantity as people write it; ``-`` when it is not known."""
    if value is None:
        return "-"
    if unit == "B":
        return size(value)
    if unit == "s":
        return seconds(value)
    if unit == "%":
        return f"{value:.0%}"
    return f"${value:,.2f}" if unit == "USD" else f"{value:,.0f}"


def size(value: float | None) -> str:
    """Return bytes with three digits: ``280M``, ``1.25G``."""
    if value is None:
        return "-"
    if value >= 1024:
        for factor in (1024**5, 1024**4, 1024**3, 1024**2, 1024):
            if value >= factor:
                part = value / factor
                return format_size((round(part) if part >= 100 else float(f"{part:.3g}")) * factor)
    return format_size(round(value))


def seconds(value: float | None) -> str:
    """Return seconds, short ones in ms."""
    if value is None:
        return "-"
    if value < 0.0001:
        return "<0.1ms"
    if value < 0.0995:
        return f"{value * 1000:.2g}ms" if value < 0.0095 else f"{value * 1000:.0f}ms"
    return f"{value:.2f}s" if value < 0.995 else format_duration(value)


def workers_text(advice: Advice) -> str:
    """Return how many workers would help, in one sentence."""
    if not advice.choices:
        return ""
    most = count(advice.enough_workers, "worker")
    return f"more than {most} would not help: the longest call decides then"
