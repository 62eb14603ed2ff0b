"""What a doctor found, line by line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scalable_core.cli.render.problems import count
from scalable_core.cli.render.table import wrap
from scalable_core.cli.terminal import Look, clean
from scalable_core.session.doctor import Check
from scalable_core.types import Manifest, to_data

CHECKS_SCHEMA = "scalable.doctor/1"

_WIDTH = 13
_WORDS = {"ok": ("ok", "green"), "warning": ("warning", "yellow"), "fail": ("FAIL", "red")}


def render_check(check: Check, look: Look) -> list[str]:
    """Return the lines of one check: its name, its word, what was found, and what mends it."""
    word, color = _WORDS[check.status]
    head = f"{clean(check.name):<{_WIDTH}} {look.paint(f'{word:<8}', color)}"
    rest = " " * (_WIDTH + 10)
    lines = wrap(clean(check.detail), look, first=f"{head} ", rest=rest)
    if check.cure:
        lines += wrap(f"fix: {clean(check.cure)}", look, first=rest, rest=rest)
    return lines


def verdict(checks: Sequence[Check]) -> str:
    """Return the last line: how many problems there are."""
    failed = sum(check.status == "fail" for check in checks)
    warned = sum(check.status == "warning" for check in checks)
    words = f"{count(failed, 'problem')}" if failed else "Ready to run"
    words += f", {count(warned, 'warning')}" if warned else ""
    return f"{words}. Nothing was created."


def checks_document(manifest: Manifest, checks: Sequence[Check]) -> dict[str, Any]:
    """Return the checks as plain data for programs."""
    target = None if manifest.target is None else manifest.target.name
    return {"schema": CHECKS_SCHEMA, "target": target, "checks": to_data(tuple(checks))}
