"""A run's records in the project's storage: the files of its folder, tables in pieces.

    .runs/<run>/run.json                   documents, whole
    .runs/<run>/heartbeat.json             when the run was last heard of
    .runs/<run>/tasks.jsonl/000000262401   a table, or a log, from that byte on, up to the next piece

The last piece of a table is put again as the table grows, until it is long enough: what is sent at a time is
bounded, and so is the number of objects.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from scalable_core.errors import UsageError
from scalable_core.records.folder import HEARTBEAT

if TYPE_CHECKING:
    from scalable_core.types import Storage

#: What stands before the keys of all records.
PREFIX = ".runs/"
#: Bytes after which a piece of a table is left as it is, and at most so many more are put at once.
PIECE = 256 * 1024
_MOST = 4 * 1024 * 1024
#: Seconds between two signs of life.
_BEAT = 60.0

_RUN = re.compile(r"[A-Za-z0-9][\w-]*")
_DOCUMENT = re.compile(r"[A-Za-z0-9][\w-]*\.(json|yaml)")
_TABLE = re.compile(r"[A-Za-z0-9][\w-]*\.(jsonl|log)")


class SharedRecords:
    """Brings the records of one run to the project's storage, as far as they are not there.

    Args:
        folder: The run's folder, which somebody else writes.
        storage: The project's.
    """

    def __init__(self, folder: Path, storage: Storage) -> None:
        self._folder, self._storage = folder, storage
        self._sent: dict[str, tuple[int, int]] = {}
        self._pieces: dict[str, tuple[int, int]] = {}
        self._beat = float("-inf")

    def send(self) -> None:
        """Send what has changed; ``run.json`` last, so that a run that has ended is whole.

        Raises:
            StorageError: The storage cannot be written; the next call goes on from there.
        """
        if time.monotonic() - self._beat > _BEAT:
            self._put(HEARTBEAT, json.dumps({"time": time.time()}).encode())
            self._beat = time.monotonic()
        names = [entry.name for entry in os.scandir(self._folder) if entry.is_file()]
        for name in sorted(names, key=lambda name: (name == "run.json", name)):
            if _TABLE.fullmatch(name):
                self._send_table(name)
            elif _DOCUMENT.fullmatch(name):
                self._send_document(name)

    def _send_document(self, name: str) -> None:
        found = (self._folder / name).stat()
        state = found.st_mtime_ns, found.st_ino
        if self._sent.get(name) != state:
            self._put(name, (self._folder / name).read_bytes())
            self._sent[name] = state

    def _send_table(self, name: str) -> None:
        """Put the last piece again, and new ones after it."""
        with (self._folder / name).open("rb") as file:
            while True:
                start, length = self._pieces.get(name, (0, 0))
                if file.seek(0, os.SEEK_END) == start + length:
                    return
                file.seek(start)
                data = file.read(_MOST)
                self._put(f"{name}/{start:012d}", data)
                ended = start + len(data)
                self._pieces[name] = (ended, 0) if len(data) >= PIECE else (start, len(data))

    def _put(self, name: str, data: bytes) -> None:
        self._storage.put(f"{PREFIX}{self._folder.name}/{name}", data)


def shared_runs(storage: Storage) -> list[str]:
    """Return the ids of the runs whose records are in a storage, the latest last.

    Raises:
        StorageError: It cannot be read.
    """
    keys = (found.key.removeprefix(PREFIX) for found in storage.list(PREFIX))
    return sorted(name for name, _, rest in (key.partition("/") for key in keys)
                  if rest == "run.json" and _RUN.fullmatch(name))  # fmt: skip


def fetch_run(
    storage: Storage, run: str, runs: Path, *, only: Collection[str] | None = None
) -> Path:
    """Copy the records of a run into a folder of runs, over an earlier copy, and return the run's folder.

    Args:
        storage: The project's.
        run: The run's id, from `shared_runs`.
        runs: The folder that holds one folder for each run.
        only: Names of the files that are wanted; all when None.

    Raises:
        UsageError: It is not there.
        StorageError: It cannot be read.
    """
    documents: list[str] = []
    tables: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for found in storage.list(f"{PREFIX}{run}/"):
        name, _, piece = found.key.removeprefix(f"{PREFIX}{run}/").partition("/")
        if only is not None and name not in only:
            continue
        if not piece and _DOCUMENT.fullmatch(name):
            documents.append(name)
        elif piece.isdecimal() and _TABLE.fullmatch(name):
            tables[name].append((int(piece), found.key))
    if "run.json" not in documents or not _RUN.fullmatch(run):
        raise UsageError(f"{storage.uri} has no records of {run}", cure="scalable runs --shared")
    runs.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=".fetched-", dir=runs.parent))
    try:
        copy = aside / "copy"
        copy.mkdir()
        for name in documents:
            (copy / name).write_bytes(storage.get(f"{PREFIX}{run}/{name}"))
        for name, pieces in tables.items():
            with (copy / name).open("wb") as file:
                for start, key in sorted(pieces):
                    file.seek(start)
                    for data in storage.stream(key):
                        file.write(data)
        place = runs / run
        if place.exists():
            place.rename(aside / "earlier")
        copy.rename(place)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return place


def is_copy(folder: Path) -> bool:
    """Say whether the folder of a run came from the project's storage."""
    return (folder / HEARTBEAT).exists()
