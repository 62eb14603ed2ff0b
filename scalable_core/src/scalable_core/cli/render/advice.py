"""Advice as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from scalable_core.cli.render.table import Cell, table, wrap
from scalable_core.cli.terminal import Look, clean
from scalable_core.records.advice import COVERAGE, USABLE, Advice, Bound, roomy
from scalable_core.records.report.words import (
    bound_text,
    count,
    seconds,
    size,
    workers_text,
    written,
)
from scalable_core.types import to_data

ADVICE_SCHEMA = "scalable.advice/1"


def advice_document(advice: Advice) -> dict[str, Any]:
    """Return advice as plain data with ``schema`` first."""
    return {"schema": ADVICE_SCHEMA, **to_data(advice)}


def render_advice(advice: Advice, look: Look) -> list[str]:
    """Return advice as lines: what was seen, and what to ask for."""
    head = f"Task {look.paint(clean(advice.task), 'bold')}   {count(advice.calls, 'call')} in "
    head += f"{count(advice.runs, 'run')} on target {clean(advice.target)}"
    bound = f"{COVERAGE:.0%} of calls need at most, {advice.confidence * 100:g}% sure"
    rows: list[Sequence[Cell]] = [
        [("SEEN", "bold"), *((h, "dim") for h in ("p50", "p90", "largest", bound))]
    ]
    for name, one, unit in (("memory", advice.memory, "B"), ("time", advice.duration, "s")):
        seen = one.seen
        values = (seen.p50, seen.p90, seen.largest) if seen else (None, None, None)
        rows.append([f"  {name}", *(written(v, unit) for v in values), bound_text(one, unit=unit)])
    lines = [head, "", *table(rows, look, align="lrrrl", shrink=4, spare=[1])]
    for one in (advice.memory, advice.duration):
        lines += [line for text in _doubts(one) for line in wrap(text, look, first="  ", rest="  ")]
        if one.count == advice.duration.count:
            break
    lines += ["", look.paint("ASK FOR", "bold")]
    for text in [*_memory(advice), *_time(advice), *_workers(advice)]:
        lines += wrap(text, look, first="  ", rest="    ")
    return lines


def _doubts(bound: Bound) -> Iterator[str]:
    """Yield how far the largest value can be trusted where there are too few for a bound."""
    if bound.value is None and bound.count and not bound.beyond:
        yield (
            f"The largest of {count(bound.count, 'call')} is such a bound with only "
            f"{bound.reached:.0%} confidence; {bound.needed - bound.count} more are needed."
        )


def _memory(advice: Advice) -> Iterator[str]:
    has = f" (has {size(advice.limit)})" if advice.limit else ""
    where = f"component {clean(advice.component)!r}" if advice.component else "its component"
    if advice.ask_memory is not None:
        yield (
            f"memory: {size(advice.ask_memory)} for {where}{has}: the bound is at most {USABLE:.0%} of it, "
            "above which Dask pauses a worker"
        )
    elif advice.memory.beyond and advice.limit:
        yield (
            f"memory: more than {size(advice.limit)} for {where}; how much is not known, because the "
            f"calls that ran out of it were stopped there. Try {size(roomy(2 * advice.limit))} and look again"
        )
    else:
        yield f"memory: no advice{has}, {bound_text(advice.memory, unit='B')}"


def _time(advice: Advice) -> Iterator[str]:
    value = advice.duration.value
    if value is not None:
        yield f"timeout: more than {seconds(value)}, which catches only calls that hang"


def _workers(advice: Advice) -> Iterator[str]:
    if not advice.choices:
        return
    choices = "   ".join(f"{c.workers}: {seconds(c.wall)}" for c in advice.choices)
    now = f" (had {advice.workers_now})" if advice.workers_now else ""
    yield f"workers{now}: the calls of the last run would take, by number of workers  {choices}"
    yield f"  {workers_text(advice)}"
