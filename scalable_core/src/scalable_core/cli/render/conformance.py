"""A scorecard of the conformance kit as text: a line for each aspect, a sentence for each failure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scalable_core.cli.render.problems import count
from scalable_core.cli.render.table import Cell, table, wrap
from scalable_core.cli.terminal import Look, clean


def render_scorecard(card: Mapping[str, Any], look: Look) -> list[str]:
    """Return the aspects, the failures, and the score.

    Args:
        card: From `scalable_core.plugins.scorecard`.
        look: Of the stream.
    """
    rows: list[list[Cell]] = [[(head, "bold") for head in ("ASPECT", "PASSED", "NOT RUN")]]
    aspects: dict[str, list[str]] = {}
    for row in card["checks"]:
        aspects.setdefault(row["aspect"], []).append(row["outcome"])
    for aspect, outcomes in aspects.items():
        passed, run = outcomes.count("passed"), len(outcomes) - outcomes.count("skipped")
        run -= outcomes.count("not run")
        color = "green" if passed == run else "red"
        rest = len(outcomes) - run
        rows.append([aspect, (f"{passed}/{run}" if run else "-", color), str(rest or "")])
    lines = table(rows, look, align="lrr", shrink=0)
    for row in card["checks"]:
        if row["outcome"] == "failed":
            mark = look.paint("x", "red", "bold")
            words = row["check"].removeprefix("test_").replace("_", " ")
            text = f"{row['aspect']}: {words}: {clean(row['sentence'])}"
            lines += ["", *wrap(text, look, first=f"{mark} ", rest="  ")]
    return [*lines, "", *_verdict(card, look)]


def _verdict(card: Mapping[str, Any], look: Look) -> list[str]:
    dist = f"{card['provider']} ({card['dist']} {card['version']})"
    text = f"{dist}: {card['score']} passed"
    if card["failed"]:
        text += f", {count(card['failed'], 'check')} failed"
    if card["skipped"]:
        text += f"; {card['skipped']} do not apply"
    if card["not_run"]:
        text += f"; {card['not_run']} would start clusters that may cost something (--spend)"
    return wrap(clean(f"{text}."), look)
