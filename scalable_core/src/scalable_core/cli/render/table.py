"""Columns that line up, and lines that wrap."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from scalable_core.cli.terminal import UNLIMITED, Look, display_width

#: A cell: its text, or its text and a style.
Cell = str | tuple[str, str]

_GAP = "  "


def table(
    rows: Sequence[Sequence[Cell]],
    look: Look,
    *,
    align: str,
    shrink: int,
    spare: Sequence[int] = (),
) -> list[str]:
    """Return rows as lines whose columns line up.

    Args:
        rows: The first may be a heading. Every row has as many cells as ``align`` has letters.
        look: Of the stream.
        align: ``l`` or ``r`` for each column.
        shrink: The column that is cut when a line would be wider than the stream.
        spare: Columns that are left out before anything is cut, the first first.
    """
    shown = list(range(len(align)))
    widths = [max(display_width(_text(row[i])) for row in rows) for i in shown]

    def excess() -> int:
        return sum(widths[i] for i in shown) + len(_GAP) * (len(shown) - 1) - look.width

    for column in spare:
        if excess() > 0:
            shown.remove(column)
    if excess() > 0:
        widths[shrink] = max(widths[shrink] - excess(), min(widths[shrink], 8))
    return [
        _GAP.join(_fit(row[i], widths[i], align[i], look) for i in shown).rstrip() for row in rows
    ]


def flow(pieces: Iterable[str], look: Look, *, gap: str = "   ", indent: str = "") -> list[str]:
    """Return pieces side by side, in as many lines as the width needs."""
    lines: list[str] = []
    for piece in pieces:
        if lines and display_width(lines[-1]) + len(gap) + display_width(piece) <= look.width:
            lines[-1] += gap + piece
        else:
            lines.append(indent + piece)
    return lines


def wrap(text: str, look: Look, *, first: str = "", rest: str = "") -> list[str]:
    """Return a sentence in lines.

    Args:
        text: The sentence.
        look: Of the stream.
        first: Put before the first line.
        rest: Put before the others.
    """
    if look.width == UNLIMITED:
        return [first + text]
    lines = [first]
    empty = True
    for word in text.split(" "):
        if not empty and display_width(lines[-1]) + 1 + display_width(word) > look.prose:
            lines.append(rest + word)
        else:
            lines[-1] += word if empty else f" {word}"
        empty = False
    return lines


def _text(cell: Cell) -> str:
    return cell if isinstance(cell, str) else cell[0]


def _fit(cell: Cell, width: int, align: str, look: Look) -> str:
    text = look.cut(_text(cell), width)
    padding = " " * (width - display_width(text))
    painted = text if isinstance(cell, str) else look.paint(text, cell[1])
    return padding + painted if align == "r" else painted + padding
