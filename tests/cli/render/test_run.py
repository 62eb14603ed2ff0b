"""A run as text: lines while it lasts, and the verdict at its end."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from scalable_core.cli.display import bars
from scalable_core.cli.render.run import (
    clock,
    completed,
    event_lines,
    progress_line,
    render_verdict,
    shown_tasks,
)
from scalable_core.cli.terminal import Look
from scalable_core.types import Event, Progress, RunRecord, TaskCounts

FOLDER = Path(".scalable/runs/run-1")


def record(
    total: int = 0, done: int = 0, failed: int = 0, cached: int = 0, **workers: int
) -> RunRecord:
    """A run with those counts."""
    return RunRecord(
        run="run-1",
        project="study",
        target="local",
        provider="local",
        status="done",
        started="2026-11-24T15:00:00Z",
        lock="sha256:0",
        tasks={"total": total, "done": done, "failed": failed, "cached": cached},
        workers=workers,
    )


@pytest.mark.parametrize(
    ("counts", "error", "verdict"),
    [
        ({"total": 49, "done": 49, "added": 4}, None, "49 tasks done, 0 failed, 14m52s on 4 workers"),
        ({"total": 1, "done": 1, "added": 1}, None, "1 task done, 0 failed, 14m52s on 1 worker"),
        (
            {"total": 9, "done": 7, "failed": 2, "added": 3, "lost": 1},
            None,
            "7 of 9 tasks done, 2 failed, 14m52s on 3 workers, 1 lost",
        ),
        ({"total": 9, "done": 7, "failed": 2}, ValueError(), "failed: 7 of 9 tasks done, 2 failed, 14m52s"),
        (
            {"total": 9, "done": 7},
            KeyboardInterrupt(),
            "interrupted, everything released: 7 of 9 tasks done, 0 failed, 14m52s",
        ),
        ({}, ValueError(), "failed before any task, 14m52s"),
        ({}, None, "no tasks, 14m52s"),
        ({"cached": 9}, None, "9 tasks from the cache, none to run, 14m52s"),
        (
            {"total": 2, "done": 2, "cached": 9, "added": 1},
            None,
            "2 tasks done, 0 failed, 9 from the cache, 14m52s on 1 worker",
        ),
    ],
)  # fmt: skip
def test_the_verdict_has_the_numbers(
    counts: dict[str, int], error: BaseException | None, verdict: str
) -> None:
    """Its report or its folder, then one line: how it went, how much was done, how long it took."""
    lines = render_verdict([record(**counts)], [FOLDER], error, 892, Look())
    reported = render_verdict([record(**counts)], [FOLDER / "report.html"], error, 892, Look())

    assert lines == ["records .scalable/runs/run-1", verdict]
    assert reported == ["report .scalable/runs/run-1/report.html", verdict]


def test_the_verdict_adds_up_the_sessions_of_a_workflow() -> None:
    """A workflow may have several sessions; each has its records."""
    lines = render_verdict(
        [record(2, 2, added=1), record(3, 2, 1, added=1)], [FOLDER, FOLDER], None, 1, Look()
    )

    assert len(lines) == 3
    assert lines[-1] == "4 of 5 tasks done, 1 failed, 1.0s on 2 workers"


def test_progress_in_one_line() -> None:
    """Each task with how far it is, what failed, and the workers."""
    progress = Progress(
        tasks={
            "simulate": TaskCounts(total=41, done=29, failed=2),
            "reduce": TaskCounts(total=8, done=0),
        },
        workers=4,
        added=5,
        lost=1,
    )

    assert progress_line(progress) == "simulate 29/41, reduce 0/8, 2 failed; 4 workers, 1 lost"
    assert progress_line(Progress()) == "no tasks yet; no workers yet"


def test_many_names_are_cut_to_those_that_still_run() -> None:
    """Of hundreds of names the unfinished ones are shown, and the others are counted."""
    tasks = {f"done-{i}": TaskCounts(total=1, done=1) for i in range(20)}
    tasks["last"] = TaskCounts(total=2, done=1)

    shown, more = shown_tasks(Progress(tasks=tasks))

    assert shown[0][0] == "last"
    assert len(shown) + more == 21
    assert f"{more} more" in progress_line(Progress(tasks=tasks))


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.9, "[00:00]"), (83, "[01:23]"), (3725, "[1:02:05]")]
)
def test_the_clock(seconds: float, text: str) -> None:
    """Minutes and seconds, with hours where there are some."""
    assert clock(seconds) == text


def test_events_are_lines_with_their_time() -> None:
    """Warnings are marked, and long ones are wrapped under themselves."""
    event = Event(time=0, kind="problem", message="the quota is small " * 3)

    assert event_lines(event, 61, Look(width=40)) == [
        "[01:01] ! the quota is small the quota",
        "        is small the quota is small ",
    ]
    assert event_lines(Event(time=0, kind="run.started", message="run x"), 0, Look()) == [
        "[00:00] run x"
    ]


def test_events_without_news_are_not_shown() -> None:
    """The end is in the verdict, and a scheduler's address helps nobody; a dashboard does."""
    ready = Event(time=0, kind="cluster.ready", message="scheduler at tcp://127.0.0.1:1")
    with_dashboard = Event(time=0, kind="cluster.ready", data={"dashboard": "http://127.0.0.1:2"})

    assert event_lines(Event(time=0, kind="run.ended", message="run x done"), 0, Look()) == []
    assert event_lines(ready, 0, Look()) == []
    assert event_lines(with_dashboard, 0, Look()) == ["[00:00] dashboard http://127.0.0.1:2"]


def test_the_last_counts_are_brought_up_to_the_end() -> None:
    """What the last look missed is filled in from the record where that is certain, and only there."""
    seen = Progress(
        tasks={"a": TaskCounts(total=5, done=3, failed=1), "b": TaskCounts(total=2, done=0)}
    )

    certain = completed(seen, [record(7, 6, 1)])

    assert certain.tasks == {
        "a": TaskCounts(total=5, done=4, failed=1),
        "b": TaskCounts(total=2, done=2),
    }
    for uncertain in (record(8, 7, 1), record(7, 5, 2), record(7, 5, 1)):
        assert completed(seen, [uncertain]) == seen


@pytest.mark.parametrize("width", [40, 80])
@pytest.mark.parametrize(("encoding", "line"), [("utf-8", "━"), ("ascii", "-")])
def test_bars_fit_the_terminal_and_its_letters(width: int, encoding: str, line: str) -> None:
    """A bar for each task over a line with the workers; ASCII where there is nothing else."""
    import io

    progress = Progress(
        tasks={
            "simulate": TaskCounts(total=40, done=19, failed=1),
            "a_task_with_quite_a_long_name": TaskCounts(total=8, done=8),
        },
        workers=4,
        added=4,
    )
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    look = Look(width=width, unicode=encoding == "utf-8")
    Console(file=stream, width=width, legacy_windows=False).print(bars(progress, 83, look))
    stream.flush()
    lines = raw.getvalue().decode(encoding).splitlines()

    assert max(map(len, lines)) <= width
    assert lines[0].startswith("simulate ")
    assert line * 3 in lines[0]
    assert "20/40" in lines[0]
    assert "1 failed" in lines[0]
    assert "8/8" in lines[1]
    assert lines[2].strip() == "4 workers   01:23"
