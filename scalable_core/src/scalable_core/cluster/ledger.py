"""The write-ahead ledger of a run: what is about to be created is on record before the call that creates it.

A line of ``ledger.jsonl`` in the run's folder, forced to disk, is one of

    {"what": "intend", "kind": ..., "id": ..., ...}         about to be created; found by this id, name or tag
    {"what": "made",   "kind": ..., "id": ..., "as": ...}   the service's own id, once its answer tells
    {"what": "gone",   "kind": ..., "id": ...}              the service has confirmed that it is gone

Where the project keeps things in a place that other machines see, each append is an object there too, below
``runs/<run>/ledger/``, before the call. So the folder, or the place, is enough to find and remove everything.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import evolve, field, frozen

from scalable_core.errors import ClusterError, StorageError
from scalable_core.types import ClusterRecord, Resource, Storage, from_data, to_data

FILE = "ledger.jsonl"
RECORD = "cluster.json"
RECORD_SCHEMA = "scalable.cluster/1"


@frozen(kw_only=True)
class Entry:
    """One thing in the ledger.

    Attributes:
        resource: Kind, id under which it will be found, region, run, USD an hour.
        made: The service's own id, where it differs and is known.
        time: When it was about to be created, in seconds since 1970.
    """

    resource: Resource
    made: str | None = None
    time: float = 0.0


class Ledger:
    """Appends to the ledger of one run. Safe from any thread.

    Args:
        folder: The run's folder; made if it is not there.
        run: The run's id.
        storage: Where else each append goes; None for the disk alone.
    """

    def __init__(self, folder: Path, run: str, storage: Storage | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.run = folder, run
        self._storage = storage
        self._lock = threading.Lock()
        self._count = 0
        self._open: dict[tuple[str, str], Entry] = {}
        _end_last_line(folder / FILE)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """What was intended and is not known to be gone, oldest first."""
        with self._lock:
            return tuple(self._open.values())

    async def intend(self, resources: Sequence[Resource]) -> None:
        """Put on record what is about to be created. When this returns, it is safe to create it.

        Raises:
            ClusterError: It cannot be written; nothing may be created then.
        """
        now = time.time()
        lines = [{"what": "intend", "time": now, **_plain(each)} for each in resources]
        await asyncio.to_thread(self._append, lines)
        with self._lock:
            for each in resources:
                self._open[each.kind, each.id] = Entry(resource=each, time=now)

    async def made(self, kind: str, ids: Mapping[str, str]) -> None:
        """Add the service's own ids of things that were intended under other ones."""
        lines = [{"what": "made", "kind": kind, "id": name, "as": own} for name, own in ids.items()]
        await asyncio.to_thread(self._append, lines)
        with self._lock:
            for name, own in ids.items():
                if entry := self._open.get((kind, name)):
                    self._open[kind, name] = evolve(entry, made=own)

    async def gone(self, kind: str, ids: Iterable[str]) -> None:
        """Say that the service has confirmed the end of things; what is not in the ledger is left out."""
        with self._lock:
            known = [each for each in ids if (kind, each) in self._open]
        lines = [{"what": "gone", "time": time.time(), "kind": kind, "id": each} for each in known]
        await asyncio.to_thread(self._append, lines)
        with self._lock:
            for each in known:
                self._open.pop((kind, each), None)

    def write_record(self, record: ClusterRecord) -> None:
        """Keep what `release_cluster` needs beside the ledger, before anything is created.

        Raises:
            ClusterError: It cannot be written.
        """
        data = {"schema": RECORD_SCHEMA, **to_data(record)}
        text = json.dumps(data, indent=2).encode() + b"\n"
        try:
            _write_whole(self.folder / RECORD, text)
            if self._storage is not None:
                self._storage.put(f".runs/{self.run}/{RECORD}", text)
        except (OSError, StorageError) as error:
            raise _not_kept(self.folder, error) from error

    def _append(self, lines: Sequence[Mapping[str, Any]]) -> None:
        if not lines:
            return
        text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines).encode()
        with self._lock:
            self._count += 1
            key = f".runs/{self.run}/ledger/{self._count:06d}-{uuid.uuid4().hex[:8]}.jsonl"
            try:
                _append_forced(self.folder / FILE, text)
                if self._storage is not None:
                    self._storage.put_if_absent(key, text)
            except (OSError, StorageError) as error:
                raise _not_kept(self.folder, error) from error


