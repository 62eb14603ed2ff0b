"""How a run ends: what it came to, and what is said of it."""

from __future__ import annotations

import atexit
import logging
import sys
from typing import Protocol

from scalable_core.errors import BudgetReachedError, ScalableError
from scalable_core.records import RunFolder
from scalable_core.types import PROGRESS, Event, EventSink

logger = logging.getLogger("scalable")


class Closable(Protocol):
    """What must be closed before the interpreter ends."""

    def close(self, error: BaseException | None = None) -> None:
        """Release everything."""


#: Sessions that are started and not closed: closed when the interpreter ends, so that nothing outlives it.
open_sessions: set[Closable] = set()


@atexit.register
def _close_open_sessions() -> None:
    error = getattr(sys, "last_value", None)  # what the interpreter has just printed, if anything
    for session in list(open_sessions):
        session.close(error)


class Tee:
    """Gives each event to the run's folder and to whoever listens; progress is only for the latter."""

    def __init__(self, folder: RunFolder | None, sink: EventSink) -> None:
        self._folder, self._sink = folder, sink

    def emit(self, event: Event) -> None:
        """Hand the event on."""
        if self._folder is not None and event.kind != PROGRESS:
            self._folder.emit(event)
        self._sink.emit(event)


def summarise_run(folder: RunFolder) -> None:
    """Write what the rows come to; a run's records are whole without it."""
    from scalable_core.records.reading import read_history
    from scalable_core.records.summary import summarise, summary_document

    try:
        summary = summarise(read_history(folder.path))
        folder.write_document("summary.json", summary_document(summary))
    except (OSError, ValueError) as error:
        logger.warning("no summary of %s was written: %s", folder.path, error)


def status_of(error: BaseException | None) -> str:
    """Return the status of a run that ended with an error, or with none."""
    if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
        return "done"
    if isinstance(error, BudgetReachedError):
        return "stopped"
    return "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"


def first_line(error: BaseException) -> str:
    """Return the kind of an error and the first line of what it says."""
    text = error.message if isinstance(error, ScalableError) else str(error)
    return f"{type(error).__name__}: {text.splitlines()[0] if text else ''}".rstrip(": ")
