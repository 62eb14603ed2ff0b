"""A report as text."""

from __future__ import annotations

from collections.abc import Sequence

from scalable_core.cli.render.table import Cell, flow, table, wrap
from scalable_core.cli.terminal import Look, clean
from scalable_core.records.failures import FailureGroup
from scalable_core.records.report.document import Report
from scalable_core.records.report.words import (
    bound_text,
    cost_lines,
    count,
    failure_facts,
    money,
    seconds,
    short_id,
    size,
    sources_text,
    verdict,
)
from scalable_core.types.units import format_duration

_INDENT = "  "
_STYLES = {
    "done": "green",
    "failed": "red",
    "interrupted": "yellow",
    "stopped": "yellow",
    "running": "cyan",
}
#: Last lines of a traceback that are shown.
_LOG_LINES = 6


def render_report(report: Report, look: Look) -> list[str]:
    """Return a report as lines, its verdict last."""
    record = report.history.record
    head = flow(
        [
            f"Run {look.paint(clean(short_id(record.run)), 'bold')}",
            f"Project {clean(record.project)}",
            f"Target {clean(record.target)}",
            f"Started {record.started[:16].replace('T', ' ')} UTC",
        ],
        look,
    )
    lines = [*head, ""]
    parts = (
        _tasks(report, look),
        _workers(report, look),
        _cache(report, look),
        _cost(report, look),
    )
    for part in parts:
        lines += [*part, ""] if part else []
    if report.failures:
        lines += [look.paint("FAILED", "bold"), *_short_failures(report.failures, look), ""]
    advised = _advised(report, look)
    lines += [*advised, ""] if advised else []
    return [*lines, _verdict(report, look)]


def render_failures(report: Report, look: Look) -> list[str]:
    """Return what failed, each cause with its last log lines and its cure, and the verdict last."""
    if not report.failures:
        return ["nothing failed: no attempt was lost or tried again"]
    lines = []
    for group in report.failures:
        lines += [*_failure(group, look), ""]
    attempts = sum(group.attempts for group in report.failures)
    given_up = sum(group.given_up for group in report.failures)
    return [
        *lines,
        f"{count(attempts, 'attempt')} failed for {count(len(report.failures), 'cause')}, "
        f"{count(given_up, 'call')} given up",
    ]


def _tasks(report: Report, look: Look) -> list[str]:
    if not report.summary.tasks:
        return []
    heads = ["TASKS", "run", "cached", "failed", "p10", "p50", "p90", "waited", "cpu", "peak mem"]
    rows: list[Sequence[Cell]] = [[(heads[0], "bold"), *((head, "dim") for head in heads[1:])]]
    for task in report.summary.tasks:
        time, peak = task.duration, task.peak
        rows.append([
            _INDENT + clean(task.task),
            str(task.done + task.failed),
            str(task.cached),
            (str(task.failed), "red" if task.failed else ""),
            *(seconds(value) for value in ((time.p10, time.p50, time.p90) if time else (None,) * 3)),
            seconds(task.queue.p50 if task.queue else None),
            seconds(task.cpu.p50 if task.cpu else None),
            size(peak.largest if peak else None),
        ])  # fmt: skip
    return table(rows, look, align="lrrrrrrrrr", shrink=0, spare=[8, 7, 4])


def _workers(report: Report, look: Look) -> list[str]:
    workers = report.summary.workers
    if not workers:
        return []
    heads = ["WORKERS", "calls", "busy", "peak mem", "limit", "lost"]
    rows: list[Sequence[Cell]] = [[(heads[0], "bold"), *((head, "dim") for head in heads[1:])]]
    for worker in workers[:12]:
        busy = f"{worker.busy / worker.present:.0%}" if worker.present else "-"
        rows.append([
            _INDENT + clean(worker.name),
            str(worker.calls),
            busy,
            size(worker.peak),
            size(worker.limit),
            (str(worker.lost), "yellow" if worker.lost else ""),
        ])  # fmt: skip
    more = len(workers) - 12
    tail = [look.paint(f"{_INDENT}and {more} more", "dim")] if more > 0 else []
    return table(rows, look, align="lrrrrr", shrink=0, spare=[4]) + tail


