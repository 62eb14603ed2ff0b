"""A problem is shown at its place, with the line it is in and what mends it."""

from __future__ import annotations

import pytest

from scalable_core.cli.render.problems import read_lines, render_problems
from scalable_core.cli.render.validation import render_verdict, validation_document
from scalable_core.cli.terminal import Look, display_width
from scalable_core.types import Problem

SOURCE = """\
components:
  simulate:
    memry: 16G
""".splitlines()


def problem(**changes: object) -> Problem:
    """A misspelt key."""
    given: dict[str, object] = {
        "code": "E0102",
        "message": "unknown key",
        "where": "components.simulate.memry",
        "cure": "did you mean 'memory'?",
        "file": "scalable.yaml",
        "line": 3,
        "column": 5,
    }
    return Problem(**{**given, **changes})  # type: ignore[arg-type]


def render(*problems: Problem, look: Look | None = None, source: list[str] = SOURCE) -> list[str]:
    """The lines of problems in a source."""
    return render_problems(problems, look or Look(), lines_of=lambda file: source)


def test_a_problem_has_place_code_source_carets_and_cure() -> None:
    """The whole shape, as it is documented."""
    assert render(problem()) == [
        "scalable.yaml:3:5  E0102  components.simulate.memry: unknown key",
        "   2 |   simulate:",
        "   3 |     memry: 16G",
        "     |     ^^^^^ did you mean 'memory'?",
    ]


def test_a_problem_without_a_place_is_a_sentence_and_its_cure() -> None:
    """Nothing is invented about where it is."""
    assert render(problem(file=None, line=None, column=None, where="")) == [
        "E0102  unknown key",
        "     did you mean 'memory'?",
    ]


def test_a_cure_that_does_not_fit_has_its_own_line() -> None:
    """In a narrow terminal nothing is wider than it."""
    lines = render(
        problem(cure="write the memory of one worker, such as 16G, in place of this word"),
        look=Look(width=40),
    )

    assert "     |     ^^^^^" in lines
    assert all(display_width(line) <= 40 for line in lines)


@pytest.mark.parametrize(
    ("line", "column", "carets"),
    [
        ("  a: {cpus: four}", 13, "             ^^^^"),
        ("  a: 'x y' # note", 6, "      ^^^^^"),
        ("  image: ${NAME:-a b}/c", 10, "          ^^^^^^^^^^^^"),
        ("  a:", 5, "     ^"),
        ("", 1, " ^"),
        ("名前: x", 5, "       ^"),
    ],
)
def test_carets_are_under_what_is_meant(line: str, column: int, carets: str) -> None:
    """A word, a quoted text or a variable is underlined, at the column where it is seen."""
    lines = render(problem(line=1, column=column, cure=None), source=[line])

    assert lines[-1] == "     |" + carets


def test_a_long_line_is_cut_so_that_the_carets_are_seen() -> None:
    """What is meant stays in the terminal, however far to the right it is."""
    source = [f"  a: {{{'x' * 200}: 1, memry: 16G, {'y' * 200}: 2}}"]
    lines = render(
        problem(line=1, column=source[0].index("memry") + 1), look=Look(width=60), source=source
    )

    assert all(display_width(line) <= 60 for line in lines)
    carets = lines[-1].index("^^^^^")
    assert lines[-2][carets : carets + 5] == "memry"


def test_a_line_that_is_no_longer_there_is_not_shown() -> None:
    """A file that has changed meanwhile gives no wrong excerpt."""
    assert len(render(problem(line=99))) == 2


def test_the_source_cannot_command_the_terminal() -> None:
    """Escape sequences of a manifest are shown, not obeyed."""
    text = "\n".join(render(problem(line=1, column=1), source=["\x1b[2Jmemry: 1\x07"]))

    assert "\x1b" not in text
    assert "\x07" not in text


def test_files_that_are_no_text_have_no_lines(tmp_path) -> None:
    """Binary, missing and unreadable files give no excerpt and no error."""
    (tmp_path / "binary").write_bytes(b"\x00\x01")
    (tmp_path / "latin").write_bytes(b"a: \xe4\nb")

    assert read_lines(str(tmp_path / "binary")) == ()
    assert read_lines(str(tmp_path / "missing")) == ()
    assert read_lines(str(tmp_path)) == ()
    assert read_lines(str(tmp_path / "latin")) == ["a: \ufffd", "b"]


def test_colours_are_only_added() -> None:
    """With colours the text is the same; errors are red and warnings yellow."""
    look = Look(color=True)
    for severity, color in (("error", "31"), ("warning", "33")):
        painted = "\n".join(render(problem(severity=severity), look=look))
        plain = painted
        for code in ("1", "2", "31", "33", "0"):
            plain = plain.replace(f"\x1b[{code}m", "")

        assert f"\x1b[{color}m" in painted
        assert plain.splitlines() == render(problem(severity=severity))


@pytest.mark.parametrize(
    ("severities", "verdict"),
    [
        ([], "no problems in m.yaml (schema v1)"),
        (["error"], "1 error in m.yaml (schema v1)"),
        (["warning"], "1 warning in m.yaml (schema v1)"),
        (["error", "warning", "error"], "2 errors, 1 warning in m.yaml (schema v1)"),
    ],
)
def test_the_verdict_counts(severities: list[str], verdict: str) -> None:
    """Errors and warnings are counted and the file is named."""
    problems = [problem(severity=severity) for severity in severities]

    assert render_verdict(problems, Look(), path="m.yaml") == verdict


def test_the_document_has_every_problem() -> None:
    """Programs get the numbers and the records."""
    document = validation_document([problem()], path="m.yaml", manifest=None)

    assert document["schema"] == "scalable.validation/1"
    assert (document["valid"], document["errors"], document["warnings"]) == (False, 1, 0)
    assert document["problems"][0]["line"] == 3
