"""Shows a run that goes on elsewhere: what `attach`, `cancel` and `detach` have in common."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from scalable_core.cli.display import Bars, JsonLines, Lines
from scalable_core.cli.failure import INTERRUPTED
from scalable_core.cli.history import runs_folder
from scalable_core.cli.render.run import completed, render_verdict
from scalable_core.cli.terminal import look_of, say
from scalable_core.errors import BudgetReachedError, ScalableError, UsageError
from scalable_core.types import RUN_SCHEMA, Event, Progress, RunRecord, to_data

if TYPE_CHECKING:
    from scalable_core.cli.watch import Display
    from scalable_core.session.following import Tail

#: Seconds in which a driver that has begun is sure to be named in the copy of its run's record.
_MOMENT = 10.0
_CODES = {"done": 0, "failed": 1, "stopped": BudgetReachedError.exit_code}


def find_tail(name: str | None) -> Tail:
    """Return the run that a name means, in its folder here or in the project's storage.

    Raises:
        UsageError: There is no such run, or more than one.
        StorageError: The storage cannot be read.
    """
    from scalable_core.cli.shared import project_storage
    from scalable_core.records.reading import choose_run, find_run
    from scalable_core.records.shared import is_copy, shared_runs
    from scalable_core.session.following import FolderTail, StoredTail

    folder, absent = None, None
    try:
        folder = find_run(runs_folder(), name)
        if not is_copy(folder):
            return FolderTail(folder)
        name = folder.name
    except UsageError as error:
        absent = error
    try:
        storage = project_storage()
    except ScalableError:
        storage = None  # there is no manifest here, so what is here is all there is
    if storage is not None:
        there = shared_runs(storage)
        if there:
            return StoredTail(storage, choose_run(there, name, storage.uri))
    if folder is not None:
        return FolderTail(folder)
    assert absent is not None
    raise absent


def has_begun(tail: Tail) -> bool:
    """Return whether a run's driver has begun, or the run has ended; its record is given a moment to say so."""
    until = time.monotonic() + _MOMENT
    while (record := tail.record()).pid == 0 and record.status == "running":
        if time.monotonic() > until:
            return False
        time.sleep(tail.interval)
    return True


def watch_run(tail: Tail, *, as_json: bool, quiet: bool) -> int:
    """Show a run until it ends, then its verdict; return the exit code that it ended with.

    Args:
        tail: Of the run.
        as_json: Print events and the record as JSON lines.
        quiet: Show problems only.
    """
    from scalable_core.records.reading import seconds_of
    from scalable_core.session.following import LineReader, read_events

    look = look_of(sys.stderr)
    display: Display = Lines(look, quiet=quiet)
    lines = JsonLines(sys.stdout) if as_json else None
    if lines is not None:
        display = lines
    elif look.animated and not quiet:
        display = Bars(look)
    events = LineReader(tail, "events.jsonl")
    progress, record = Progress(), tail.record()
    started = seconds_of(record.started)
    display.start()
    try:
        while True:
            record = tail.record()
            _show(read_events(events), started, display)
            progress = tail.progress()
            display.progress(progress, time.time() - started)
            if record.status != "running":
                break
            time.sleep(tail.interval)
        _show(read_events(events), started, display)
    finally:
        display.stop(completed(progress, [record]), time.time() - started)
    seconds = seconds_of(record.ended) - started if record.ended else time.time() - started
    if lines is not None:
        lines.write({"schema": RUN_SCHEMA, **to_data(record)})
    elif not quiet or record.status != "done":
        for line in _verdict(record, seconds):
            say(line)
    return _CODES.get(record.status, INTERRUPTED)


def _show(events: Iterable[Event], started: float, display: Display) -> None:
    for event in events:
        display.event(event, event.time - started)


def _verdict(record: RunRecord, seconds: float) -> list[str]:
    error: BaseException | None = None
    if record.status == "interrupted":
        error = KeyboardInterrupt(record.error)
    elif record.status == "stopped":
        error = BudgetReachedError(record.error or "", cure=None)
    elif record.status == "failed":
        error = RuntimeError(record.error)
    look = look_of(sys.stderr)
    lines = [] if record.error is None or record.status == "stopped" else [record.error]
    if record.status == "interrupted" and record.ended is None:
        return [
            f"{look.paint('!', 'red')} the driver of {record.run} is gone, and has not said how it ended",
            f"  resume: scalable run --resume {record.run}{' --detach' * record.detached}",
        ]
    return [*lines, *render_verdict([record], [], error, seconds, look)]
