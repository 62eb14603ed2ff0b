"""Follows a run from anywhere: its folder on this machine, or its records in the project's storage."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from scalable_core.cluster import ledger
from scalable_core.records.folder import HEARTBEAT
from scalable_core.records.reading import read_record
from scalable_core.records.shared import PREFIX, fetch_run
from scalable_core.session.control import PROGRESS
from scalable_core.session.recorded import bare_record
from scalable_core.types import ClusterRecord, Event, Progress, RunRecord, Storage, from_data


class Tail(Protocol):
    """What a run has said until now.

    Attributes:
        run: The run's id.
        interval: Seconds after which another look makes sense.
    """

    run: str
    interval: float

    def record(self) -> RunRecord:
        """Return the run's record; one whose driver is gone is ``interrupted``."""

    def progress(self) -> Progress:
        """Return how far the run is, as it said last."""

    def read(self, name: str, start: int) -> bytes:
        """Return the bytes of a table or a log from a byte on."""


class FolderTail:
    """A run whose folder is written on this machine.

    Args:
        folder: The run's.
    """

    interval = 0.5

    def __init__(self, folder: Path) -> None:
        self.run, self.folder = folder.name, folder

    def record(self) -> RunRecord:
        """Return the run's record.

        Raises:
            UsageError: It is gone.
        """
        return read_record(self.folder)

    def progress(self) -> Progress:
        """Return how far the run is, as it said last."""
        return _progress(self.folder)

    def read(self, name: str, start: int) -> bytes:
        """Return the bytes of a file from a byte on; none when it is not there."""
        try:
            with (self.folder / name).open("rb") as file:
                file.seek(start)
                return file.read()
        except FileNotFoundError:
            return b""


class StoredTail:
    """A run whose records are in the project's storage.

    Args:
        storage: The project's.
        run: The run's id.
    """

    interval = 2.0

    def __init__(self, storage: Storage, run: str) -> None:
        self.run, self._storage = run, storage
        self._progress = Progress()

    def record(self) -> RunRecord:
        """Return the run's record, and take its progress along.

        Raises:
            UsageError: It is not there.
            StorageError: It cannot be read.
        """
        with tempfile.TemporaryDirectory() as name:
            wanted = {"run.json", HEARTBEAT, PROGRESS}
            folder = fetch_run(self._storage, self.run, Path(name) / "runs", only=wanted)
            self._progress = _progress(folder)
            return read_record(folder)

    def cluster(self) -> ClusterRecord:
        """Return what the driver has noted of the cluster; only whose it is when that is nothing."""
        kept = ledger.read_stored_record(self._storage, self.run)
        return kept or bare_record(self.record())

    def folder(self) -> Path:
        """Return a folder with what the run's records say of its members; it lasts as long as this object.

        Raises:
            UsageError: It is not there.
            StorageError: It cannot be read.
        """
        self._aside = tempfile.TemporaryDirectory(prefix="scalable-")
        wanted = {"run.json", HEARTBEAT, ledger.FILE}
        return fetch_run(self._storage, self.run, Path(self._aside.name) / "runs", only=wanted)

    def progress(self) -> Progress:
        """Return how far the run was when its record was read."""
        return self._progress

    def read(self, name: str, start: int) -> bytes:
        """Return the bytes of a table or a log from a byte on.

        Raises:
            StorageError: It cannot be read.
        """
        data = b""
        for found in self._storage.list(f"{PREFIX}{self.run}/{name}/"):
            first = int(found.key.rpartition("/")[2])
            if first + found.size > start:
                piece = self._storage.get(found.key)
                data += piece[max(0, start - first) :]
        return data


class LineReader:
    """Gives the lines of a run's file as they come, each once.

    Args:
        tail: Of the run.
        name: The file, such as ``events.jsonl``.
    """

    def __init__(self, tail: Tail, name: str) -> None:
        self._tail, self._name = tail, name
        self._place, self._rest = 0, b""

    def lines(self, *, last: bool = False) -> Iterator[str]:
        """Yield the lines that are new.

        Args:
            last: Nothing follows: what has no end of line is one too.
        """
        data = self._tail.read(self._name, self._place)
        self._place += len(data)
        *whole, self._rest = (self._rest + data).split(b"\n")
        if last and self._rest:
            whole, self._rest = [*whole, self._rest], b""
        for line in whole:
            yield line.decode("utf-8", "replace")


def read_events(reader: LineReader) -> Iterator[Event]:
    """Yield the events that are new; lines that are none are left out."""
    for line in reader.lines():
        try:
            yield from_data(json.loads(line), Event)
        except Exception:  # a torn line, or of another version; cattrs raises groups of its own
            continue


def _progress(folder: Path) -> Progress:
    try:
        return from_data(json.loads((folder / PROGRESS).read_bytes()), Progress)
    except Exception:
        return Progress()
