"""Every kind of bad file gives sentences with a place and a code, never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

HOSTILE = Path(__file__).parent / "hostile.py"
HEAD = "version: 1\nproject: {name: study}\ntargets:\n  local: {provider: local}\n"

#: Bytes; then code, line, column and words of the one error.
FILES: dict[str, tuple[bytes | str, str, int | None, int | None, str]] = {
    "empty": (b"", "E0004", 1, 1, "empty"),
    "comments only": ("# nothing\n", "E0004", 1, 1, "empty"),
    "binary": (b"version: 1\n\x00\x01\x02", "E0003", 2, 1, "binary"),
    "gzip": (b"\x1f\x8b\x08\x00\x00", "E0003", 1, 4, "binary"),
    "not utf-8": ("version: 1\nproject: {name: é}\n".encode("latin-1"), "E0003", 2, 17, "UTF-8"),
    "utf-16": (HEAD.encode("utf-16"), "E0003", 1, 1, "UTF-16"),
    "control character": ("version: 1\na: \x07\n", "E0003", 2, 4, "U+0007"),
    "surrogate escape": (HEAD + 'tasks: {a: "\\ud800"}\n', "E0003", 5, 12, "character"),
    "escape beyond unicode": (HEAD + 'tasks: "\\UFFFFFFFF"\n', "E0005", 5, 1, "YAML"),
    "tab": ("version: 1\nproject:\n\tname: study\n", "E0005", 3, 1, "tab"),
    "duplicate key": (HEAD + "version: 1\n", "E0006", 5, 1, "second time, first on line 1"),
    "python tag": (HEAD + "tasks: !!python/object/apply:os.system [id]\n", "E0007", 5, 8, "tag"),
    "two documents": (HEAD + "---\nversion: 1\n", "E0010", 5, 1, "second document"),
    "old yaml": ("%YAML 1.1\n---\n" + HEAD, "E0005", 2, 1, "YAML 1.2"),
    "a list": ("- version\n", "E0101", 1, 1, "mapping"),
    "a text": ("hello\n", "E0101", 1, 1, "mapping"),
    "unclosed quote": ('version: 1\nproject: {name: "study}\n', "E0005", 2, 17, "never closed"),
    "unclosed brace": ("version: 1\nproject: {name: study\n", "E0005", 2, 10, "never closed"),
    "bad indentation": ("version: 1\nproject:\n  name: a\n mirror: true\n", "E0005", 4, 2, "line up"),
    "missing comma": ("version: 1\nproject: {name: 'a' mirror: 1}\n", "E0005", 2, 21, "comma"),
    "bare variable in braces": ("version: 1\nproject: {name: ${A}}\n", "E0005", 2, 17, "needs quotes"),
    "no colon": ("version: 1\nproject\n", "E0005", 2, 1, "key: value"),
    "colon in text": ("version: 1\nproject: a: b\n", "E0005", 2, 11, "':'"),
    "unknown alias": (HEAD + "tasks: *gone\n", "E0005", 5, 8, "&gone"),
    "number as key": (HEAD + "components: {1: {}}\n", "E0009", 5, 14, "quotes"),
    "null as key": (HEAD + "components: {~: {}}\n", "E0009", 5, 14, "quotes"),
    "mapping as key": (HEAD + "components: {{a: b}: {}}\n", "E0009", 5, 14, "mapping"),
    "alias bomb": (
        "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"{y}: &{y} [{', '.join([f'*{x}'] * 10)}]\n" for x, y in pairwise("abcdefghi")),
        "E0008", 5, 36, "values",
    ),
    "alias cycle": (HEAD + "tasks: &t {a: *t}\n", "E0008", 5, 15, "never end"),
    "deep through aliases": (
        "a: &a " + "[" * 20 + "]" * 20 + "\n" + "".join(
            f"{y}: &{y} {'[' * 20}*{x}{']' * 20}\n" for x, y in pairwise("abcdefghi")
        ),
        "E0008", 3, 27, "deep",
    ),
    "deep flow": ("a: " + "[" * 100_000, "E0008", 1, 53, "deep"),
    "deep mapping": ("{a: " * 50_000, "E0008", 1, 201, "deep"),
    "deep block": ("".join(" " * i + "a:\n" for i in range(1000)), "E0008", 51, 51, "deep"),
    "deep list": ("- " * 100_000, "E0008", 1, 101, "deep"),
    "endless comment after a block mark": ("a: | #" + "c" * 900_000 + "\n", "E0005", 1, 4, "long"),
    "too many values": ("a: [" + "b," * 400_000, "E0008", 1, None, "values"),
}  # fmt: skip


def read_apart(path: Path) -> dict[str, Any]:
    """Read a file in a process that may use 300 MB."""
    done = subprocess.run(
        [sys.executable, HOSTILE, path], capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", FILES)
def test_bad_file_gives_one_sentence_with_its_place(name: str, tmp_path: Path) -> None:
    """One error, with code, line, column and the file's name, exit code 2, within 300 MB."""
    data, code, line, column, words = FILES[name]
    path = tmp_path / "scalable.yaml"
    path.write_bytes(data.encode() if isinstance(data, str) else data)

    answer = read_apart(path)

    first = next(found for found in answer["problems"] if found[0] == code)
    assert answer["exit"] == 2
    assert line == first[1]
    assert column in (None, first[2])
    assert words in first[3]
    assert "scalable.yaml" in first[3]
    assert "\n" not in first[3]
    assert sum(found[4] == "error" and found[0] != "E0202" for found in answer["problems"]) == 1 or name in (
        "number as key", "null as key", "python tag",
    )  # fmt: skip


def test_huge_file_is_refused_unread(tmp_path: Path) -> None:
    """100 MB are refused by their size, which the sentence tells together with the limit."""
    path = tmp_path / "scalable.yaml"
    with path.open("wb") as file:
        file.truncate(100 * 1024 * 1024)

    (found,) = read_apart(path)["problems"]

    assert found[0] == "E0002"
    assert "100.0 MB" in found[3]
    assert "1 MB" in found[3]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.mkdir(), "folder"),
        (lambda path: os.mkfifo(path), "regular file"),
    ],
)
def test_what_is_no_file_gives_a_sentence(
    make: Callable[[Path], None], words: str, tmp_path: Path
) -> None:
    """A missing file, a folder and a pipe are named as such; nothing waits."""
    path = tmp_path / "scalable.yaml"
    make(path)

    (found,) = read_apart(path)["problems"]

    assert found[0] == "E0001"
    assert words in found[3]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable_file_gives_a_sentence(tmp_path: Path) -> None:
    """A file without read permission says so."""
    path = tmp_path / "scalable.yaml"
    path.write_text(HEAD)
    path.chmod(0)

    (found,) = read_apart(path)["problems"]

    assert found[0] == "E0001"
    assert "Permission denied" in found[3]
