"""A run as plain data: what the report says, for programs."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from scalable_core.records.advice import Advice, advise
from scalable_core.records.failures import FailureGroup, group_failures
from scalable_core.records.reading import RunHistory
from scalable_core.records.summary import RunSummary, summarise, summary_document
from scalable_core.types import to_data

REPORT_SCHEMA = "scalable.report/1"


@frozen(kw_only=True)
class Report:
    """What is said about one run.

    Attributes:
        history: What its folder says.
        summary: What that comes to.
        failures: Failed attempts by cause.
        advice: For each task with results, from this run alone.
    """

    history: RunHistory
    summary: RunSummary
    failures: tuple[FailureGroup, ...]
    advice: tuple[Advice, ...]


def make_report(history: RunHistory) -> Report:
    """Return all that there is to say about a run."""
    summary = summarise(history)
    advice = (advise([history], task.task) for task in summary.tasks)
    return Report(
        history=history,
        summary=summary,
        failures=group_failures(history),
        advice=tuple(one for one in advice if one is not None),
    )


def report_document(report: Report) -> dict[str, Any]:
    """Return a report as plain data with ``schema`` first."""
    return {
        "schema": REPORT_SCHEMA,
        "run": to_data(report.history.record),
        "summary": summary_document(report.summary),
        "failures": [{"title": group.title, **to_data(group)} for group in report.failures],
        "advice": to_data(report.advice),
        "artifacts": to_data(report.history.artifacts),
        "cost": {"estimate": report.history.plan.get("cost"), "lines": list(report.history.cost)},
    }