def read_ledger(folder: Path) -> tuple[Entry, ...]:
    """Return what the ledger in a run's folder has that is not known to be gone; empty without a ledger."""
    try:
        text = (folder / FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ()
    return _replay(text.splitlines())


def read_stored_ledger(storage: Storage, run: str) -> tuple[Entry, ...]:
    """Return the same from the project's own storage, on whatever machine."""
    lines: list[str] = []
    for item in storage.list(f".runs/{run}/ledger/"):
        lines += storage.get(item.key).decode().splitlines()
    return _replay(lines)


def read_record(folder: Path) -> ClusterRecord | None:
    """Return the record of a run's cluster, with all that its ledger has; None when it has had none.

    Raises:
        ValueError: The file is not such a record.
    """
    try:
        data = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return _record(data, read_ledger(folder))


def read_stored_record(storage: Storage, run: str) -> ClusterRecord | None:
    """Return the same from the project's own storage.

    Raises:
        ValueError: The object is not such a record.
    """
    try:
        data = json.loads(storage.get(f".runs/{run}/{RECORD}"))
    except FileNotFoundError:
        return None
    return _record(data, read_stored_ledger(storage, run))


def close_entries(
    folder: Path, run: str, storage: Storage | None, left: Iterable[Resource]
) -> None:
    """Say that all is gone but what is left, wherever the ledger of a run is; for who ends another's run.

    Args:
        folder: The run's folder, where it is on this machine.
        run: The run's id.
        storage: The project's storage, if it has one.
        left: What the service still shows.
    """
    there = {(each.kind, each.id) for each in left}
    kept = [read_ledger(folder)] + ([read_stored_ledger(storage, run)] if storage else [])
    gone = {
        (entry.resource.kind, entry.resource.id)
        for entries in kept
        for entry in entries
        if not {(entry.resource.kind, each) for each in (entry.resource.id, entry.made)} & there
    }
    now = time.time()
    lines = [{"what": "gone", "time": now, "kind": kind, "id": name} for kind, name in sorted(gone)]
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines).encode()
    if text and (folder / FILE).exists():
        _end_last_line(folder / FILE)
        _append_forced(folder / FILE, text)
    if text and storage is not None:
        storage.put_if_absent(f".runs/{run}/ledger/999999-{uuid.uuid4().hex[:8]}.jsonl", text)


@frozen(kw_only=True)
class Reconciliation:
    """What is to be done about a run whose process is gone.

    Attributes:
        delete: What is there and belongs to the run.
        gone: Entries that nothing was found of; they may be said to be gone once the service has had time to
            show what was created last (it may take seconds).
        unrecorded: Those of ``delete`` that the ledger does not know: never to be empty-handed about them.
    """

    delete: tuple[Resource, ...] = ()
    gone: tuple[Resource, ...] = field(default=())
    unrecorded: tuple[Resource, ...] = ()


def reconcile(entries: Iterable[Entry], found: Iterable[Resource]) -> Reconciliation:
    """Compare a ledger with what the service shows under the run's tags.

    Args:
        entries: Of one run, not known to be gone.
        found: Under the run's tags, each with the id that the ledger would have, or the service's own.
    """
    known = {}
    for entry in entries:
        for each in {entry.resource.id, entry.made or entry.resource.id}:
            known[entry.resource.kind, each] = entry.resource
    there = list(found)
    seen = {(each.kind, each.id) for each in there}
    met = {id(known[key]) for key in seen if key in known}
    gone = {id(each): each for each in known.values() if id(each) not in met}
    return Reconciliation(
        delete=tuple(there),
        gone=tuple(gone.values()),
        unrecorded=tuple(each for each in there if (each.kind, each.id) not in known),
    )


def _replay(lines: Iterable[str]) -> tuple[Entry, ...]:
    entries: dict[tuple[str, str], Entry] = {}
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue  # torn by a kill: what it would have announced was not created
        key = (row["kind"], row["id"])
        if row["what"] == "intend":
            names = ("kind", "id", "region", "run", "hourly")
            resource = Resource(**{name: row.get(name) for name in names})
            entries[key] = Entry(resource=resource, time=row.get("time", 0.0))
        elif row["what"] == "made" and key in entries:
            entries[key] = evolve(entries[key], made=row["as"])
        elif row["what"] == "gone":
            entries.pop(key, None)
    return tuple(entries.values())


def _record(data: dict[str, Any], entries: Iterable[Entry]) -> ClusterRecord:
    if data.pop("schema", None) != RECORD_SCHEMA:
        raise ValueError(f"this is not a record of format {RECORD_SCHEMA}")
    record = from_data(data, ClusterRecord)
    # Under the service's own ids, where they are known: so does the service show them.
    found = (evolve(each.resource, id=each.made or each.resource.id) for each in entries)
    return evolve(record, resources=tuple(found))


def _plain(resource: Resource) -> dict[str, Any]:
    data: dict[str, Any] = to_data(resource)
    return data


def _end_last_line(path: Path) -> None:
    """Let what is appended begin a line of its own, should a kill have torn the last one."""
    if path.exists() and not path.read_bytes().endswith(b"\n"):
        _append_forced(path, b"\n")


def _append_forced(path: Path, data: bytes) -> None:
    """Append and force to disk, the folder too when the file is new."""
    new = not path.exists()
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, data)
        os.fsync(handle)
    finally:
        os.close(handle)
    if new:
        _force(path.parent)


def _write_whole(path: Path, data: bytes) -> None:
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.unlink(missing_ok=True)
    _append_forced(aside, data)
    aside.replace(path)
    _force(path.parent)


def _force(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _not_kept(folder: Path, error: Exception) -> ClusterError:
    return ClusterError(
        f"the ledger of the run in {folder} cannot be written, so nothing is created: {error}",
        cure="make room and permission there, or name another default_storage",
    )
