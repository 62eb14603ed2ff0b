"""The folder of one run: written whole or not at all, readable after any kill."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any

from attrs import evolve

from scalable_core.types import RUN_SCHEMA, Event, RunRecord, from_data, to_data


class RunFolder:
    """Writes ``run.json``, ``plan.json``, ``manifest.yaml`` and ``events.jsonl`` of one run.

    It is the run's `EventSink`: what the session and the provider report goes to ``events.jsonl``, one
    JSON object a line.

    Args:
        path: The folder; made if it is not there.
        record: The run as it starts.
    """

    def __init__(self, path: Path, record: RunRecord) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._record = record
        self._lock = threading.Lock()
        self._events = (path / "events.jsonl").open("a", encoding="utf-8")
        self._write_record()

    @property
    def record(self) -> RunRecord:
        """The run as last written."""
        return self._record

    def update(self, **changes: Any) -> RunRecord:
        """Change fields of the record and write ``run.json``."""
        with self._lock:
            self._record = evolve(self._record, **changes)
            self._write_record()
        return self._record

    def write_document(self, name: str, document: Any) -> None:
        """Write plain data as a JSON file beside the record."""
        _write_whole(self.path / name, json.dumps(document, indent=2) + "\n")

    def write_text(self, name: str, text: str) -> None:
        """Write a text file beside the record."""
        _write_whole(self.path / name, text)

    def emit(self, event: Event) -> None:
        """Append one event."""
        line = json.dumps(to_data(event), separators=(",", ":"))
        with self._lock:
            if not self._events.closed:
                self._events.write(line + "\n")
                self._events.flush()

    def close(self) -> None:
        """Close the files; may be called twice."""
        with self._lock:
            self._events.close()

    def _write_record(self) -> None:
        self.write_document("run.json", {"schema": RUN_SCHEMA, **to_data(self._record)})


def read_run(folder: Path) -> RunRecord:
    """Return the record of a run's folder.

    A run that says ``running`` although its process is gone from this host is given as ``interrupted``.

    Raises:
        OSError: The folder has no ``run.json``.
        ValueError: It is not a run of this format.
    """
    data = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    if data.pop("schema", None) != RUN_SCHEMA:
        raise ValueError(f"{folder / 'run.json'} is not a run of format {RUN_SCHEMA}")
    record = from_data(data, RunRecord)
    if (
        record.status == "running"
        and record.host == socket.gethostname()
        and not _alive(record.pid)
    ):
        return evolve(record, status="interrupted")
    return record


def now() -> str:
    """Return the time in UTC as ISO text, to the millisecond."""
    moment = time.time()
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment))
    return f"{whole}.{int(moment % 1 * 1000):03d}Z"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _write_whole(path: Path, text: str) -> None:
    """Write aside and rename, so that a reader finds the old text or the new one, never a part."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)
