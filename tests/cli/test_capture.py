"""A captured stream hands over whole lines, whoever writes them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from scalable_core.cli.capture import Capture


class Captured:
    """A stream on a terminal of its own, captured."""

    def __init__(self) -> None:
        self.master, self.slave = os.openpty()
        self.python: TextIO = os.fdopen(self.slave, "w", encoding="utf-8", closefd=False)
        self.lines: list[str] = []
        self.capture = Capture(self.python, self.lines.append)


@pytest.fixture
def captured() -> Iterator[Captured]:
    """A captured terminal; it is given back at the end."""
    captured = Captured()
    yield captured
    captured.capture.stop()
    captured.python.close()
    os.close(captured.slave)
    os.close(captured.master)


def test_lines_of_python_are_handed_over_whole(captured: Captured) -> None:
    """Pieces of a line come together at its end."""
    stream = captured.capture.stream

    print("a", "b", file=stream)
    print("c", end="", file=stream, flush=True)
    assert captured.lines == ["a b"]
    print("d", file=stream)
    assert captured.lines == ["a b", "cd"]


def test_bytes_are_lines_too(captured: Captured) -> None:
    """Programs that write to the buffer of stdout are not lost."""
    captured.capture.stream.buffer.write("é\n".encode())
    captured.capture.stream.flush()

    assert captured.lines == ["é"]


def test_a_line_that_is_written_again_is_its_last_state(captured: Captured) -> None:
    """A progress line of others does not become a hundred lines."""
    for percent in range(100):
        print(f"\r{percent}% ", end="", file=captured.capture.stream, flush=True)
    print(file=captured.capture.stream)

    assert captured.lines == ["99% "]


def test_a_question_is_seen_before_it_is_answered(captured: Captured) -> None:
    """What is flushed and ends with a space waits for an answer."""
    print("Your name? ", end="", file=captured.capture.stream, flush=True)

    assert captured.lines == ["Your name? "]


def test_the_stream_says_that_it_is_a_terminal(captured: Captured) -> None:
    """Libraries that ask go on writing colours."""
    assert captured.capture.stream.isatty()
    assert captured.capture.terminal.isatty()
    assert captured.capture.stream.encoding == "utf-8"


def test_other_programs_are_captured(captured: Captured) -> None:
    """A program that inherits the descriptor writes into the pipe; its rest comes at the end."""
    subprocess.run(["sh", "-c", "echo one; printf two"], stdout=captured.slave, check=True)
    captured.capture.stop()

    assert captured.lines == ["one", "two"]


def test_the_last_line_needs_no_end(captured: Captured) -> None:
    """What Python has written without an end of line comes when the capture stops."""
    print("rest", end="", file=captured.capture.stream)
    captured.capture.stop()

    assert captured.lines == ["rest"]


def test_after_the_end_the_terminal_is_written_to_again(captured: Captured) -> None:
    """What follows a run goes where it went before."""
    captured.capture.stop()
    print("after", file=captured.python, flush=True)

    assert os.read(captured.master, 100) == b"after\r\n"
    assert captured.lines == []


def test_a_program_that_outlives_the_run_does_not_hold_it_up(
    captured: Captured, tmp_path: Path
) -> None:
    """A process in the background keeps the pipe; the end does not wait for it."""
    process = subprocess.Popen(["sleep", "60"], stdout=captured.slave)
    try:
        captured.capture.stop()
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
