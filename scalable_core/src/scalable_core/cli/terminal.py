"""What a stream can show, and the writing to it: the result to stdout, all else to stderr."""

from __future__ import annotations

import json
import os
import re
import sys
import unicodedata
from collections.abc import Mapping
from typing import Any, TextIO

from attrs import frozen

_CODES = {"bold": 1, "dim": 2, "red": 31, "green": 32, "yellow": 33, "cyan": 36}

_PAINT = re.compile("\x1b\\[[0-9;]*m")

#: Width of what is not a terminal: nothing is cut there.
UNLIMITED = 100_000


@frozen(kw_only=True)
class Look:
    """How text may look on a stream.

    Attributes:
        width: Columns of the terminal; `UNLIMITED` where there is none.
        color: Colours may be used.
        unicode: More than ASCII may be used.
        animated: It is a terminal on which lines can be drawn again.
    """

    width: int = UNLIMITED
    color: bool = False
    unicode: bool = False
    animated: bool = False

    def paint(self, text: str, *styles: str) -> str:
        """Return ``text`` in a style (``bold``, ``dim``, a colour), where the stream has colours."""
        codes = ";".join(str(_CODES[style]) for style in styles if style)
        return f"\x1b[{codes}m{text}\x1b[0m" if self.color and codes and text else text

    def cut(self, text: str, width: int) -> str:
        """Return ``text`` in at most ``width`` columns, its middle left out where it is longer."""
        if display_width(text) <= width:
            return text
        gap = "…" if self.unicode else ".."
        room = max(width - len(gap), 1)
        head, tail = "", ""
        while room and len(head) + len(tail) < len(text):
            character = text[len(head)] if len(head) <= len(tail) else text[-1 - len(tail)]
            room -= display_width(character)
            if room < 0:
                break
            head, tail = (
                (head + character, tail) if len(head) <= len(tail) else (head, character + tail)
            )
        return head + gap + tail

    @property
    def prose(self) -> int:
        """Columns for sentences, which are hard to read when they are wide."""
        return self.width if self.width == UNLIMITED else min(self.width, 100)


def look_of(stream: TextIO, environ: Mapping[str, str] = os.environ) -> Look:
    """Return how text may look on a stream, by what it is and what the environment says."""
    terminal = stream.isatty()
    dumb = environ.get("TERM") == "dumb"
    color = bool(environ.get("FORCE_COLOR")) or (terminal and not dumb)
    return Look(
        width=_width(stream, terminal, environ),
        color=color and not environ.get("NO_COLOR"),
        unicode=(stream.encoding or "").lower().replace("-", "").startswith("utf"),
        animated=terminal and not dumb,
    )


def _width(stream: TextIO, terminal: bool, environ: Mapping[str, str]) -> int:
    columns = environ.get("COLUMNS", "")
    if columns.isascii() and columns.isdigit() and int(columns):
        return max(int(columns), 20)
    try:
        return max(os.get_terminal_size(stream.fileno()).columns, 20) if terminal else UNLIMITED
    except (OSError, ValueError):
        return 80


def display_width(text: str) -> int:
    """Return the columns that a text takes on a terminal; its colours take none."""
    if "\x1b" in text:
        text = _PAINT.sub("", text)
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def clean(text: str) -> str:
    """Return text of others without the characters that could command the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else " " if c == "\t" else "?" for c in text)


def show(text: str) -> None:
    """Write to stdout: what was asked for."""
    _write(sys.stdout, text)


def say(text: str) -> None:
    """Write to stderr: what happens meanwhile, and what went wrong."""
    _write(sys.stderr, text)


def show_json(document: Any) -> None:
    """Write one JSON object to stdout."""
    show(json.dumps(document, indent=2))


def _write(stream: TextIO, text: str) -> None:
    try:
        print(text, file=stream, flush=True)
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        print(text.encode(encoding, "replace").decode(encoding), file=stream, flush=True)
