"""Digests of files are remembered only while they are surely right."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

from scalable_core.cache import FileDigests


def settle(path: Path, seconds: float = 2.2) -> None:
    """Wait until a file is old enough for its digest to be remembered."""
    time.sleep(max(0.0, path.stat().st_ctime + seconds - time.time()))


def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count how often a file is read."""
    count: list[int] = []
    real = hashlib.file_digest

    def counted(file: object, name: str) -> object:
        count.append(1)
        return real(file, name)  # type: ignore[arg-type]

    monkeypatch.setattr(hashlib, "file_digest", counted)
    return count


def test_a_settled_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second question is answered from memory."""
    path = tmp_path / "file"
    path.write_bytes(b"some bytes")
    settle(path)
    count, digests = reads(monkeypatch), FileDigests()

    assert digests.digest(path) == digests.digest(path) == hashlib.sha256(b"some bytes").hexdigest()
    assert len(count) == 1


def test_a_fresh_file_is_read_each_time(tmp_path: Path) -> None:
    """Within one tick of the clock a file can change without its time showing it."""
    path, digests = tmp_path / "file", FileDigests()
    for text in ("aaaa", "bbbb", "cccc") * 20:
        path.write_text(text)
        now = time.time_ns()
        os.utime(path, ns=(now, now))
        assert digests.digest(path) == hashlib.sha256(text.encode()).hexdigest()


def test_a_time_that_is_set_back_deceives_nobody(tmp_path: Path) -> None:
    """Same size and same modification time, as after ``cp -p``, is still another file."""
    path, digests = tmp_path / "file", FileDigests()
    path.write_text("before")
    settle(path)
    digests.digest(path)
    found = path.stat()
    path.write_text("after!")
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))

    assert path.stat().st_mtime_ns == found.st_mtime_ns
    assert digests.digest(path) == hashlib.sha256(b"after!").hexdigest()


def test_large_files_are_remembered_between_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next process need not read them again; a damaged line is passed over."""
    path, memory = tmp_path / "file", tmp_path / "memory" / "files.jsonl"
    path.write_bytes(b"x" * (1 << 20))
    settle(path)
    first = FileDigests(memory).digest(path)
    with memory.open("a") as file:
        file.write("[1, 2\n[]\nnull\n\x00\n")
    count = reads(monkeypatch)

    assert FileDigests(memory).digest(path) == first
    assert count == []


def test_nothing_there_is_none(tmp_path: Path) -> None:
    """A path without a file has no digest."""
    assert FileDigests().digest(tmp_path / "nothing") is None
    (tmp_path / "file").touch()
    assert FileDigests().digest(tmp_path / "file" / "below") is None
