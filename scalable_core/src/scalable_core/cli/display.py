"""The ways in which a run is shown: bars on a terminal, lines elsewhere, JSON for programs."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, TextIO

from scalable_core.cli.render.run import (
    clock,
    event_line,
    progress_line,
    shown_tasks,
    workers_text,
)
from scalable_core.cli.terminal import Look, say
from scalable_core.types import Event, Progress, to_data

if TYPE_CHECKING:
    from rich.console import RenderableType

EVENT_SCHEMA = "scalable.event/1"


class Lines:
    """Plain lines on stderr: events as they come, progress at most every few seconds and when it changed.

    Args:
        look: Of stderr.
        quiet: Only problems are shown.
    """

    interval = 1.0
    _PAUSE = 5.0

    def __init__(self, look: Look, *, quiet: bool = False) -> None:
        self._look = look
        self._quiet = quiet
        self._last = Progress()
        self._said = 0.0

    def start(self) -> None:
        """Nothing is shown yet."""

    def event(self, event: Event, elapsed: float) -> None:
        """Say it."""
        line = event_line(event, elapsed, self._look)
        if line is not None and (not self._quiet or event.kind == "problem"):
            say(line)

    def progress(self, progress: Progress, elapsed: float) -> None:
        """Say how far the run is, if that is news."""
        if self._quiet or progress == self._last or elapsed < self._said + self._PAUSE:
            return
        say(f"{self._look.paint(clock(elapsed), 'dim')} {progress_line(progress)}")
        self._last, self._said = progress, elapsed

    def stop(self) -> None:
        """All has been said."""


class Bars:
    """One bar for each task on a terminal, drawn again as the run goes on.

    What the workflow prints appears above the bars.

    Args:
        look: Of stderr.
    """

    interval = 0.2

    def __init__(self, look: Look) -> None:
        from rich.console import Console
        from rich.live import Live

        self._look = look
        self._console = Console(
            stderr=True, no_color=not look.color, highlight=False, markup=False, emoji=False
        )
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            redirect_stdout=sys.stdout.isatty(),
            redirect_stderr=True,
        )

    def start(self) -> None:
        """Take the bottom of the terminal."""
        self._live.start()

    def event(self, event: Event, elapsed: float) -> None:
        """Say it above the bars."""
        line = event_line(event, elapsed, Look())
        if line is not None:
            self._console.print(line, soft_wrap=True)

    def progress(self, progress: Progress, elapsed: float) -> None:
        """Draw the bars again."""
        if progress.tasks or progress.workers:
            self._live.update(bars(progress, elapsed), refresh=True)

    def stop(self) -> None:
        """Leave the bars as they are."""
        self._live.stop()


def bars(progress: Progress, elapsed: float) -> RenderableType:
    """Return the bars of all tasks over a line with the workers and the time."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2), expand=False)
    grid.add_column(overflow="ellipsis", no_wrap=True, max_width=24)
    grid.add_column(ratio=1, min_width=10, max_width=40)
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(no_wrap=True, style="red")
    tasks, more = shown_tasks(progress)
    for name, counts in tasks:
        ended = counts.done + counts.failed
        bar = ProgressBar(total=max(counts.total, 1), completed=ended, width=40)
        failed = f"{counts.failed} failed" if counts.failed else ""
        grid.add_row(name, bar, f"{ended}/{counts.total}", failed)
    foot = f"{workers_text(progress)}   {clock(elapsed).strip('[]')}"
    if more:
        foot = f"{more} more names   {foot}"
    return Group(grid, Text(foot, style="dim"))


class JsonLines:
    """One JSON object a line, for programs.

    Args:
        stream: Where to write.
    """

    interval = 1.0
    _PAUSE = 2.0

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last = Progress()
        self._said = 0.0

    def start(self) -> None:
        """Nothing is written yet."""

    def event(self, event: Event, elapsed: float) -> None:
        """Write it."""
        self.write({"schema": EVENT_SCHEMA, **to_data(event)})

    def progress(self, progress: Progress, elapsed: float) -> None:
        """Write how far the run is, if that is news."""
        if progress == self._last or elapsed < self._said + self._PAUSE:
            return
        import time

        event = Event(time=time.time(), kind="progress", data=to_data(progress))
        self._last, self._said = progress, elapsed
        self.event(event, elapsed)

    def stop(self) -> None:
        """All has been written."""

    def write(self, document: dict[str, Any]) -> None:
        """Write one object."""
        print(json.dumps(document, separators=(",", ":")), file=self._stream, flush=True)
