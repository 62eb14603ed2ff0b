"""Price snapshots as a table: how many prices, how old, from where."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from scalable_core.cli.render.problems import count
from scalable_core.cli.render.table import Cell, table, wrap
from scalable_core.cli.terminal import Look, clean
from scalable_core.types import PriceSnapshot, to_data

PRICES_SCHEMA = "scalable.prices/1"

_HEADS = ["PROVIDER", "PRICES", "REGIONS", "NEWEST", "AGE", "OLDEST", "ORIGIN", "SNAPSHOT"]


def render_prices(snapshots: Sequence[PriceSnapshot], look: Look, *, sources: bool) -> list[str]:
    """Return a row for each snapshot, then what a refresh could not take.

    Args:
        snapshots: Of the providers that have prices.
        look: Of the stream.
        sources: Also name every source.
    """
    if not snapshots:
        return ["No installed provider has a price list."]
    rows: list[Sequence[Cell]] = [[(head, "bold") for head in _HEADS]]
    rows += [_row(snapshot) for snapshot in snapshots]
    lines = table(rows, look, align="lrrlrlll", shrink=7, spare=[5, 2])
    for snapshot in snapshots:
        if sources:
            lines += ["", f"{clean(snapshot.provider)}: {count(len(snapshot.sources), 'source')}"]
            for source in snapshot.sources:
                lines += wrap(clean(source), look, first="  ", rest="    ")
        for note in snapshot.notes:
            mark = look.paint("!", "yellow", "bold")
            lines += wrap(clean(f"{snapshot.provider}: {note}"), look, first=f"{mark} ", rest="  ")
    kept = sum(len(snapshot.notes) for snapshot in snapshots)
    total = f"{count(sum(snapshot.rows for snapshot in snapshots), 'price')}"
    verdict = f"{total} of {count(len(snapshots), 'provider')}"
    more = f"; {count(kept, 'thing')} not refreshed" if kept else ""
    return [*lines, "", f"{verdict}{more}."]


def prices_document(snapshots: Sequence[PriceSnapshot]) -> dict[str, Any]:
    """Return snapshots as plain data for programs, with the days since the newest price."""
    found = [{**to_data(snapshot), "age_days": _age(snapshot)} for snapshot in snapshots]
    return {"schema": PRICES_SCHEMA, "snapshots": found}


def _row(snapshot: PriceSnapshot) -> list[Cell]:
    age = _age(snapshot)
    return [
        clean(snapshot.provider),
        f"{snapshot.rows:,}",
        str(len(snapshot.regions)),
        snapshot.as_of or "-",
        "-" if age is None else count(age, "day"),
        snapshot.oldest or "-",
        snapshot.origin,
        clean(snapshot.id),
    ]


def _age(snapshot: PriceSnapshot) -> int | None:
    """Return the days since the newest price; None when its date is not a whole one."""
    try:
        return max(
            0, (datetime.date.today() - datetime.date.fromisoformat(snapshot.as_of or "")).days
        )
    except ValueError:
        return None
