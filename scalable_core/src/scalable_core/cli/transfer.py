"""A bar for bytes on their way, on a terminal and when it takes a while."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

from scalable_core.cli.terminal import look_of
from scalable_core.records.report.words import size
from scalable_core.types import PROGRESS, ArtifactRef, Event
from scalable_core.types.units import format_duration

if TYPE_CHECKING:
    from rich.progress import Progress

#: Seconds that a transfer may take without a bar.
_PATIENCE = 0.5


class TransferBar:
    """Shows how many bytes have arrived, how fast, and how long the rest will take. An `EventSink`.

    Args:
        what: What happens, such as ``fetching``.
        quiet: Show nothing.
    """

    def __init__(self, what: str, *, quiet: bool) -> None:
        look = look_of(sys.stderr)
        self._what, self._shown = what, look.animated and not quiet
        self._color = look.color
        self._done: dict[str, int] = {}
        self._total, self._files, self._ended = 0, 0, 0
        self._start = time.monotonic()
        self._lock = threading.Lock()
        self._progress: Progress | None = None

    def expect(self, total: int, files: int = 1) -> None:
        """Say how many bytes and files there will be."""
        self._total, self._files = total, files

    def emit(self, event: Event) -> None:
        """Take the word of a transfer on how far it is; other events are not for here."""
        if event.kind == PROGRESS:
            self._note(str(event.data["uri"]), int(event.data["done"]))

    def done(self, ref: ArtifactRef) -> None:
        """Note that an artifact is there."""
        self._ended += 1
        self._note(ref.uri, ref.size)

    def __enter__(self) -> TransferBar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def _note(self, uri: str, done: int) -> None:
        if not self._shown:
            return
        with self._lock:
            self._done[uri] = max(done, self._done.get(uri, 0))
            if self._progress is None:
                if time.monotonic() - self._start < _PATIENCE:
                    return
                self._progress = self._begin()
            self._progress.update(self._progress.task_ids[0], **self._state())

    def _state(self) -> dict[str, Any]:
        """What the bar shows: the rate is that of the whole time, so that it is calm."""
        done = sum(self._done.values())
        rate = done / max(time.monotonic() - self._start, 0.001)
        files = f" {self._ended}/{self._files}" if self._files > 1 else ""
        left = format_duration((self._total - done) / rate) if rate and self._total else "?"
        return {
            "description": f"{self._what}{files}",
            "completed": done,
            "bytes": f"{size(done)} of {size(self._total)}",
            "rate": f"{size(rate)}/s",
            "left": f"{left} left" if done < self._total else "",
        }

    def _begin(self) -> Progress:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(complete_style="cyan", finished_style="green"),
            *(TextColumn(f"{{task.fields[{name}]}}") for name in ("bytes", "rate", "left")),
            console=Console(file=sys.stderr, no_color=not self._color, highlight=False),
            transient=True,
        )
        state = self._state()
        progress.add_task(state.pop("description"), total=self._total or None, **state)
        progress.start()
        return progress
