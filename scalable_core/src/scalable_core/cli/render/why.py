"""Why calls are computed again, as lines and as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import frozen

from scalable_core.cache import Entry
from scalable_core.cache.why import Change
from scalable_core.cli.terminal import Look, clean
from scalable_core.records.report.words import short_id

WHY_SCHEMA = "scalable.why/1"

#: Lines of a difference that are shown.
_LINES = 40


@frozen(kw_only=True)
class Reason:
    """What is known of one function.

    Attributes:
        call: Such as ``simulate[17]``; empty when it is of no call in particular.
        function: ``module.qualname``.
        newest: Its newest kept result.
        today: One sentence: whether the same call would run today, and why; empty when unknown.
        changes: What it depends on, against today.
        unknown: Why today cannot be told; empty when it can.
        before: The kept result of before the last change of code that is most like the newest; None without.
        then: One sentence: why the newest was computed although that one was there.
        differences: What the newest depends on, against that one.
    """

    call: str = ""
    function: str
    newest: Entry
    today: str
    changes: tuple[Change, ...]
    unknown: str
    before: Entry | None
    then: str
    differences: tuple[Change, ...]


def render_reasons(reasons: Sequence[Reason], look: Look) -> list[str]:
    """Return the reasons, one function after the other."""
    lines: list[str] = []
    for reason in reasons:
        lines += [""] if lines else []
        run = short_id(str(reason.newest.by.get("run") or "?"))
        what = (
            f"{reason.call}   {reason.function}   "
            if reason.call
            else f"{reason.function}   newest "
        )
        head = f"{clean(what)}result {reason.newest.key[:12]} of {run}"
        lines.append(look.paint(head, "bold"))
        if reason.unknown:
            lines.append(f"! {clean(reason.unknown)}")
        else:
            lines.append(f"today     {clean(reason.today)}")
            lines += _parts(reason.changes, look)
        if reason.before is not None:
            run = short_id(str(reason.before.by.get("run") or "?"))
            lines.append(
                f"then      {clean(reason.then)}   (against {reason.before.key[:12]} of {run})"
            )
            changed = [change for change in reason.differences if change.status != "same"]
            lines += _parts(changed, look)
    return lines


def why_document(name: str, reasons: Sequence[Reason]) -> dict[str, Any]:
    """Return the reasons as plain data."""
    listed = []
    for reason in reasons:
        earlier = None
        if reason.before is not None:
            earlier = {"key": reason.before.key, "run": reason.before.by.get("run")}
            earlier |= {"reason": reason.then, "parts": _changes(reason.differences)}
        listed.append({
            "call": reason.call or None,
            "function": reason.function,
            "key": reason.newest.key,
            "run": reason.newest.by.get("run"),
            "created": reason.newest.created,
            "today": reason.today or None,
            "unknown": reason.unknown or None,
            "parts": _changes(reason.changes),
            "before": earlier,
        })  # fmt: skip
    return {"schema": WHY_SCHEMA, "name": name, "functions": listed}


_SIGNS = {
    "same": ("=", "dim"),
    "changed": ("~", "yellow"),
    "new": ("+", "green"),
    "gone": ("-", "red"),
}


def _parts(changes: Sequence[Change], look: Look) -> list[str]:
    lines = []
    width = max((len(change.part) for change in changes), default=0)
    for change in changes:
        sign, style = _SIGNS[change.status]
        text = change.after or change.before
        short = "" if "\n" in change.before + change.after else text
        if short and change.status == "changed":
            short = f"{change.before} -> {change.after}"
        line = f"  {sign} {clean(change.part):{min(width, 32)}}  {clean(short)}".rstrip()
        lines.append(look.paint(look.cut(line, look.width), style))
        if change.status == "changed" and not short:
            diff = change.diff()
            for text in diff[:_LINES]:
                color = {"-": "red", "+": "green"}.get(text[:1], "")
                lines.append(look.paint(f"      {clean(text)}".rstrip(), color))
            if len(diff) > _LINES:
                lines.append(f"      and {len(diff) - _LINES} lines more")
    return lines


def _changes(changes: Sequence[Change]) -> list[dict[str, Any]]:
    return [
        {
            "part": change.part,
            "kind": change.kind,
            "status": change.status,
            "before": change.before,
            "after": change.after,
            "diff": list(change.diff()) if change.status == "changed" else [],
        }
        for change in changes
    ]
