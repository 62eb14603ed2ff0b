"""Kept results as lines and as plain data."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from scalable_core.cache import Entry, Place
from scalable_core.cli.render.runs import ago
from scalable_core.cli.render.table import Cell, table
from scalable_core.cli.terminal import Look, clean
from scalable_core.records.reading import seconds_of
from scalable_core.records.report.words import count, short_id, size
from scalable_core.types.units import format_duration

CACHE_SCHEMA = "scalable.cache/1"

#: Digits of a key that are shown; as many as tell keys apart in practice.
_SHORT = 12

KeptPart = tuple[str, str, str]


def sum_up(entries: Sequence[Entry]) -> str:
    """Say how many results there are, how large, and how long they took."""
    total = sum(entry.size for entry in entries)
    seconds = sum(entry.seconds for entry in entries)
    return f"{count(len(entries), 'result')} ({size(total)}, {format_duration(seconds)} to compute)"


def render_listing(entries: Sequence[Entry], look: Look) -> list[str]:
    """Return a line for each result, and one for all of them."""
    now = time.time()
    rows: list[Sequence[Cell]] = [
        [(head, "dim") for head in ("KEY", "FUNCTION", "ARGUMENTS", "SIZE", "TOOK", "KEPT", "RUN")]
    ]
    for entry in entries:
        rows.append([
            entry.key[:_SHORT],
            clean(entry.function),
            clean(_arguments(entry)),
            size(entry.size),
            format_duration(entry.seconds),
            ago(now - seconds_of(entry.created)),
            clean(short_id(str(entry.by.get("run") or ""))),
        ])  # fmt: skip
    return [*table(rows, look, align="lllrrll", shrink=2, spare=[6]), sum_up(entries)]


def listing_document(place: Place, entries: Iterable[Entry]) -> dict[str, Any]:
    """Return results as plain data."""
    listed = [_entry(entry) for entry in entries]
    return {
        "schema": CACHE_SCHEMA,
        "folder": place.root,
        "remote": place.remote and place.remote.uri,
        "entries": listed,
    }


def render_entry(entry: Entry, code: Sequence[KeptPart] | None, look: Look) -> list[str]:
    """Return all that is known of a result."""
    by = {name: str(value) for name, value in entry.by.items() if value}
    facts = [
        ("key", entry.key),
        ("function", entry.function),
        ("value", f"{entry.kind}, {size(entry.size)}"),
        ("took", format_duration(entry.seconds)),
        ("kept", f"{entry.created} by {by.get('user', '?')} on {by.get('host', '?')}"),
        ("run", by.get("run", "?")),
    ]
    rows: list[Sequence[Cell]] = [[(name, "dim"), clean(text)] for name, text in facts]
    lines = table(rows, look, align="ll", shrink=1)
    lines += ["", "It depends on"]
    if code is None:
        lines.append("  ! its code is no longer kept")
    parts = [*(code or ()), *entry.parts]
    shown: list[Sequence[Cell]] = [
        [f"  {clean(name)}", clean(_first(text))] for name, _, text in parts
    ]
    return lines + (table(shown, look, align="ll", shrink=1) if shown else [])


def entry_document(entry: Entry, code: Sequence[KeptPart] | None) -> dict[str, Any]:
    """Return all that is known of a result as plain data."""
    parts = [
        {"part": name, "digest": digest, "text": text}
        for name, digest, text in (*(code or ()), *entry.parts)
    ]
    return {"schema": CACHE_SCHEMA, "entry": _entry(entry), "parts": parts}


def render_stats(place: Place, entries: Sequence[Entry], look: Look) -> list[str]:
    """Return a line for each function, the one that saves most first."""
    where = f"Folder {place.root}"
    lines = [where + (f"   Shared {place.remote.uri}" if place.remote else "")]
    functions = _functions(entries)
    if functions:
        rows: list[Sequence[Cell]] = [
            [(head, "dim") for head in ("FUNCTION", "RESULTS", "SIZE", "TOOK")]
        ]
        for each in functions:
            rows.append([
                clean(each["function"]),
                str(each["results"]),
                size(each["size"]),
                format_duration(each["seconds"]),
            ])  # fmt: skip
        lines += table(rows, look, align="lrrr", shrink=0)
    return [*lines, sum_up(entries)]


def stats_document(place: Place, entries: Sequence[Entry]) -> dict[str, Any]:
    """Return what is kept of each function as plain data."""
    return {
        "schema": CACHE_SCHEMA,
        "folder": place.root,
        "remote": place.remote and place.remote.uri,
        "results": len(entries),
        "size": sum(entry.size for entry in entries),
        "seconds": round(sum(entry.seconds for entry in entries), 6),
        "functions": _functions(entries),
    }


def _functions(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for entry in entries:
        each = found.setdefault(
            entry.function, {"function": entry.function, "results": 0, "size": 0, "seconds": 0.0}
        )
        each["results"] += 1
        each["size"] += entry.size
        each["seconds"] = round(each["seconds"] + entry.seconds, 6)
    return sorted(found.values(), key=lambda each: (-each["seconds"], each["function"]))


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "key": entry.key,
        "function": entry.function,
        "kind": entry.kind,
        "size": entry.size,
        "seconds": entry.seconds,
        "created": entry.created,
        "by": dict(entry.by),
        "signed": entry.signed,
        "arguments": {name.partition(" ")[2]: text for name, _, text in entry.parts},
    }


def _arguments(entry: Entry) -> str:
    return ", ".join(f"{name.partition(' ')[2]}={_first(text)}" for name, _, text in entry.parts)


def _first(text: str) -> str:
    """The first line of a text, with an ellipsis where there are more."""
    line, _, more = text.partition("\n")
    return f"{line} ..." if more else line
