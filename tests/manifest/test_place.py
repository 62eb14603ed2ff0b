"""Problems that a provider finds get their places in the manifest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from scalable_core.manifest import place_problems
from scalable_core.types import Problem

TEXT = """\
version: 1
project: {name: study}
targets:
  a.b:
    provider: cloud
    region: here
    subnets: [x, y]
    adaptive: {maximum: 3}
    overlay: big
overlays:
  big:
    targets:
      a.b: {worker_cpu: 4}
  spot:
    targets:
      a.b: {spot: true}
"""


@pytest.mark.parametrize(
    ("where", "line", "column"),
    [
        ("region", 6, 13),
        ("subnets", 7, 14),
        ("subnets.1", 7, 18),
        ("subnets[0]", 7, 15),
        ("adaptive.maximum", 8, 25),
        ("adaptive.minimum", 8, 5),
        ("image", 4, 3),
        ("", 5, 5),
        ("worker_cpu", 13, 25),
    ],
)
def test_problem_is_placed(where: str, line: int, column: int, path: Path) -> None:
    """At its value, in the overlay if it came from there, or at the nearest key when it is not written."""
    path.write_text(TEXT)
    found = Problem(code="E0301", message="no", where=where, severity="warning")

    (placed,) = place_problems([found], path, "targets.a.b")

    assert (placed.line, placed.column, placed.file) == (line, column, str(path))
    assert placed.where == ("targets.a.b." + where).rstrip(".")
    assert (placed.code, placed.message, placed.severity) == ("E0301", "no", "warning")


def test_problem_in_an_overlay_of_the_command_line_is_placed_there(path: Path) -> None:
    """The overlays that a manifest was read with can be given."""
    path.write_text(TEXT)
    found = Problem(code="E0301", message="no", where="spot")

    (placed,) = place_problems([found], path, "targets.a.b", overlays=["big", "spot"])

    assert (placed.line, placed.column) == (16, 19)


def test_problem_keeps_its_path_when_the_file_is_gone(tmp_path: Path) -> None:
    """Without the file there is no line, and no error."""
    found = Problem(code="E0301", message="no", where="region")

    (placed,) = place_problems([found], tmp_path / "gone.yaml", "targets.far")

    assert (placed.where, placed.line) == ("targets.far.region", None)


def test_no_problems_need_no_file() -> None:
    """Nothing to place is nothing to read."""
    assert place_problems([], "gone.yaml", "targets.far") == ()


def test_problems_of_a_reading_tell_where_they_are(
    problems: Callable[..., tuple[Problem, ...]],
) -> None:
    """The file's name is as it was given, line and column are 1-based."""
    (found,) = problems(TEXT.replace("region: here", "region: 3").replace("    overlay: big\n", ""))

    assert found.place.endswith("scalable.yaml:6:13")
