"""Failed attempts by their cause, each cause once, with what mends it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import frozen

from scalable_core.records.advice import roomy
from scalable_core.records.losses import NEAR
from scalable_core.records.reading import RunHistory, last_of_each_call
from scalable_core.types import FailureRow
from scalable_core.types.units import format_duration, format_size

#: What differs between two messages of one cause: numbers, addresses, hashes.
_VARYING = re.compile(r"0x[0-9a-f]+|\b[0-9a-f]{12,}\b|\d+(?:\.\d+)?", re.IGNORECASE)

#: Lines of a traceback that are shown.
_LOG_LINES = 12

_FRAME = re.compile(r'\s*File "(.*)", line \d+')
_PLUMBING = re.compile(r"[/\\](?:scalable_core|distributed|dask|tornado)[/\\]")


@frozen(kw_only=True)
class FailureGroup:
    """All failed attempts that have one cause.

    Attributes:
        kind: ``error``, ``timeout``, ``memory`` or ``worker-lost``.
        type: The exception's type.
        message: That of the last one.
        transient: Trying again may help.
        tasks: The tasks it met.
        attempts: How often it happened.
        calls: How many calls it happened to.
        given_up: Those of them that ended failed.
        recovered: Those of them that gave a result in the end.
        workers: Where it happened.
        keys: Some of the calls.
        peak: Bytes: the most that a worker held when it happened; None when unknown.
        limit: Bytes that worker might hold.
        advised: Bytes to ask for instead; only for ``memory``.
        log: Last lines of the last one's traceback.
        said: What the provider said when a worker was lost.
        cure: One sentence.
    """

    kind: str
    type: str
    message: str
    transient: bool
    tasks: tuple[str, ...]
    attempts: int
    calls: int
    given_up: int
    recovered: int
    workers: tuple[str, ...]
    keys: tuple[str, ...]
    peak: float | None = None
    limit: float | None = None
    advised: int | None = None
    log: tuple[str, ...] = ()
    said: str = ""
    cure: str

    @property
    def title(self) -> str:
        """What happened, in a few words."""
        if self.kind == "memory":
            return "Out of memory"
        if self.kind == "timeout":
            return "Ran longer than its timeout"
        return "Worker lost" if self.kind == "worker-lost" else self.type


def group_failures(history: RunHistory) -> tuple[FailureGroup, ...]:
    """Return the failed attempts of a run by cause, those that cost most calls first."""
    groups: dict[tuple[str, ...], list[FailureRow]] = defaultdict(list)
    for row in history.failures:
        groups[_cause(row)].append(row)
    ends = last_of_each_call(history.tasks)
    done = {key for key, row in ends.items() if row.state in ("done", "cached")}
    found = [_group(rows, done, history) for rows in groups.values()]
    return tuple(sorted(found, key=lambda group: (-group.given_up, -group.attempts)))


def _cause(row: FailureRow) -> tuple[str, ...]:
    if row.kind == "error":
        return (row.kind, row.type, _VARYING.sub("#", row.message))
    return (row.kind, row.task)


def _group(rows: Sequence[FailureRow], done: set[str], history: RunHistory) -> FailureGroup:
    last = rows[-1]
    keys = tuple(dict.fromkeys(row.key for row in rows))
    given_up = {row.key for row in rows if row.final}
    limit = max((row.limit for row in rows if row.limit is not None), default=None)
    peak = max((row.peak for row in rows if row.peak is not None), default=None)
    advised = None
    if last.kind == "memory" and limit is not None:
        advised = roomy(2 * max(limit, peak or 0))
    said = _said(rows, history)
    return FailureGroup(
        kind=last.kind,
        type=last.type,
        message=last.message,
        transient=last.transient,
        tasks=tuple(dict.fromkeys(row.task for row in rows)),
        attempts=len(rows),
        calls=len(keys),
        given_up=len(given_up - done),
        recovered=sum(key in done for key in keys),
        workers=_distinct(row.worker for row in rows),
        keys=keys[:5],
        peak=peak,
        limit=limit,
        advised=advised,
        log=user_frames(last.log)[-_LOG_LINES:],
        said=said,
        cure=_cure(last, peak, limit, advised, history),
    )


def user_frames(log: Sequence[str]) -> tuple[str, ...]:
    """Return a traceback's lines without the frames of Scalable and Dask."""
    kept = []
    hidden = False
    for line in log:
        frame = _FRAME.match(line)
        if frame:
            hidden = bool(_PLUMBING.search(frame[1]))
        elif not line.startswith("    "):
            hidden = False
        if not hidden:
            kept.append(line)
    return tuple(kept)


def _said(rows: Sequence[FailureRow], history: RunHistory) -> str:
    """Return what was said of the loss of a worker at the time when its calls were lost."""
    if rows[-1].kind not in ("worker-lost", "memory"):
        return ""
    losses = [event for event in history.events if event.kind == "worker.lost"]
    for row in reversed(rows):
        for event in losses:
            if row.worker and row.worker in event.message and abs(event.time - row.time) < NEAR:
                return event.message
    return ""


def _cure(
    row: FailureRow,
    peak: float | None,
    limit: float | None,
    advised: int | None,
    history: RunHistory,
) -> str:
    if row.kind == "memory":
        if limit is None or advised is None:
            return f"give the component of task {row.task!r} more memory"
        held = f"{format_size(peak)} of {format_size(limit)}" if peak else format_size(limit)
        return f"it held {held}; try memory: {format_size(advised)} for {_component(row, history)}"
    if row.kind == "timeout":
        return (
            f"its timeout was {_timeout(row, history)}; raise timeout: of task {row.task!r}, "
            "or find out why these calls hang"
        )
    if row.kind == "worker-lost":
        return (
            "a call can end its worker by os._exit or in native code, and a machine can go away; "
            "these attempts are not counted as retries"
        )
    if row.transient:
        retries = _task(row, history).get("retries") or 0
        more = f"more than {retries} retries" if retries else "retries: 2"
        return f"it may pass when it is tried again: give task {row.task!r} {more}"
    return "the same call would fail again: mend the code or its input"


def _component(row: FailureRow, history: RunHistory) -> str:
    name = _task(row, history).get("component")
    return f"component {name!r}" if name else f"the component of task {row.task!r}"


def _timeout(row: FailureRow, history: RunHistory) -> str:
    seconds = _task(row, history).get("timeout")
    return format_duration(seconds) if isinstance(seconds, (int, float)) else "shorter than it ran"


def _task(row: FailureRow, history: RunHistory) -> Mapping[str, Any]:
    """Return the manifest's task of a call, as the plan has it; empty without one."""
    return (history.plan.get("tasks") or {}).get(row.task) or {}


def _distinct(names: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name))
