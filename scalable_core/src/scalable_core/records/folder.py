"""The folder of one run: written whole or not at all, readable after any kill."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from attrs import evolve

from scalable_core.types import RUN_SCHEMA, Event, RunRecord, from_data, to_data

#: In a copy of a run's records: when the run was last heard of.
HEARTBEAT = "heartbeat.json"
#: Seconds of silence after which a run on another machine is taken to be over.
_SILENCE = 300.0


class RunFolder:
    """Writes ``run.json``, whole documents beside it, and tables such as ``tasks.jsonl``, of one run.

    Tables are append-only, one JSON object a line; a kill tears at most the last line. The folder is the
    run's `EventSink`: what the session and the provider report goes to ``events.jsonl``.

    Args:
        path: The folder; made if it is not there.
        record: The run as it starts.
    """

    def __init__(self, path: Path, record: RunRecord) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._record = record
        self._lock = threading.Lock()
        self._tables: dict[str, TextIO] = {}
        self._closed = False
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
        self.append("events", [to_data(event)])

    def append(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Append rows of plain data to a table; after `close` they are forgotten.

        Args:
            table: Such as ``tasks``; the file is ``tasks.jsonl``.
            rows: In the order in which they happened.
        """
        lines = "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)
        with self._lock:
            if self._closed or not lines:
                return
            if table not in self._tables:
                self._tables[table] = (self.path / f"{table}.jsonl").open("a", encoding="utf-8")
            self._tables[table].write(lines)
            self._tables[table].flush()

    def close(self) -> None:
        """Close the files; may be called twice."""
        with self._lock:
            self._closed = True
            for file in self._tables.values():
                file.close()

    def _write_record(self) -> None:
        self.write_document("run.json", {"schema": RUN_SCHEMA, **to_data(self._record)})


def read_run(folder: Path) -> RunRecord:
    """Return the record of a run's folder.

    A run that says ``running`` is given as ``interrupted`` when its process is gone from this host, or when it
    is a copy of a run on another host that has not been heard of for five minutes.

    Raises:
        OSError: The folder has no ``run.json``.
        ValueError: It is not a run of this format.
    """
    data = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    if data.pop("schema", None) != RUN_SCHEMA:
        raise ValueError(f"{folder / 'run.json'} is not a run of format {RUN_SCHEMA}")
    record = from_data(data, RunRecord)
    if record.status == "running":
        here = record.host == socket.gethostname()
        if not _alive(record.pid) if here else _is_silent(folder):
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
    try:  # one that has ended and that nobody has asked about is no longer alive; Linux alone says so here
        state = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return True
    return state != "Z"


def _is_silent(folder: Path) -> bool:
    try:
        heard = json.loads((folder / HEARTBEAT).read_bytes())["time"]
        return time.time() - float(heard) > _SILENCE
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _write_whole(path: Path, text: str) -> None:
    """Write aside and rename, so that a reader finds the old text or the new one, never a part."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)
