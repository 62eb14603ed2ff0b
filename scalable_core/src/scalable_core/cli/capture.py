"""Takes over a stream that goes to the terminal, so that nothing written there can break what is drawn.

Python code writes to `Capture.stream`. Worker processes, and other programs that a workflow starts, inherit the
file descriptors of this process and write past Python: they get a pipe. Either way each line is handed over.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable
from typing import Any, TextIO

#: A line without an end is given out in pieces of this size.
_LONGEST_LINE = 64 * 1024

Take = Callable[[str], object]


class Capture:
    """One captured stream.

    Args:
        stream: Python's stream onto the terminal, such as ``sys.stdout``.
        take: Called with each line, from any thread.

    Attributes:
        terminal: A stream onto the terminal itself.
        stream: What Python code may write to instead; it says that it is a terminal.
    """

    def __init__(self, stream: TextIO, take: Take) -> None:
        stream.flush()
        self._captured, self._descriptor = stream, stream.fileno()
        self._kept = os.dup(self._descriptor)
        how = {"encoding": stream.encoding, "errors": stream.errors}
        self.terminal: TextIO = open(self._kept, "w", closefd=False, **how)  # type: ignore[call-overload]  # noqa: SIM115
        self._lines = _Lines(take, stream.encoding)
        raw = _Raw(self._kept, self._lines)
        self.stream: TextIO = io.TextIOWrapper(
            io.BufferedWriter(raw), line_buffering=True, write_through=True, **how
        )
        reading, writing = os.pipe()
        os.dup2(writing, self._descriptor)
        os.close(writing)
        self._reader = threading.Thread(
            target=_read,
            args=(reading, _Lines(take, "utf-8")),
            name="scalable-capture",
            daemon=True,
        )
        self._reader.start()

    def stop(self) -> None:
        """Give the stream back; what has been written before is handed over first."""
        self._captured.flush()
        self.stream.flush()
        self._lines.end()
        os.dup2(self._kept, self._descriptor)
        # A program that outlives the run may hold the pipe open: then the thread goes on reading.
        self._reader.join(timeout=1)


class _Lines:
    """Cuts bytes into lines and hands them over."""

    def __init__(self, take: Take, encoding: str) -> None:
        self._take, self._encoding = take, encoding
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Hand over the lines that are complete."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._hand_over(line)
        if len(self._rest) >= _LONGEST_LINE:
            self.end()

    def end(self) -> None:
        """Hand over what has no end of line."""
        rest, self._rest = self._rest, b""
        if rest:
            self._hand_over(rest)

    @property
    def is_question(self) -> bool:
        """Whether what has no end of line looks like a question, which must be seen to be answered."""
        return self._rest.endswith(b" ") and b"\r" not in self._rest

    def _hand_over(self, line: bytes) -> None:
        text = line.decode(self._encoding, "replace").removesuffix("\r")
        self._take(text.rpartition("\r")[2])  # of what was written over again, the last


class _Raw(io.RawIOBase):
    """The bottom of a Python stream whose lines are handed over."""

    def __init__(self, descriptor: int, lines: _Lines) -> None:
        self._descriptor, self._lines = descriptor, lines

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def fileno(self) -> int:
        return self._descriptor

    def write(self, data: Any) -> int:
        """Hand over lines; called when a line is complete, and when the stream is flushed."""
        self._lines.feed(bytes(data))
        if self._lines.is_question:
            self._lines.end()
        return len(data)


def _read(descriptor: int, lines: _Lines) -> None:
    with open(descriptor, "rb", buffering=0) as pipe:
        while data := pipe.read(_LONGEST_LINE):
            lines.feed(data)
    lines.end()
