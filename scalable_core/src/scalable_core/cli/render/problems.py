"""Problems with their place, the line they are in, and what mends them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from scalable_core.cli.render.table import wrap
from scalable_core.cli.terminal import Look, clean, display_width
from scalable_core.types import Problem

#: What is underlined: a quoted text, else a word up to what ends one in YAML.
_TOKEN = re.compile(r"\"[^\"]*\"|'[^']*'|\$\{[^}]*\}|[^\s,:#\]}]+")

_INDENT = " " * 5
_MAX_BYTES = 2 * 1024 * 1024


def read_lines(path: str) -> Sequence[str]:
    """Return the lines of a file for showing; none when it cannot be read or is no text."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(_MAX_BYTES)
    except (OSError, ValueError):
        return ()
    return () if b"\0" in data else re.split(r"\r\n|[\r\n]", data.decode("utf-8-sig", "replace"))


def render_problems(
    problems: Iterable[Problem],
    look: Look,
    *,
    lines_of: Callable[[str], Sequence[str]] = read_lines,
) -> list[str]:
    """Return problems as lines, with the source where it is known.

    Args:
        problems: In the order in which they are shown.
        look: Of the stream.
        lines_of: Gives the lines of a file.
    """
    files: dict[str, Sequence[str]] = {}
    shown: list[str] = []
    for problem in problems:
        source: Sequence[str] = ()
        if problem.file and problem.line:
            if problem.file not in files:
                files[problem.file] = lines_of(problem.file)
            source = files[problem.file]
        shown += _render(problem, source, look)
    return shown


def _render(problem: Problem, source: Sequence[str], look: Look) -> list[str]:
    color = "red" if problem.severity == "error" else "yellow"
    place = look.paint(clean(problem.place), "bold") + "  " if problem.place else ""
    where = f"{problem.where}: " if problem.where else ""
    head = f"{place}{look.paint(problem.code, color)}  {clean(where + problem.message)}"
    lines = wrap(head, look, rest=_INDENT)
    excerpt = _excerpt(problem, source, look, color)
    lines += excerpt
    cure = clean(problem.cure or "")
    if excerpt and cure and display_width(f"{lines[-1]} {cure}") <= look.prose:
        return [*lines[:-1], f"{lines[-1]} {cure}"]
    return lines + (wrap(cure, look, first=_INDENT, rest=_INDENT) if cure else [])


def _excerpt(problem: Problem, source: Sequence[str], look: Look, color: str) -> list[str]:
    """Return the line of a problem under the one before it, and carets under the words meant."""
    line, column = problem.line or 0, problem.column or 1
    if not 1 <= line <= len(source):
        return []
    gutter = len(str(line)) + 3
    shown = []
    if line > 1 and source[line - 2].strip():
        shown.append(_source_line(line - 1, gutter, clean(source[line - 2]), look))
    text = clean(source[line - 1])
    token = _TOKEN.match(text, column - 1)
    word = token[0] if token else text[column - 1 : column]
    before = text[: column - 1]
    room = look.width - gutter - 3
    if display_width(before + word) > room:
        gap = "…" if look.unicode else ".."
        before, text = gap, gap + text[column - 1 :]
        word = word[: max(room - len(gap), 1)]
    shown.append(_source_line(line, gutter, text, look))
    carets = look.paint("^" * max(display_width(word), 1), color)
    bar = look.paint("|", "dim")
    shown.append(f"{' ' * gutter} {bar} {' ' * display_width(before)}{carets}")
    return shown


def _source_line(number: int, gutter: int, text: str, look: Look) -> str:
    head = look.paint(f"{number:>{gutter}} |", "dim")
    return f"{head} {_cut_end(text.rstrip(), look.width - gutter - 3, look)}"


def _cut_end(text: str, width: int, look: Look) -> str:
    """Cut the end of a line of source, so that the columns before it stay where they are."""
    if display_width(text) <= width:
        return text
    text = text[:width]
    while text and display_width(text) >= width:
        text = text[:-1]
    return text + ("…" if look.unicode else ".")


def count(number: int, noun: str) -> str:
    """Return ``1 error``, ``2 errors``, ``no errors``."""
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"
