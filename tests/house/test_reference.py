"""The pages that are written by programs are as they would be written today."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(
    "generator", sorted(DOCS.glob("generate_*.py")), ids=lambda path: path.stem
)
def test_generated_pages_are_current(generator: Path) -> None:
    """`--check` finds no difference between the page and the source that it describes."""
    done = subprocess.run(
        [sys.executable, generator, "--check"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_command_has_a_place_in_the_reference() -> None:
    """The page of the command line has a heading for each command."""
    from scalable_core.cli.app import COMMANDS

    headings = [
        line
        for line in (DOCS / "reference" / "cli.md").read_text().splitlines()
        if line.startswith("#")
    ]
    missing = [
        name for name in COMMANDS if not any(f"scalable {name}" in line for line in headings)
    ]
    assert missing == []
