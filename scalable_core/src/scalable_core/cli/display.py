"""The ways in which a run is shown: bars on a terminal, lines elsewhere, JSON for programs."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, TextIO

from attrs import evolve

from scalable_core.cli.capture import Capture
from scalable_core.cli.render.run import (
    clock,
    event_lines,
    money_text,
    progress_line,
    shown_tasks,
    workers_text,
)
from scalable_core.cli.terminal import Look, clean, say
from scalable_core.types import Event, Progress, to_data

if TYPE_CHECKING:
    from rich.console import RenderableType

EVENT_SCHEMA = "scalable.event/1"


class Lines:
    """Plain lines on stderr: events as they come, progress now and then.

    Progress is said when it has changed, after five seconds at the earliest, in a long run less often.

    Args:
        look: Of stderr.
        quiet: Only problems are shown.
    """

    interval = 1.0

    def __init__(self, look: Look, *, quiet: bool = False) -> None:
        self._look = look
        self._quiet = quiet
        self._last = Progress()
        self._said = 0.0

    def start(self) -> None:
        """Nothing is shown yet."""

    def event(self, event: Event, elapsed: float) -> None:
        """Say it."""
        if not self._quiet or event.kind == "problem":
            for line in event_lines(event, elapsed, self._look):
                say(line)

    def progress(self, progress: Progress, elapsed: float) -> None:
        """Say how far the run is, if that is news."""
        pause = min(max(5.0, elapsed / 10), 60.0)
        if self._quiet or not is_news(progress, self._last) or elapsed < self._said + pause:
            return
        say(f"{self._look.paint(clock(elapsed), 'dim')} {progress_line(progress)}")
        self._last, self._said = progress, elapsed

    def stop(self, progress: Progress, elapsed: float) -> None:
        """The verdict will say it."""


def is_news(progress: Progress, last: Progress) -> bool:
    """Whether more has changed than the money, which runs on while nothing happens."""
    return progress != evolve(last, spent=progress.spent, projected=progress.projected)


class Bars:
    """One bar for each task on a terminal, drawn again as the run goes on.

    What the workflow and its workers print appears above the bars.

    Args:
        look: Of stderr.
    """

    interval = 0.2

    def __init__(self, look: Look) -> None:
        self._look = look
        self._captures: list[Capture] = []
        self._saved: tuple[TextIO, TextIO] = (sys.stdout, sys.stderr)

    def start(self) -> None:
        """Take the bottom of the terminal."""
        from rich.console import Console
        from rich.live import Live

        self._saved = (sys.stdout, sys.stderr)
        err = self._capture(sys.stderr)
        self._console = Console(
            file=err.terminal,
            no_color=not self._look.color,
            highlight=False,
            markup=False,
            emoji=False,
        )
        if sys.stdout.isatty():
            sys.stdout = self._capture(sys.stdout).stream
        sys.stderr = err.stream
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def event(self, event: Event, elapsed: float) -> None:
        """Say it above the bars."""
        for line in event_lines(event, elapsed, self._look):
            self._print(line)

    def progress(self, progress: Progress, elapsed: float) -> None:
        """Draw the bars again."""
        if progress.tasks or progress.workers:
            self._live.update(bars(progress, elapsed, self._look), refresh=True)

    def stop(self, progress: Progress, elapsed: float) -> None:
        """Leave the bars as they are at the end."""
        for capture in self._captures:
            capture.stop()
        self.progress(progress, elapsed)
        self._live.stop()
        sys.stdout, sys.stderr = self._saved

    def _capture(self, stream: TextIO) -> Capture:
        capture = Capture(stream, self._print)
        self._captures.append(capture)
        return capture

    def _print(self, line: str) -> None:
        from rich.text import Text

        self._console.print(Text.from_ansi(line), soft_wrap=True)


def bars(progress: Progress, elapsed: float, look: Look) -> RenderableType:
    """Return the bars of all tasks over a line with the workers and the time."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2), expand=False)
    grid.add_column(no_wrap=True)
    grid.add_column(ratio=1, min_width=6, max_width=40)
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(no_wrap=True, style="red")
    tasks, more = shown_tasks(progress)
    for name, counts in tasks:
        ended = counts.done + counts.failed
        bar = ProgressBar(
            total=max(counts.total, 1),
            completed=ended,
            width=40,
            complete_style="cyan",
            finished_style="yellow" if counts.failed else "green",
        )
        failed = f"{counts.failed} failed" if counts.failed else ""
        grid.add_row(
            look.cut(clean(name), min(24, look.width // 3)), bar, f"{ended}/{counts.total}", failed
        )
    parts = [workers_text(progress), money_text(progress), clock(elapsed).strip("[]")]
    foot = "   ".join(part for part in parts if part)
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
        if not is_news(progress, self._last) or elapsed < self._said + self._PAUSE:
            return
        import time

        event = Event(time=time.time(), kind="progress", data=to_data(progress))
        self._last, self._said = progress, elapsed
        self.event(event, elapsed)

    def stop(self, progress: Progress, elapsed: float) -> None:
        """The run's record follows, and its counts are exact."""

    def write(self, document: dict[str, Any]) -> None:
        """Write one object."""
        print(json.dumps(document, separators=(",", ":")), file=self._stream, flush=True)