def _cache(report: Report, look: Look) -> list[str]:
    cache = report.summary.cache
    if not cache.events and not report.summary.cached:
        return []
    saved = f", saved {format_duration(cache.saved)} of work" if cache.saved else ""
    lines = [
        look.paint("CACHE", "bold"),
        f"{_INDENT}{count(report.summary.cached, 'result')} from it{saved}",
    ]
    if cache.sources:
        lines += wrap(clean(sources_text(report.summary)), look, first=_INDENT, rest=_INDENT * 2)
    for problem in cache.problems:
        lines += wrap(clean(problem), look, first=f"{_INDENT}! ", rest=_INDENT * 2)
    return lines


def _cost(report: Report, look: Look) -> list[str]:
    lines = [look.paint("COST", "bold")]
    for line in cost_lines(report):
        lines += wrap(clean(line), look, first=_INDENT, rest=_INDENT * 2)
    return lines if len(lines) > 1 else []


def _short_failures(groups: Sequence[FailureGroup], look: Look) -> list[str]:
    lines = []
    for group in groups:
        mark = look.paint("x", "red") if group.given_up else look.paint("!", "yellow")
        message = _message(group).partition("\n")[0]
        text = f"{clean(group.title)}: {message}" if message else clean(group.title)
        facts = look.paint(f"({clean(failure_facts(group))})", "dim")
        lines += wrap(f"{text} {facts}", look, first=f"{_INDENT}{mark} ", rest=_INDENT * 2)
    return lines


def _failure(group: FailureGroup, look: Look) -> list[str]:
    mark = look.paint("x", "red") if group.given_up else look.paint("!", "yellow")
    nature = "transient" if group.transient else "permanent"
    lines = [
        f"{mark} {look.paint(clean(group.title), 'bold')}  {look.paint(nature, 'dim')}",
    ]
    for text in (_message(group), clean(failure_facts(group))):
        for part in text.splitlines():
            lines += wrap(part, look, first=_INDENT, rest=_INDENT)
    log = group.log[-_LOG_LINES:]
    lines += [look.paint(f"{_INDENT * 2}{clean(line)}", "dim") for line in log]
    return lines + wrap(clean(group.cure), look, first=f"{_INDENT}cure: ", rest=_INDENT * 2)


def _message(group: FailureGroup) -> str:
    return clean(group.said or group.message)


def _advised(report: Report, look: Look) -> list[str]:
    if not report.advice:
        return []
    heads = ["ADVISED", "memory", "has now", "longest time", "useful workers"]
    rows: list[Sequence[Cell]] = [[(heads[0], "bold"), *((head, "dim") for head in heads[1:])]]
    for one in report.advice:
        memory = bound_text(one.memory, unit="B")
        rows.append([
            _INDENT + clean(one.task),
            memory if one.ask_memory is None else size(one.ask_memory),
            size(one.limit),
            bound_text(one.duration, unit="s"),
            str(one.enough_workers),
        ])  # fmt: skip
    return table(rows, look, align="lrrrr", shrink=0, spare=[4])


def _verdict(report: Report, look: Look) -> str:
    summary, status = report.summary, report.history.record.status
    style = "yellow" if status == "done" and summary.failed else _STYLES[status]
    words = [verdict(summary), f"{summary.cached} from the cache"] if summary.cached else []
    words = words or [verdict(summary)]
    words.append(format_duration(summary.wall))
    if summary.utilisation is not None:
        words.append(f"workers {summary.utilisation:.0%} busy")
    cost, note = money(report)
    words.append(note if cost == "none" else "cost ?" if cost == "?" else f"cost {cost}")
    head = "" if status == "done" else f"{status}: "
    error = report.history.record.error
    reason = f" ({clean(error)})" if error and status != "done" else ""
    return look.paint(head + words[0], style) + f", {', '.join(words[1:])}{reason}"
