"""An artifact is stored under exactly its name, or refused with a reason; never outside of its run."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scalable_core.artifacts import artifact_uri, check_name, plain_place
from scalable_core.artifacts.transfer import store
from scalable_core.errors import ArtifactError
from scalable_core.plugins import PluginHost
from scalable_core.types import Artifact, HookContext

HOST = PluginHost()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "it is empty"),
        ("/etc/passwd", "it starts with a slash"),
        ("../x", "another meaning"),
        ("a/../../x", "another meaning"),
        ("a/.", "another meaning"),
        ("a//b", "a part between slashes is empty"),
        ("a/", "it ends with a slash"),
        ("a\\b", "a backslash"),
        ("a\0b", "a control character"),
        ("a\nb", "a control character"),
        ("\ud800", "half a character"),
        ("artifacts.json", "Scalable itself uses it"),
        ("a/" * 500 + "b", "1,001 bytes, and 900 is the most"),
        ("ü" * 200, "400 bytes, and 240 is the most"),
    ],
)
def test_a_name_that_cannot_be_kept_is_refused_with_the_reason(name: str, says: str) -> None:
    """Each reason is a sentence of its own."""
    with pytest.raises(ArtifactError, match=says):
        check_name(name)


def test_an_artifact_lies_under_its_run() -> None:
    """Names with blanks and letters of any language are kept as they are; a file URI becomes a path."""
    assert (
        artifact_uri("s3://b/runs/", "run-1", "é à/x#1?.json") == "s3://b/runs/run-1/é à/x#1?.json"
    )
    assert artifact_uri("file:///a%20b/", "run-1", "c d") == "/a b/run-1/c d"
    assert plain_place("file://elsewhere/a") == "file://elsewhere/a"


#: Names as people and programs could come up with them: path-like, hostile, of any letters, very long.
NAMES = st.one_of(
    st.text(max_size=40),
    st.text(alphabet="./\\ aé%#?*~:\0\n", max_size=30),
    st.lists(st.sampled_from(["..", ".", "", " ", "a", "ü", "~", "%2e%2e", "C:"]), max_size=6).map(
        "/".join
    ),
    st.text(alphabet="ab/é", min_size=900, max_size=1100),
)


@settings(max_examples=150, deadline=None)
@given(name=NAMES)
@example(name="x" * 1000)
@example(name="~root/x")
@example(name="file:///etc/passwd")
@example(name="%2e%2e/%2e%2e/x")
def test_a_stored_name_is_found_as_it_is_and_nothing_is_outside(name: str) -> None:
    """In a real folder: the bytes are under the very name, or there is a reason and nothing at all."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "storage"
        try:
            uri = artifact_uri(str(root), "run-1", name)
            ref = store(
                Artifact(name=name, data=b"bytes", run="run-1"),
                uri,
                host=HOST,
                context=HookContext(),
            )
        except ArtifactError:
            assert files_below(Path(folder)) == []
            return
        assert ref.name == name
        assert files_below(Path(folder)) == [f"storage/run-1/{name}"]
        assert (root / "run-1" / name).read_bytes() == b"bytes"


def files_below(folder: Path) -> list[str]:
    found = []
    for path, _, names in os.walk(folder):
        found += [os.path.join(path, name) for name in names]
    return [os.path.relpath(path, folder) for path in found]
