"""The sections of the page, each left out when it has nothing to say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Any

from scalable_core.records.advice import COVERAGE, Advice
from scalable_core.records.cost import paid_rows
from scalable_core.records.failures import FailureGroup
from scalable_core.records.report.document import Report
from scalable_core.records.report.words import (
    bound_text,
    cost_lines,
    count,
    failure_facts,
    seconds,
    size,
    sources_text,
)
from scalable_core.records.summary import Spread, TaskSummary, WorkerSummary
from scalable_core.types.units import format_duration, format_usd

#: Tasks that have a colour of their own in the timeline.
_COLOURS = 6
#: Rows of a table that has one for each worker or artifact.
_MOST_ROWS = 16


def render_sections(report: Report, charts: dict[str, Any]) -> str:
    """Return all sections as HTML.

    Args:
        report: What is said.
        charts: What is drawn, from `chart_data`.
    """
    sections = [
        _failures(report.failures),
        _timeline(charts),
        _tasks(report.summary.tasks),
        _workers(report.summary.workers, charts),
        _cache(report),
        _cost(report),
        _advice(report.advice),
        _artifacts(report),
    ]
    return "\n".join(section for section in sections if section)


def _section(title: str, lead: str, body: str) -> str:
    lead = f'<p class="lead">{lead}</p>\n' if lead else ""
    return f"<section>\n<h2>{title}</h2>\n{lead}{body}\n</section>"


def _failures(groups: Sequence[FailureGroup]) -> str:
    if not groups:
        return ""
    attempts = sum(group.attempts for group in groups)
    lead = f"{count(attempts, 'attempt')} failed, for {count(len(groups), 'cause')}."
    return _section("What failed", lead, "\n".join(_failure(group) for group in groups))


def _failure(group: FailureGroup) -> str:
    nature = "transient" if group.transient else "permanent"
    title = escape(group.title)
    message = escape(group.said or group.message)
    parts = [f'<h3>{title} <span class="soft">· {nature}</span></h3>']
    if message:
        parts.append(f'<p class="message">{message}</p>')
    parts.append(f'<p class="soft">{escape(failure_facts(group))}</p>')
    if group.kind == "memory" and group.limit and group.advised:
        parts.append(_gauge(group.peak, group.limit, group.advised))
    parts.append(f'<p class="cure"><b>Cure</b> {escape(group.cure)}</p>')
    if group.log:
        log = escape("\n".join(group.log))
        parts.append(f"<details><summary>Last log lines</summary><pre>{log}</pre></details>")
    kind = "failure" if group.given_up else "failure mended"
    return f'<article class="{kind}">\n' + "\n".join(parts) + "\n</article>"


def _gauge(peak: float | None, limit: float, advised: float) -> str:
    held = min((peak or limit) / advised, 1.0)
    return (
        f'<div class="gauge"><i style="width:{held:.1%}"></i><u style="left:{limit / advised:.1%}"></u></div>'
        f'<p class="scale">held {size(peak or limit)}, limit {size(limit)}, advised {size(advised)}</p>'
    )


def _timeline(charts: dict[str, Any]) -> str:
    if not charts["lanes"]:
        return ""
    states = {state for lane in charts["lanes"] for state in lane["state"]}
    legend = [(f"background:var(--t{place})", "", name) for place, name in _named(charts["tasks"])]
    if len(charts["tasks"]) > _COLOURS or any(-1 in lane["task"] for lane in charts["lanes"]):
        legend.append(("background:var(--t6)", "", "other"))
    legend += [("", "failed", "failed")] if 1 in states else []
    legend += [("", "retried", "failed, tried again")] if 2 in states else []
    items = "".join(
        f'<li><i class="{kind}" style="{style}"></i>{escape(name)}</li>'
        for style, kind, name in legend
    )
    body = (
        f'<ul class="legend">{items}</ul>\n'
        '<div class="chart" data-chart="timeline"></div>\n</section>\n'
        "<section>\n<h2>Queue and workers</h2>\n"
        '<p class="lead">Calls that waited, and calls that ran; the dashed line is how many '
        "could run at once.</p>\n"
        '<div class="chart" data-chart="busy"></div>\n'
        '<noscript><p class="soft">The charts are drawn by a script; the tables are not.</p></noscript>'
    )
    return _section("Timeline", "Every call, on the worker that ran it.", body)


def _named(tasks: Sequence[str]) -> list[tuple[int, str]]:
    return list(enumerate(tasks))[:_COLOURS]


def _tasks(tasks: Sequence[TaskSummary]) -> str:
    if not tasks:
        return ""
    heads = [
        "Task",
        "Calls",
        "Cached",
        "Failed",
        "-Tried again",
        "Time, median",
        "-10%",
        "-90%",
    ]
    heads += ["-Waited", "-CPU", "Peak memory"]
    rows = []
    for task in tasks:
        time, peak = task.duration, task.peak
        again = task.retried + task.lost
        rows.append([
            escape(task.task),
            f"{task.calls:,}",
            f"{task.cached:,}" if task.cached else "-",
            f'<span class="bad">{task.failed:,}</span>' if task.failed else "-",
            f"{again:,}" if again else "-",
            seconds(_half(time)),
            seconds(time.p10 if time else None),
            seconds(time.p90 if time else None),
            seconds(_half(task.queue)),
            seconds(_half(task.cpu)),
            size(peak.largest if peak else None),
        ])  # fmt: skip
    lead = "Time, waiting and CPU are those of one call, at the median. Peak memory is the "
    lead += "worker's, other calls on it included."
    return _section("Tasks", lead, _table(heads, rows))


def _half(values: Spread | None) -> float | None:
    return None if values is None else values.p50


def _workers(workers: Sequence[WorkerSummary], charts: dict[str, Any]) -> str:
    if not workers:
        return ""
    shown = sorted(workers, key=lambda w: -(w.peak or 0) / (w.limit or float("inf")))[:_MOST_ROWS]
    shown = [worker for worker in workers if worker in shown]
    rows = []
    for worker in shown:
        busy = f"{worker.busy / worker.present:.0%}" if worker.present else "-"
        limited = ' data-limited="1"' if worker.limit else ""
        spark = f'<svg class="spark" data-worker="{escape(worker.name)}"{limited} aria-hidden="true"></svg>'
        drawn = worker.name in charts["memory"]
        part = f"{worker.peak / worker.limit:.0%}" if worker.peak and worker.limit else "-"
        limit = f" of {size(worker.limit)}" if worker.limit else ""
        lost = f"<small>lost {count(worker.lost, 'time')}</small>" if worker.lost else ""
        rows.append([
            escape(worker.name) + lost,
            f"{worker.calls:,}",
            busy,
            spark if drawn else "",
            part,
            f"{size(worker.peak)}{limit}",
        ])  # fmt: skip
    lead = "The dashed line is the limit; a worker that reaches it is ended."
    if len(shown) < len(workers):
        lead += f" The {len(shown)} of {len(workers)} workers that came nearest to theirs."
    return _section(
        "Memory",
        lead,
        _table(["Worker", "Calls", "Busy", "Over the run", "-Of limit", "Peak"], rows),
    )


def _cache(report: Report) -> str:
    cache = report.summary.cache
    cached = [task for task in report.summary.tasks if task.cached]
    if not cache.events and not cached:
        return ""
    words = []
    if report.summary.cached or cache.events.get("hit"):
        saved = f", which saved {format_duration(cache.saved)} of work" if cache.saved else ""
        words.append(
            f"{count(report.summary.cached or cache.events['hit'], 'result')} came from it{saved}."
        )
    if cache.sources:
        words.append(f"{escape(sources_text(report.summary))}.")
    body = "".join(f'<p class="warn">{escape(problem)}</p>\n' for problem in cache.problems)
    if cached:
        rows = [[escape(task.task), f"{task.cached:,}", f"{task.calls:,}"] for task in cached]
        body += _table(["Task", "Cached", "Calls"], rows)
    return _section("Cache", " ".join(words), body)


def _cost(report: Report) -> str:
    lines = [f"{escape(line[:1].upper() + line[1:])}." for line in cost_lines(report)]
    if not lines:
        return ""
    rows = [
        [escape(name), format_duration(3600 * hours), format_usd(price), format_usd(amount)]
        for name, hours, price, amount in paid_rows(report.history)
    ]
    heads = ["Paid for", "Time", "-USD an hour", "USD"]
    body = [_table(heads, rows)] if rows else []
    body += [f'<p class="soft">{line}</p>' for line in lines[1:]]
    return _section("Cost", lines[0], "\n".join(body))


def _advice(advice: Sequence[Advice]) -> str:
    if not advice:
        return ""
    sure = f"{advice[0].confidence * 100:g}%"
    rows = []
    for one in advice:
        memory = "" if one.ask_memory is None else f"<b>{size(one.ask_memory)}</b>"
        rows.append([
            escape(one.task),
            memory or f'<span class="soft">{escape(bound_text(one.memory, unit="B"))}</span>',
            size(one.limit),
            _time(one),
            f"{one.enough_workers:,}",
        ])  # fmt: skip
    lead = (
        f"From this run alone: with these, {COVERAGE:.0%} of calls fit, {sure} sure. "
        f"<code>scalable advise --task {escape(advice[0].task)}</code> looks at all runs. "
        "More workers than are useful would wait for the longest call."
    )
    heads = ["Task", "Memory to ask for", "-Has now", "Longest time", "-Useful workers"]
    return _section("Sizes advised", lead, _table(heads, rows))


def _time(one: Advice) -> str:
    text = escape(bound_text(one.duration, unit="s"))
    return text if one.duration.value is not None else f'<span class="soft">{text}</span>'


def _artifacts(report: Report) -> str:
    artifacts = report.history.artifacts
    if not artifacts:
        return ""
    rows = [
        [
            escape(one.uri),
            size(one.size),
            escape(one.media_type),
            escape(one.task or "the workflow"),
        ]
        for one in artifacts[:_MOST_ROWS]
    ]
    total = sum(one.size for one in artifacts)
    lead = f"{count(len(artifacts), 'artifact')}, {size(total)}."
    lead += f" The first {_MOST_ROWS} are shown." if len(artifacts) > _MOST_ROWS else ""
    return _section("Artifacts", lead, _table(["Where", "Size", "-Kind", "-Made by"], rows))


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; columns whose head begins with ``-`` are left out on a narrow screen."""
    narrow = [' class="wide"' if head.startswith("-") else "" for head in heads]
    top = "".join(
        f'<th scope="col"{wide}>{head.removeprefix("-")}</th>'
        for head, wide in zip(heads, narrow, strict=True)
    )
    body = "\n".join(f"<tr>{''.join(_cells(row, narrow))}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'


def _cells(row: Sequence[str], narrow: Sequence[str]) -> Iterator[str]:
    for cell, wide in zip(row, narrow, strict=True):
        yield f"<td{wide}>{cell}</td>"
