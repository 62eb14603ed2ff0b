"""The score of the conformance kit that a listing shows: of this version, and of this code."""

from __future__ import annotations

import importlib
import sys

import pytest

from scalable_core.plugins.scorecard import keep_score, read_score, scorecard

ROWS = [
    {"aspect": "loading", "check": f"test_{outcome}_{n}", "outcome": outcome, "sentence": ""}
    for outcome, count in {"passed": 3, "failed": 1, "skipped": 2, "not run": 4}.items()
    for n in range(count)
]
MODULE = "scalable_scored.plugin"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package that was checked, and whose score is kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = tmp_path / "scalable_scored"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "plugin.py").write_text("raise RuntimeError('nobody imports this')\n")
    importlib.invalidate_caches()
    keep_score(scorecard("scored", "scalable-scored", "1.0", ROWS), MODULE)
    return folder


def test_a_score_is_what_passed_of_what_was_run(package):
    """Neither what does not apply counts nor what would cost something; and nothing is imported to know it."""
    assert read_score("scalable-scored", "1.0", MODULE) == "3/4"
    assert "scalable_scored" not in sys.modules


def test_another_version_has_no_score(package):
    """It was not checked."""
    assert read_score("scalable-scored", "1.1", MODULE) is None


def test_code_that_has_changed_has_no_score(package):
    """As an author changes it under an editable install, whose version stays."""
    (package / "plugin.py").write_text("x = 1\n")

    assert read_score("scalable-scored", "1.0", MODULE) is None
