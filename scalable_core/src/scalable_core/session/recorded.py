"""What is on record of a run: in its folder, in the project's storage, and in its ledger."""

from __future__ import annotations

import json
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from attrs import evolve

from scalable_core.cluster import ledger
from scalable_core.errors import ScalableError, UsageError
from scalable_core.records import RunFolder
from scalable_core.records.folder import HEARTBEAT
from scalable_core.records.reading import read_history, read_record
from scalable_core.records.shared import PREFIX, fetch_run
from scalable_core.session.order import DRIVER
from scalable_core.types import RUN_SCHEMA, ClusterRecord, RunRecord, Storage, from_data, to_data


def record_of(folder: Path) -> ClusterRecord:
    """Return what is known of the cluster of a run, from the run's folder.

    Raises:
        UsageError: It is not the folder of a run.
    """
    run = read_record(folder)
    driver = _driver(folder)
    none = evolve(driver, resources=()) if driver is not None else bare_record(run)
    record = _ledger(folder) or none
    more = driver.resources if driver is not None and run.ended is None else ()
    return evolve(record, resources=(*record.resources, *more))


def settle(folder: Path, storage: Storage | None = None, *, over: bool = False) -> None:
    """Write into the record of a run whose driver is gone that it is over; others are left as they are.

    Args:
        folder: The run's.
        storage: The project's, when the run's records are there too.
        over: The driver's own machine is gone, however late the run's last sign of life is.
    """
    try:
        there = stored_record(storage, folder.name) if storage is not None and over else None
        run = there or read_record(folder)
        if run.ended is not None or not (over or run.status == "interrupted"):
            return
        here = (folder / "run.json").exists()
        last = read_history(folder).ended if here and there is None else time.time()
        ended = datetime.fromtimestamp(last, UTC).isoformat(timespec="milliseconds")
        last_word = "its driver ended without a word" if run.pid else "its driver never began"
        error = run.error or last_word
        run = evolve(run, status="interrupted", ended=ended, error=error)
        if here:
            RunFolder(folder, run).close()
        if storage is not None:
            text = json.dumps({"schema": RUN_SCHEMA, **to_data(run)}).encode()
            storage.put(f"{PREFIX}{run.run}/run.json", folder / "run.json" if here else text)
    except (OSError, ScalableError):
        return  # it is not ours to write


def bare_record(run: RunRecord) -> ClusterRecord:
    """Return what a run's own record says of its cluster: nothing but whose it is."""
    return ClusterRecord(
        provider=run.provider,
        run=run.run,
        project=run.project,
        target=run.target,
        created=run.started,
    )


def _driver(folder: Path) -> ClusterRecord | None:
    """What a detached run's driver is, as the provider has said."""
    try:
        return from_data(json.loads((folder / DRIVER).read_bytes()), ClusterRecord)
    except Exception:  # there is none; cattrs raises groups of its own
        return None


def stored_record(storage: Storage, run: str) -> RunRecord | None:
    """Return the record of a run in the project's storage; None when it has none that can be read."""
    with tempfile.TemporaryDirectory() as name:
        try:
            only = {"run.json", HEARTBEAT}
            return read_record(fetch_run(storage, run, Path(name) / "runs", only=only))
        except UsageError:
            return None


def _ledger(folder: Path) -> ClusterRecord | None:
    try:
        return ledger.read_record(folder)
    except ValueError:
        return None
