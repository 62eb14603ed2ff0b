"""The page of problem codes lists what the source has, no more and no less."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "problem-codes.md"
SOURCES = [ROOT / "scalable_core" / "src", *(ROOT / "plugins").glob("*/src")]


def test_page_lists_every_code() -> None:
    """A code without an explanation, and an explanation without a code, are both mistakes."""
    used = {
        code
        for source in SOURCES
        for file in source.rglob("*.py")
        if file.name != "hookspecs.py"  # its examples have codes of their own
        for code in re.findall(r'"([EW][0-9]{4})"', file.read_text(encoding="utf-8"))
    }
    rows = re.findall(r"^\| (`[^|]*) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    listed = re.findall(r"`([EW][0-9]{4})`", "".join(rows))

    assert sorted(listed) == sorted(set(listed))
    assert used | {"E0202", "W0202", "W0203"} == set(listed)
