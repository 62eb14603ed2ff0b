"""What a stream can show is known from what it is and from the environment."""

from __future__ import annotations

import io

import pytest

from scalable_core.cli.terminal import UNLIMITED, Look, clean, display_width, look_of


class Stream(io.StringIO):
    """A stream that says what it is."""

    def __init__(self, *, terminal: bool, encoding: str = "utf-8") -> None:
        super().__init__()
        self._terminal, self._encoding = terminal, encoding

    def isatty(self) -> bool:
        return self._terminal

    @property
    def encoding(self) -> str:
        return self._encoding


@pytest.mark.parametrize(
    ("terminal", "environ", "color"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (False, {"FORCE_COLOR": "1"}, True),
        (False, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
    ],
)
def test_colours_follow_the_terminal_and_the_conventions(
    terminal: bool, environ: dict[str, str], color: bool
) -> None:
    """A terminal has colours unless NO_COLOR or a dumb one; FORCE_COLOR gives them to anything."""
    assert look_of(Stream(terminal=terminal), environ).color is color


@pytest.mark.parametrize(
    ("terminal", "environ", "animated"),
    [(True, {}, True), (False, {"FORCE_COLOR": "1"}, False), (True, {"TERM": "dumb"}, False)],
)
def test_only_a_real_terminal_is_animated(
    terminal: bool, environ: dict[str, str], animated: bool
) -> None:
    """Colours can be forced, drawing again cannot."""
    assert look_of(Stream(terminal=terminal), environ).animated is animated


def test_nothing_is_cut_where_there_is_no_terminal() -> None:
    """A file gets whole lines, unless COLUMNS asks for a width."""
    assert look_of(Stream(terminal=False), {}).width == UNLIMITED
    assert look_of(Stream(terminal=False), {"COLUMNS": "60"}).width == 60
    assert look_of(Stream(terminal=False), {"COLUMNS": "wide"}).width == UNLIMITED


def test_more_than_ascii_needs_an_encoding_that_has_it() -> None:
    """Latin-1 and ASCII streams get ASCII."""
    assert look_of(Stream(terminal=True, encoding="UTF-8"), {}).unicode
    assert not look_of(Stream(terminal=True, encoding="ascii"), {}).unicode


def test_text_of_others_cannot_command_the_terminal() -> None:
    """Escape sequences and bells arrive as question marks; lines and tabs stay readable."""
    assert clean("a\x1b[31mred\x07\tb\nc\u202e") == "a?[31mred? b\nc?"


def test_width_counts_columns_and_not_characters() -> None:
    """Wide characters take two columns, colours and combining marks none."""
    assert display_width("日本") == 4
    assert display_width("e\u0301") == 1
    assert display_width(Look(color=True).paint("abc", "red", "bold")) == 3


@pytest.mark.parametrize("width", range(1, 14))
@pytest.mark.parametrize("text", ["ghcr.io/acme", "日本語のイメージ"])
def test_cut_text_keeps_both_ends_and_fits(width: int, text: str) -> None:
    """The middle is left out, because the ends of a name tell most."""
    look = Look(unicode=True)

    cut = look.cut(text, width)

    assert display_width(cut) <= max(width, 2)
    if display_width(text) > width >= 6:
        head, tail = cut.split("…")
        assert text.startswith(head)
        assert text.endswith(tail)
        assert head
        assert tail
