"""Every block of code in README and docs does what it says."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from blocks import Reader, matches, read_blocks

ROOT = Path(__file__).parents[2]
#: Followed in an environment of its own, by tests/examples/test_tutorial.py.
ELSEWHERE = ROOT / "docs" / "tutorials" / "write-a-provider.md"
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts),
]
PAGES.remove(ELSEWHERE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_blocks_of_a_page_do_what_it_says(page: Path, tmp_path: Path) -> None:
    """A reader who follows a page from its top gets what it shows."""
    blocks = [block for block in read_blocks(page) if block.kind != "sh"]
    shutil.copytree(
        ROOT / "examples",
        tmp_path / "examples",
        ignore=shutil.ignore_patterns("results", ".scalable"),
    )
    reader = Reader(tmp_path)
    for block in blocks:
        reader.follow(block)


def test_commands_that_set_up_a_clone_are_those_that_are_tried() -> None:
    """The first two commands of the README are run by .ci/run; what else sets up a clone is known too."""
    tried = (ROOT / ".ci" / "run").read_text().splitlines()
    known = [*(line for line in tried if line.startswith("python3 ")), *SET_UP]
    commands = [
        line
        for page in PAGES
        for block in read_blocks(page)
        if block.kind == "sh"
        for line in block.code.splitlines()
    ]
    assert commands[:2] == ["python3 scripts/first_run.py", "python3 scripts/test.py"]
    assert [command for command in commands if command not in known] == []


#: Command to the test that runs what it runs.
SET_UP = {
    "pip install ./scalable_core ./plugins/scalable_local .": "test_wheels.py",
    "nox": "the sessions' commands are those of .ci/run",
    "nox -l": "lists the sessions",
    "nox -s docs": ".ci/run builds the pages with the same command",
    "python tests/testbed/aws": "the tests of Fargate start it with the same command",
    "python benchmarks/run.py": "the figures are taken by hand, on an idle machine",
}


def test_ellipses_stand_for_anything() -> None:
    """``...`` alone stands for any lines, within a line for any text, and nothing else is left out."""
    said = "a 1\nb 2\nc 3\n"
    assert matches("a 1\nb 2\nc 3", said)
    assert matches("a ...\n...\nc 3", said)
    assert matches("...\nc 3", said)
    assert matches("a 1\n...", said)
    assert not matches("a 1", said)
    assert not matches("a 1\nc 3", said)
    assert not matches("b ...\n...", said)


def test_blocks_are_found_with_their_kind_and_place(tmp_path: Path) -> None:
    """Blocks in lists are found without their indent, and directives are not taken for code."""
    page = tmp_path / "page.md"
    page.write_text(
        "# Page\n\n```{note}\nprose\n```\n\n- item\n\n  ```console exit=2\n  $ scalable validate\n  ```\n"
    )
    (block,) = read_blocks(page)
    assert (block.line, block.kind, block.code, block.fails) == (
        9,
        "console",
        "$ scalable validate\n",
        2,
    )
