"""A run as text while it lasts, and its verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from attrs import evolve

from scalable_core.cli.render.problems import count
from scalable_core.cli.render.table import wrap
from scalable_core.cli.terminal import Look, clean
from scalable_core.errors import BudgetReachedError
from scalable_core.types import Event, Progress, RunRecord, TaskCounts
from scalable_core.types.units import format_duration, format_usd

#: Names of calls that are shown at once; Dask's collections can have hundreds.
_SHOWN = 8

#: Events whose content the verdict has. What is an error is raised, and shown then.
_SILENT = frozenset({"run.ended"})


def shown_tasks(progress: Progress) -> tuple[list[tuple[str, TaskCounts]], int]:
    """Return the names of calls to show with their counts, and how many names are left out.

    Those that still have something to do go first when there are too many.
    """
    tasks = list(progress.tasks.items())
    if len(tasks) <= _SHOWN:
        return tasks, 0
    tasks.sort(key=lambda item: item[1].done + item[1].failed >= item[1].total)
    return tasks[:_SHOWN], len(tasks) - _SHOWN


def progress_line(progress: Progress) -> str:
    """Return how far a run is in one line: ``simulate 29/41, reduce 0/8, 2 failed; 4 workers``."""
    tasks, more = shown_tasks(progress)
    parts = [f"{clean(name)} {counts.done}/{counts.total}" for name, counts in tasks]
    if more:
        parts.append(f"{more} more")
    failed = sum(counts.failed for counts in progress.tasks.values())
    if failed:
        parts.append(f"{failed} failed")
    money = money_text(progress)
    return f"{', '.join(parts) or 'no tasks yet'}; {workers_text(progress)}{money and f'; {money}'}"


def money_text(progress: Progress) -> str:
    """Return what a run spends: ``spent $0.09, projected $0.18 of $0.50``; empty where nothing is billed."""
    if progress.spent is None:
        return ""
    text = f"spent {format_usd(progress.spent)}"
    if progress.projected is not None:
        text += f", projected {format_usd(progress.projected)}"
    return text if progress.budget is None else f"{text} of {format_usd(progress.budget)}"


def workers_text(progress: Progress) -> str:
    """Return how many workers are there, and how many went."""
    if not progress.added and not progress.workers:
        return "no workers yet"
    lost = f", {progress.lost} lost" if progress.lost else ""
    return f"{count(progress.workers, 'worker')}{lost}"


def completed(progress: Progress, records: Sequence[RunRecord]) -> Progress:
    """Return the last counts of a run whose every call has ended, brought up to its end.

    Args:
        progress: The last that was seen, somewhat before the end.
        records: Of the run's sessions; their counts are exact, but not by name.
    """
    if len(records) != 1:
        return progress
    end, seen = records[0].tasks, progress.tasks.values()
    ended = end.get("total", 0) == end.get("done", 0) + end.get("failed", 0)
    complete = sum(counts.total for counts in seen) == end.get("total", 0)
    if not (ended and complete and sum(counts.failed for counts in seen) == end.get("failed", 0)):
        return progress
    tasks = {name: evolve(c, done=c.total - c.failed) for name, c in progress.tasks.items()}
    return evolve(progress, tasks=tasks)


def event_lines(event: Event, elapsed: float, look: Look) -> list[str]:
    """Return an event as lines that begin with the minutes and seconds since the start."""
    message = clean(event.message)
    if event.kind == "cluster.ready":
        dashboard = event.data.get("dashboard")
        message = f"dashboard {dashboard}" if dashboard else ""
    if not message or event.kind in _SILENT or event.data.get("severity") == "error":
        return []
    time = look.paint(clock(elapsed), "dim")
    mark = look.paint("!", "yellow", "bold") + " " if _is_warning(event) else ""
    return wrap(message, look, first=f"{time} {mark}", rest=" " * (len(clock(elapsed)) + 1))


def _is_warning(event: Event) -> bool:
    topic, _, what = event.kind.partition(".")
    return topic in ("problem", "interrupt", "target", "budget") or what in ("failed", "lost")


def clock(elapsed: float) -> str:
    """Return ``[mm:ss]``, with hours where there are some."""
    minutes, seconds = divmod(int(elapsed), 60)
    hours, minutes = divmod(minutes, 60)
    return f"[{hours}:{minutes:02d}:{seconds:02d}]" if hours else f"[{minutes:02d}:{seconds:02d}]"


def render_verdict(
    records: Sequence[RunRecord],
    places: Sequence[Path],
    error: BaseException | None,
    seconds: float,
    look: Look,
) -> list[str]:
    """Return how a run ended: where its report is, then the verdict with numbers.

    Args:
        records: One for each session.
        places: Their reports, or folders where none was written.
        error: What the workflow raised.
        seconds: Wall time.
        look: Of the stream.
    """
    total, done, failed = (
        sum(record.tasks.get(kind, 0) for record in records) for kind in ("total", "done", "failed")
    )
    workers = sum(record.workers.get("added", 0) for record in records)
    lost = sum(record.workers.get("lost", 0) for record in records)
    cached = sum(record.tasks.get("cached", 0) for record in records)
    lines = [
        f"{look.paint('report' if place.suffix == '.html' else 'records', 'dim')} {place}"
        for place in places
    ]
    if not records and error is None:
        return [f"the workflow ended without a session, {format_duration(seconds)}"]
    if not isinstance(error, BudgetReachedError):  # which says it itself
        lines += spent_lines(records)
    if isinstance(error, KeyboardInterrupt):
        head = look.paint("interrupted", "yellow", "bold") + ", everything released"
    elif isinstance(error, BudgetReachedError):
        head = look.paint("stopped by the budget", "yellow", "bold") + ", everything released"
    else:
        head = look.paint("failed", "red", "bold")
    if not total:
        before = "no tasks" if error is None else f"{head} before any task"
        if cached:
            none = "none to run" if error is None else f"{head} before any other"
            before = f"{count(cached, 'task')} from the cache, {none}"
        return [*lines, f"{before}, {format_duration(seconds)}"]
    tasks = f"{done} of {count(total, 'task')}" if done < total else count(total, "task")
    kept = f", {cached} from the cache" if cached else ""
    numbers = f", {failed} failed{kept}, {format_duration(seconds)}"
    if workers:
        numbers += f" on {count(workers, 'worker')}" + (f", {lost} lost" if lost else "")
    if error is None:
        return [*lines, look.paint(f"{tasks} done", "yellow" if failed else "green") + numbers]
    return [*lines, f"{head}: {tasks} done{numbers}"]


def spent_lines(records: Sequence[RunRecord]) -> list[str]:
    """Return what a run cost beside what it was expected to cost; empty where nothing is billed."""
    costs = [record.cost for record in records if record.cost is not None]
    if not costs:
        return []
    spent = sum(cost.spent for cost in costs)
    # Each session of a workflow has the estimate of the whole.
    estimate = costs[0].estimate
    text = f"spent {format_usd(spent)}"
    if estimate is not None:
        fair = estimate and all(cost.comparable for cost in costs)
        error = f", {spent / estimate - 1:+.0%}" if fair else ""
        text += f" (estimate {format_usd(estimate)}{error})"
    return [text]


def render_stop(records: Sequence[RunRecord], again: str, look: Look) -> list[str]:
    """Return what a run came to that its budget has stopped, and how it goes on.

    Args:
        records: One for each session; the last was stopped.
        again: The command line that resumes it, without a budget.
        look: Of the stream.
    """
    cost = records[-1].cost
    assert cost is not None
    spent = sum(record.cost.spent for record in records if record.cost is not None)
    left = (
        "the cluster was not there yet" if cost.left is None else f"{count(cost.left, 'task')} left"
    )
    if cost.rest is None:
        # No call has ended, so with the same again none would either.
        rest, budget = "nobody can say what finishing would cost", 2 * (cost.budget or 0.0)
    else:
        rest = f"finishing would cost about {format_usd(cost.rest)} more"
        budget = _enough(cost.rest)
    text = f"budget reached: spent {format_usd(spent)} of {format_usd(cost.budget or 0.0)}"
    text += f"; {rest} ({left})"
    added = sum(record.workers.get("added", 0) for record in records)
    kept = count((cost.kept or 0) + records[-1].tasks.get("cached", 0), "result")
    lost = records[-1].tasks.get("done", 0) - (cost.kept or 0)
    again = f"{again} --budget {budget:g}"
    return [
        *wrap(text, look, first=look.paint("!", "yellow", "bold") + " ", rest="  "),
        f"  kept {kept}, released {count(added, 'worker')}",
        *(
            [f"  {count(lost, 'result')} not kept, to be done again: see cache: true"]
            if lost
            else []
        ),
        f"  resume: {look.paint(again, 'bold')}",
    ]


def _enough(rest: float) -> float:
    """A budget for a rest that is only about known: a quarter more, in two digits, rounded up."""
    step = 10.0 ** (math.floor(math.log10(rest * 1.25)) - 1) if rest > 0 else 0.01
    return math.ceil(rest * 1.25 / step) * step
