"""What runs have running, and what became of it."""

from __future__ import annotations

import datetime
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from scalable_core.cli.render.problems import count
from scalable_core.cli.render.table import Cell, table, wrap
from scalable_core.cli.terminal import Look, clean
from scalable_core.records.report.words import short_id
from scalable_core.session.running import Found, FoundRun, hourly_of
from scalable_core.types import ReleaseReport, Resource, to_data
from scalable_core.types.units import format_duration

STATUS_SCHEMA = "scalable.status/1"
DOWN_SCHEMA = "scalable.down/1"

_HEADS = ("RUN", "TARGET", "RESOURCES", "AGE", "$/h", "STATE")


def render_found(
    found: Found, look: Look, *, would: bool = False, now: float | None = None
) -> list[str]:
    """Return a row for each run, the standing things, what could not be asked, and the sum.

    Args:
        found: What there is.
        look: Of the stream.
        would: It is to be removed; the last line says so.
        now: Epoch seconds; the present when None.
    """
    moment = time.time() if now is None else now
    lines: list[str] = []
    if found.runs:
        rows: list[Sequence[Cell]] = [[(head, "dim") for head in _HEADS]]
        rows += [_row(each, moment) for each in found.runs]
        lines += table(rows, look, align="lllrrl", shrink=2)
    if found.standing:
        lines += ["", "Standing, for all runs of the project:"] if lines else ["Standing:"]
        for target, resource in found.standing:
            text = f"{resource.kind} {resource.id}  {_price(resource.hourly)}/h"
            lines += wrap(f"{clean(target)}: {clean(text)}", look, first="  ", rest="    ")
    for sentence in found.unasked:
        lines += wrap(clean(sentence), look, first=f"{look.paint('!', 'yellow')} ", rest="  ")
    return [*lines, _verdict(found, moment, would=would)]


def found_document(found: Found) -> dict[str, Any]:
    """Return what there is as plain data for programs."""
    runs = [
        {
            "run": each.record.run,
            "target": each.record.target,
            "provider": each.record.provider,
            "created": each.record.created or None,
            "driver": each.driver,
            "confirmed": each.confirmed,
            "hourly": each.hourly,
            "resources": to_data(each.record.resources),
        }
        for each in found.runs
    ]
    standing = [{"target": name, **to_data(resource)} for name, resource in found.standing]
    return {
        "schema": STATUS_SCHEMA,
        "runs": runs,
        "standing": standing,
        "asked": list(found.asked),
        "unasked": list(found.unasked),
    }


def render_released(
    reports: Sequence[ReleaseReport], asked: Sequence[str], look: Look
) -> list[str]:
    """Return what was removed, what is left, and which services were asked again."""
    lines = []
    for report in reports:
        for note in report.notes:
            lines += wrap(clean(note), look, first="  ", rest="  ")
        for resource in report.remaining:
            mark = look.paint("x", "red")
            lines.append(f"{mark} still there: {clean(resource.kind)} {clean(resource.id)}")
    gone = sum(len(report.released) for report in reports)
    left = sum(len(report.remaining) for report in reports)
    again = f"; listed again in {', '.join(asked)}" if asked else ""
    if not reports:
        return [*lines, "Nothing was left to remove."]
    if left:
        return [*lines, f"removed {gone} of {gone + left}{again}"]
    return [*lines, f"removed {gone} of {gone}; nothing is left{again}"]


def released_document(reports: Sequence[ReleaseReport], troubles: Sequence[str]) -> dict[str, Any]:
    """Return what became of it as plain data for programs."""
    return {
        "schema": DOWN_SCHEMA,
        "reports": [to_data(report) for report in reports],
        "troubles": list(troubles),
    }


def _row(found: FoundRun, now: float) -> list[Cell]:
    record = found.record
    state: Cell = {
        "here": ("running", "green"),
        "elsewhere": ("running elsewhere", "green"),
        "gone": ("its driver is gone", "red"),
    }[found.driver]
    if found.run is None and found.driver == "gone":
        state = ("no driver known", "red")
    age = _age(record.created, now)
    return [
        clean(short_id(record.run)),
        clean(record.target),
        clean(_kinds(record.resources)) or "-",
        "?" if age is None else format_duration(age),
        _price(found.hourly) if record.resources else "-",
        state,
    ]


def _kinds(resources: Iterable[Resource]) -> str:
    counts = Counter(each.kind for each in resources)
    return ", ".join(f"{number} x {kind}" for kind, number in sorted(counts.items()))


def _verdict(found: Found, now: float, *, would: bool) -> str:
    resources = [item for each in found.runs for item in each.record.resources]
    resources += [item for _, item in found.standing] if would else []
    where = f" Asked: {', '.join(found.asked)}." if found.asked else ""
    if not found.runs and not (would and found.standing):
        return f"Nothing of this project is running, as far as could be seen.{where}"
    hourly = hourly_of(resources)
    price = "an unknown price" if hourly is None else f"${hourly:.2f}"
    runs = [count(len(found.runs), "run")] if found.runs else []
    if not would:
        return f"{runs[0]}{f', {price}/h' if resources else ''}.{where}"
    things = [f"remove {count(len(resources), 'resource')}"] if resources else []
    ends = " and ".join([*(f"end {each}" for each in runs), *things])
    stops = f", stopping {price}/h" if resources else ""
    spent = _spent(found.runs, now) if resources else None
    past = "" if spent is None else f" They have cost about ${spent:.2f} so far."
    return f"Would {ends}{stops}.{past}"


def _spent(runs: Iterable[FoundRun], now: float) -> float | None:
    total = 0.0
    for each in runs:
        for resource in each.record.resources:
            age = _age(resource.created or each.record.created, now)
            if age is None or resource.hourly is None:
                return None
            total += age / 3600 * resource.hourly
    return total


def _age(created: str, now: float) -> float | None:
    try:
        return max(0.0, now - datetime.datetime.fromisoformat(created).timestamp())
    except ValueError:
        return None


def _price(hourly: float | None) -> str:
    return "?" if hourly is None else f"${hourly:.4f}".rstrip("0").rstrip(".") if hourly else "$0"
