"""An artifact's name decides its form and can never leave the run's prefix."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from scalable_core.artifacts import artifact_uri, to_artifact_bytes
from scalable_core.errors import ArtifactError


def test_the_suffix_decides_the_form(tmp_path: Path) -> None:
    """JSON, text, bytes, pickles and files each keep what they are."""
    file = tmp_path / "a.bin"
    file.write_bytes(b"x")

    data, media = to_artifact_bytes("r/a.json", {"a": [1, None]})
    assert (json.loads(data), media) == ({"a": [1, None]}, "application/json")  # type: ignore[arg-type]
    assert to_artifact_bytes("a.txt", "hä") == ("hä".encode(), "text/plain")
    assert to_artifact_bytes("a.bin", b"\0")[0] == b"\0"
    assert pickle.loads(to_artifact_bytes("a.pkl", {1})[0]) == {1}  # type: ignore[arg-type]
    assert to_artifact_bytes("b.bin", file)[0] == file


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("a.json", {1, 2}, "cannot be written as JSON"),
        ("a.json", float("nan"), "cannot be written as JSON"),
        ("a.csv", object(), "a object cannot be kept as .csv"),
        ("a", Path("/nowhere/at/all"), "there is no file"),
    ],
)
def test_what_does_not_fit_its_suffix_is_refused(name: str, value: object, says: str) -> None:
    """The sentence names the artifact."""
    with pytest.raises(ArtifactError, match=says):
        to_artifact_bytes(name, value)


@pytest.mark.parametrize(
    "name", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/.", "a\\b", "a\0b", "x" * 901]
)
def test_a_name_that_would_leave_the_run_is_refused(name: str) -> None:
    """Nothing is ever stored outside the run's own prefix."""
    with pytest.raises(ArtifactError):
        artifact_uri("s3://bucket/runs/", "run-1", name)


def test_an_artifact_lies_under_its_run() -> None:
    """Names with spaces and unicode are kept as they are."""
    assert artifact_uri("s3://b/runs/", "run-1", "é à/x.json") == "s3://b/runs/run-1/é à/x.json"
