"""A report as one HTML file: nothing is fetched, and nothing of a run is ever taken for markup."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from scalable_core.records.report.charts import chart_data
from scalable_core.records.report.document import Report, report_document
from scalable_core.records.report.sections import render_sections
from scalable_core.records.report.words import count, money, short_id, verdict
from scalable_core.types.units import format_duration

#: Nothing may be loaded, sent or run but the page's own script.
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{}'; "
    "base-uri 'none'; form-action 'none'"
)


def report_page(report: Report) -> str:
    """Return a report as a whole HTML document, with its data embedded as JSON."""
    charts = chart_data(report.history)
    script = _asset("charts.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    record = report.history.record
    return Template(_asset("page.html")).substitute(
        policy=_POLICY.format(digest),
        title=escape(f"{short_id(record.run)}: {verdict(report.summary)} · {record.project}"),
        style=_asset("style.css"),
        script=script,
        body=_header(report) + render_sections(report, charts) + _footer(report),
        data=embed({**report_document(report), "charts": charts}),
    )


def embed(document: Any) -> str:
    """Return JSON that can stand in a script element: no text in it can end the element or begin another."""
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _header(report: Report) -> str:
    summary, record = report.summary, report.history.record
    colour = {"done": "warn" if summary.failed else "good", "failed": "bad"}.get(
        record.status, "warn"
    )
    started = datetime.fromtimestamp(report.history.started, UTC)
    lines = [
        f'<p class="over">{escape(record.project)} on {escape(record.target)}'
        f' · {started.day} {started:%B %Y, %H:%M} UTC · <span title="{escape(record.run)}">'
        f"{escape(short_id(record.run))}</span></p>",
        f'<h1>{escape(verdict(summary))} <span class="{colour}">{_status(record.status)}</span></h1>',
    ]
    if record.error and record.status != "done":
        lines.append(f'<p class="bad">{escape(record.error)}</p>')
    lines.append('<dl class="facts">')
    for name, value, more in _facts(report):
        small = f"<small>{escape(more)}</small>" if more else ""
        lines.append(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}{small}</dd></div>")
    lines.append("</dl>")
    return "<header>\n" + "\n".join(lines) + "\n</header>"


def _status(status: str) -> str:
    return "" if status == "done" else escape(status)


def _facts(report: Report) -> list[tuple[str, str, str]]:
    summary, cache = report.summary, report.summary.cache
    lost = sum(worker.lost for worker in summary.workers)
    busy = "-" if summary.utilisation is None else f"{summary.utilisation:.0%}"
    cpu = sum(task.cpu.total for task in summary.tasks if task.cpu is not None)
    saved = f"saved {format_duration(cache.saved)}" if cache.saved else ""
    facts = [
        ("Wall time", format_duration(summary.wall), ""),
        ("Workers", str(len(summary.workers)), f"{lost} lost" if lost else ""),
        ("Busy", busy, f"{format_duration(cpu)} of CPU" if cpu else ""),
        ("From the cache", count(summary.cached, "result"), saved),
    ]
    cost, note = money(report)
    return [*facts, ("Cost", cost, note)]


def _footer(report: Report) -> str:
    record = report.history.record
    words = [
        f"Run <code>{escape(record.run)}</code>",
        f"manifest <code>{escape(record.lock[:19])}</code>",
        f"provider {escape(record.provider)}",
        f"Scalable {escape(record.version)}",
    ]
    return f"<footer>{' · '.join(words)}</footer>"


def _asset(name: str) -> str:
    return (files(__package__) / "assets" / name).read_text(encoding="utf-8")
