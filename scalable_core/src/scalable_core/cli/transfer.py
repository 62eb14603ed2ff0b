"""A bar for bytes on their way, on a terminal and when it takes a while."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING

from scalable_core.cli.terminal import look_of
from scalable_core.types import PROGRESS, ArtifactRef, Event

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
            files = f" {self._ended}/{self._files}" if self._files > 1 else ""
            self._progress.update(
                self._progress.task_ids[0],
                description=f"{self._what}{files}",
                completed=sum(self._done.values()),
            )

    def _begin(self) -> Progress:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(complete_style="cyan", finished_style="green"),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(compact=True),
            console=Console(file=sys.stderr, no_color=not self._color, highlight=False),
            transient=True,
        )
        progress.start()
        progress.add_task(self._what, total=self._total or None)
        return progress
