"""Entries on their way from this machine to the shared place, sent in the background.

A mark on disk stands for each entry that has not arrived: what a killed process did not send, the next sends.
"""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from scalable_core.cache.disk import Disk, value_name

if TYPE_CHECKING:
    from scalable_core.cache.level import Level

_THREADS = 4


class Uploads:
    """Sends entries in the background.

    Args:
        disk: Where they are.
        remote: Where they go.
        fail: Hears of what could not be sent: key and error. It is tried again by the next process.
    """

    def __init__(self, disk: Disk, remote: Level, fail: Callable[[str, Exception], None]) -> None:
        self._disk = disk
        self._remote = remote
        self._fail = fail
        self._marks = disk.root / "unsent"
        self._waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._code: set[str] = set()
        self._open = 0
        self._changed = threading.Condition()
        self._threads = 0

    def add(self, key: str, *, replace: bool = False) -> None:
        """Send an entry, soon."""
        with suppress(OSError):  # without its mark it is sent all the same
            self._marks.mkdir(parents=True, exist_ok=True)
            (self._marks / key).write_text("replace" if replace else "")
        self._enqueue(key)

    def resume(self) -> int:
        """Send what earlier processes have not sent; return how many entries."""
        keys = [mark.name for mark in self._marks.glob("*")] if self._marks.is_dir() else []
        for key in keys:
            self._enqueue(key)
        return len(keys)

    def flush(self, timeout: float | None = None) -> bool:
        """Wait (s) until all is sent or has failed; False when time ran out."""
        end = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            return self._changed.wait_for(
                lambda: self._open == 0,
                None if end is None else max(0.0, end - time.monotonic()),
            )

    def _enqueue(self, key: str) -> None:
        with self._changed:
            self._open += 1
            start = self._threads < min(_THREADS, self._open)
            self._threads += start
        self._waiting.put(key)
        if start:
            threading.Thread(target=self._work, name="scalable-cache-upload", daemon=True).start()

    def _work(self) -> None:
        while True:
            key = self._waiting.get()
            try:
                self._send(key)
            except Exception as error:
                self._fail(key, error)
            with self._changed:
                self._open -= 1
                self._changed.notify_all()

    def _send(self, key: str) -> None:
        mark = self._marks / key
        metadata = self._disk.read(key)
        if metadata is not None:
            replace = mark.exists() and mark.read_text() == "replace"
            name = value_name(metadata)
            buffers = [memoryview(self._disk.read_value(name))] if name else []
            code = json.loads(metadata).get("code")
            shared = self._disk.read_code(code) if code and code not in self._code else None
            if shared is not None:
                self._remote.write_code(code, shared)
                self._code.add(code)
            self._remote.write(key, metadata, name, buffers, only_if_absent=not replace)
        mark.unlink(missing_ok=True)
