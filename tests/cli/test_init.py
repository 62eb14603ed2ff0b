"""`scalable init` writes a project that runs as it is."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest


def test_the_new_project_validates_and_runs(scalable, tmp_path: Path) -> None:
    """init, validate, run: no question, no further package, and a table that means something."""
    done = scalable("init", "my-study")
    assert done.returncode == 0
    assert done.stderr == "Next: cd my-study && scalable run\n"
    folder = tmp_path / "my-study"
    assert sorted(path.name for path in folder.iterdir()) == [
        ".gitignore", "scalable.yaml", "workflow.py",
    ]  # fmt: skip

    assert scalable("validate", cwd=folder).stdout.startswith("no problems in scalable.yaml")

    done = scalable("run", cwd=folder)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()[2:]]
    assert len(rows) == 6
    assert all(len(row) == 6 for row in rows)
    shares = [[float(cell.rstrip("%")) for cell in row[1:]] for row in rows]
    assert all(left >= right for row in shares for left, right in itertools.pairwise(row))
    assert shares[-1][0] > 99
    assert done.stderr.splitlines()[-1].startswith("30 tasks done, 0 failed")


def test_the_project_is_named_after_its_folder(scalable, tmp_path: Path) -> None:
    """Whatever the folder is called, the name fits the manifest."""
    folder = tmp_path / "Meine Studie_2 (neu)"
    folder.mkdir()

    assert scalable("init", cwd=folder).stderr == "Next: scalable run\n"
    assert "  name: meine-studie-2-neu\n" in (folder / "scalable.yaml").read_text()
    assert scalable("validate", cwd=folder).returncode == 0


@pytest.mark.parametrize("name", ["scalable.yaml", "workflow.py"])
def test_nothing_is_overwritten(name: str, scalable, tmp_path: Path) -> None:
    """A file that is there stops the command, is named, and nothing at all is written."""
    (tmp_path / name).write_text("mine")

    done = scalable("init")

    assert done.returncode == 2
    assert f"error: {name} exists already; nothing was written" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_a_gitignore_that_is_there_is_kept(scalable, tmp_path: Path) -> None:
    """Most repositories have one; the user is told what to add."""
    (tmp_path / ".gitignore").write_text("mine\n")

    done = scalable("init")

    assert done.returncode == 0
    assert (tmp_path / ".gitignore").read_text() == "mine\n"
    assert "kept  .gitignore     it was there; let it ignore .scalable/" in done.stdout
    assert (tmp_path / "workflow.py").exists()


def test_records_of_runs_stay_out_of_git(scalable, tmp_path: Path) -> None:
    """The .gitignore has the folder of the runs and the file of secrets."""
    scalable("init")

    ignored = (tmp_path / ".gitignore").read_text().splitlines()
    assert {".scalable/", ".env"} <= set(ignored)


def test_a_folder_that_cannot_be_made_is_a_sentence(scalable, tmp_path: Path) -> None:
    """A file in the way is said, exit code 2."""
    (tmp_path / "study").write_text("")

    done = scalable("init", "study")

    assert done.returncode == 2
    assert "error: study cannot be written:" in done.stderr
