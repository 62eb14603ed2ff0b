"""Columns line up and lines wrap, in any width."""

from __future__ import annotations

import pytest

from scalable_core.cli.render.table import flow, table, wrap
from scalable_core.cli.terminal import Look, display_width

ROWS = [
    [("NAME", "bold"), "count", "image"],
    ["model", "12", "ghcr.io/acme/model:2.0.1"],
    ["日本", "1", "-"],
]


def test_columns_line_up() -> None:
    """Text is on the left, numbers are on the right, wide characters count twice."""
    assert table(ROWS, Look(), align="lrl", shrink=2) == [
        "NAME   count  image",
        "model     12  ghcr.io/acme/model:2.0.1",
        "日本       1  -",
    ]


@pytest.mark.parametrize("width", [24, 30, 37])
def test_one_column_is_cut_to_the_width(width: int) -> None:
    """The column that may shrink takes what is missing."""
    lines = table(ROWS, Look(width=width, unicode=True), align="lrl", shrink=2)

    assert max(map(display_width, lines)) <= width
    assert "…" in "".join(lines)


def test_spare_columns_go_first() -> None:
    """A column that can be done without is left out before another is cut."""
    assert table(ROWS, Look(width=32), align="lrl", shrink=2, spare=[1]) == [
        "NAME   image",
        "model  ghcr.io/acme/model:2.0.1",
        "日本   -",
    ]


def test_colours_do_not_move_columns() -> None:
    """Painted cells take the columns of their text."""
    lines = table(ROWS, Look(color=True), align="lrl", shrink=2)

    assert [display_width(line) for line in lines] == [19, 38, 15]


def test_pieces_flow_into_lines() -> None:
    """As many as fit are side by side."""
    pieces = ["aaaa", "bbbb", "cccc"]

    assert flow(pieces, Look()) == ["aaaa   bbbb   cccc"]
    assert flow(pieces, Look(width=12)) == ["aaaa   bbbb", "cccc"]


def test_sentences_wrap_at_words() -> None:
    """No line is wider than the terminal, nor than is easy to read; nothing wraps without one."""
    text = "one two three four five six seven eight nine ten " * 5

    assert len(wrap(text, Look())) == 1
    assert max(map(len, wrap(text, Look(width=30), first="- ", rest="  "))) <= 30
    assert max(map(len, wrap(text, Look(width=300)))) <= 100
    assert " ".join(wrap(text, Look(width=30))) == text
