"""Takes over a stream that goes to the terminal, so that what others write there cannot break what is drawn.

Worker processes, and other programs that a workflow starts, inherit the file descriptors of this process and
write to them past Python. While a stream is captured they write into a pipe, and each line is handed over.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TextIO

#: A line without an end is given out in pieces of this size.
_LONGEST_LINE = 64 * 1024


class Capture:
    """One captured stream.

    Args:
        stream: Python's stream onto the terminal, such as ``sys.stdout``.
        take: Called in a thread with each line that others write.

    Attributes:
        terminal: A stream onto the terminal itself.
    """

    def __init__(self, stream: TextIO, take: Callable[[str], object]) -> None:
        stream.flush()
        self._stream, self._take = stream, take
        self._descriptor = stream.fileno()
        self._kept = os.dup(self._descriptor)
        self.terminal: TextIO = open(  # noqa: SIM115  it outlives this function
            self._kept,
            "w",
            buffering=1,
            encoding=stream.encoding,
            errors=stream.errors,
            closefd=False,
        )
        self._reading, writing = os.pipe()
        os.dup2(writing, self._descriptor)
        os.close(writing)
        self._reader = threading.Thread(target=self._read, name="scalable-capture", daemon=True)
        self._reader.start()

    def stop(self) -> None:
        """Give the stream back; what has been written before is handed over first."""
        self._stream.flush()
        self.terminal.flush()
        os.dup2(self._kept, self._descriptor)
        # A program that outlives the run may hold the pipe open: then the thread goes on reading.
        self._reader.join(timeout=1)

    def _read(self) -> None:
        rest = b""
        with open(self._reading, "rb", buffering=0) as pipe:
            while chunk := pipe.read(_LONGEST_LINE):
                *lines, rest = (rest + chunk).split(b"\n")
                if len(rest) >= _LONGEST_LINE:
                    lines, rest = [*lines, rest], b""
                for line in lines:
                    self._hand_over(line)
        if rest:
            self._hand_over(rest)

    def _hand_over(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").removesuffix("\r")
        self._take(text.rpartition("\r")[2])  # of what was written over again, the last
