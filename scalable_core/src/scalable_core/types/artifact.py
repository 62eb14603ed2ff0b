"""Artifacts: what a run leaves behind."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from scalable_core.types.run import Event

if TYPE_CHECKING:
    from scalable_core.types.context import EventSink

#: The kind of the events by which a transfer says how far it is; no run keeps them.
PROGRESS = "artifact.progress"


@frozen(kw_only=True)
class Artifact:
    """Something to store, already in the form in which it is kept.

    Attributes:
        name: Path under the run's prefix, such as ``results/scenario_42.json``.
        data: The bytes, or the path of a file that holds them.
        media_type: Such as ``application/json``.
        run: Who made it.
        task: The task that made it; None for the driver.
        component: The component it ran on.
        overwrite: Take the place of what has the name already; otherwise that is an error.
    """

    name: str
    data: bytes | Path
    media_type: str = "application/octet-stream"
    run: str
    task: str | None = None
    component: str | None = None
    overwrite: bool = False


@frozen(kw_only=True)
class ArtifactRef:
    """Where an artifact is, what it is, and who made it.

    Attributes:
        uri: ``s3://...``, ``gs://...`` or ``file:///...``; that of a folder ends with a slash.
        digest: ``sha256:`` and 64 hex digits of the bytes; for a folder of the list of its files.
        size: Bytes.
        media_type: Such as ``application/json``.
        run: The run that made it.
        task: The task that made it; None for the driver.
        component: The component it ran on.
        created: ISO time.
        provider: The plugin that stored it.
        name: Path under the run's prefix. The core fills it in.
    """

    uri: str
    digest: str
    size: int
    media_type: str
    run: str
    task: str | None = None
    component: str | None = None
    created: str
    provider: str
    name: str = ""


class TransferProgress:
    """Says how far a transfer is, a few times a second, to whoever listens. Safe from any thread.

    The events have the kind `PROGRESS` and ``data`` with ``uri``, ``done`` and ``total``, in bytes. A transfer
    that is over soon says nothing.

    Args:
        events: Where to say it.
        uri: What is transferred.
        total: Bytes of all of it.
    """

    #: Seconds between two events.
    PAUSE = 0.25

    def __init__(self, events: EventSink, uri: str, total: int) -> None:
        self._events, self._uri, self._total = events, uri, total
        self._lock = threading.Lock()
        self._done, self._said = 0, time.monotonic()

    def add(self, count: int) -> None:
        """Note that ``count`` more bytes have arrived."""
        with self._lock:
            self._done += count
            now = time.monotonic()
            if now < self._said + self.PAUSE:
                return
            self._said = now
            data = {"uri": self._uri, "done": self._done, "total": self._total}
        self._events.emit(Event(time=time.time(), kind=PROGRESS, data=data))
