"""Why workers were lost, where their provider knows more than the scheduler saw.

The scheduler hears of a worker's memory twice a second; a call that takes all there is in less than that looks
to it like any other that lost its worker. Who watches the process knows better, and says so with a
``worker.lost`` event whose data have ``worker``, ``reason: memory``, and ``peak`` and ``limit`` in bytes where
these are known.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve

from scalable_core.types import Event, FailureRow

#: Seconds between the loss of a worker as the scheduler sees it and as its provider does.
NEAR = 5.0


def with_reasons(rows: Sequence[FailureRow], events: Sequence[Event]) -> tuple[FailureRow, ...]:
    """Return failed attempts; those whose worker was ended for its memory are of that kind.

    Args:
        rows: As the scheduler wrote them.
        events: Of the run.
    """
    losses: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        if event.kind == "worker.lost" and event.data.get("reason") == "memory":
            losses[str(event.data.get("worker"))].append(event)
    return tuple(_with_reason(row, losses) for row in rows) if losses else tuple(rows)


def _with_reason(row: FailureRow, losses: Mapping[str, Sequence[Event]]) -> FailureRow:
    if row.kind not in ("worker-lost", "memory") or row.worker is None:
        return row
    near = [event for event in losses.get(row.worker, ()) if abs(event.time - row.time) < NEAR]
    if not near:
        return row
    data = min(near, key=lambda event: abs(event.time - row.time)).data
    return evolve(
        row,
        kind="memory",
        peak=_most(row.peak, data.get("peak")),
        limit=row.limit if row.limit is not None else _most(data.get("limit")),
    )


def _most(*sizes: Any) -> int | None:
    return max((size for size in sizes if isinstance(size, int)), default=None)
