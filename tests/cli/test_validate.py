"""`scalable validate` says everything that is wrong, with its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

WRONG = """\
version: 1
project: {name: study}
targets:
  local: {provider: local}
  other:
    provider: local
    max_wokers: 3
components:
  model:
    memry: 16G
tasks:
  simulate: {component: modle}
"""


def test_a_right_manifest(project: Path, scalable) -> None:
    """The verdict says that there are no problems; the next command is named."""
    done = scalable("validate")

    assert done.returncode == 0
    assert done.stdout == (
        "no problems in scalable.yaml (schema v1): 1 target (checked for local), "
        "1 component, 1 task\n"
    )
    assert done.stderr == "Next: scalable plan\n"


def test_every_problem_in_one_pass(scalable, tmp_path: Path) -> None:
    """Three mistakes in three sections, each with its line, carets and suggestion; exit code 2."""
    (tmp_path / "scalable.yaml").write_text(WRONG)

    done = scalable("validate")

    assert done.returncode == 2
    assert "scalable.yaml:10:5  E0102  components.model.memry: unknown key\n" in done.stdout
    assert "   10 |     memry: 16G\n      |     ^^^^^ did you mean 'memory'?\n" in done.stdout
    assert "scalable.yaml:12:25  E0201" in done.stdout
    assert "scalable.yaml:7:5  E0102  targets.other.max_wokers: unknown option\n" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("3 errors")
    assert done.stdout.splitlines()[-1].endswith("in scalable.yaml (schema v1)")


def test_mistakes_of_other_targets_are_warnings_when_one_is_named(scalable, tmp_path: Path) -> None:
    """With --target only what that target needs must be right."""
    (tmp_path / "scalable.yaml").write_text(
        WRONG.replace("memry", "memory").replace("modle", "model")
    )

    assert scalable("validate").returncode == 2
    done = scalable("validate", "--target", "local")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1].startswith(
        "1 warning in scalable.yaml (schema v1): 2 targets"
    )


def test_without_a_default_target_the_file_is_checked_as_a_whole(scalable, tmp_path: Path) -> None:
    """Two targets, neither of them `local`: that is no mistake as long as nothing is run."""
    manifest = WRONG.replace("memry", "memory").replace("modle", "model")
    manifest = manifest.replace("wokers", "workers")
    (tmp_path / "scalable.yaml").write_text(manifest.replace("  local:", "  laptop:"))

    done = scalable("validate")

    assert done.returncode == 0, done.stdout
    assert "2 targets, 1 component" in done.stdout


def test_problems_for_programs(scalable, tmp_path: Path) -> None:
    """--json is one object with a schema; the exit code is the same."""
    (tmp_path / "scalable.yaml").write_text(WRONG)

    done = scalable("validate", "--json")

    assert done.returncode == 2
    document = json.loads(done.stdout)
    assert document["schema"] == "scalable.validation/1"
    assert document["errors"] == 3
    assert {problem["code"] for problem in document["problems"]} >= {"E0102", "E0201"}
    assert document["problems"][0].keys() >= {"message", "where", "cure", "file", "line", "column"}


def test_a_missing_manifest_is_a_sentence(scalable) -> None:
    """Without a manifest the user is told how to get one."""
    done = scalable("validate")

    assert done.returncode == 2
    assert "scalable.yaml" in done.stdout
    assert "scalable init" in done.stdout


def test_the_manifest_can_come_from_the_environment(project: Path, scalable) -> None:
    """SCALABLE_MANIFEST names another default."""
    (project / "scalable.yaml").rename(project / "other.yaml")

    done = scalable("validate", SCALABLE_MANIFEST="other.yaml")

    assert done.returncode == 0
    assert "in other.yaml" in done.stdout
    assert done.stderr == "Next: scalable plan other.yaml\n"


@pytest.mark.parametrize(
    ("env", "painted"),
    [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)],
)
def test_colours_only_where_they_are_wanted(
    scalable, tmp_path: Path, env: dict[str, str], painted: bool
) -> None:
    """A pipe has none, FORCE_COLOR gives them, NO_COLOR takes them."""
    (tmp_path / "scalable.yaml").write_text(WRONG)

    assert ("\x1b[" in scalable("validate", **env).stdout) is painted


def test_an_ascii_stream_is_no_reason_to_fail(scalable, tmp_path: Path) -> None:
    """A manifest's own letters are replaced where the stream has none of them."""
    (tmp_path / "scalable.yaml").write_text(WRONG.replace("study", "étude: 日本"))

    done = scalable("validate", PYTHONUTF8="0", PYTHONIOENCODING="ascii", LC_ALL="C")

    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "E0" in done.stdout


def test_a_narrow_terminal_is_kept(scalable, tmp_path: Path) -> None:
    """With 60 columns no line is wider, save words that are wider themselves."""
    (tmp_path / "scalable.yaml").write_text(WRONG)

    done = scalable("validate", COLUMNS="60")

    assert max(map(len, done.stdout.splitlines())) <= 60
