"""What a driver is told: which run, of which workflow, with what. Both sides of a detached run meet here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from scalable_core.errors import StorageError, UsageError
from scalable_core.types import ResolvedImage, Stores, from_data, to_data

if TYPE_CHECKING:
    from scalable_core.types import Storage

#: The order as the run's records have it.
FILE = "order.json"
#: In a run's folder: what `start_driver` answered.
DRIVER = "driver.json"
#: What a driver writes beside its records: the workflow's own words too.
LOG = "driver.log"
SCHEMA = "scalable.order/1"


@frozen(kw_only=True)
class Order:
    """One run for a driver. Paths are relative to the project's folder, which is the manifest's.

    Attributes:
        run: The run's id.
        digest: SHA-256 of the parcel in hex.
        key: Of the parcel in the place where the order is.
        manifest: The manifest's name.
        workflow: The file to run.
        folder: The folder to run it in.
        target: The target's name.
        overlays: Overlays to merge in.
        arguments: What the workflow is given.
        budget: USD at which the run is stopped; None for no limit.
        resumed: The run that this one goes on with.
        lock: Of the manifest as it was read; the driver must read the same.
        stores: Where this machine keeps things, for a driver on it; None for a driver elsewhere.
        copy: Where the run's records are copied to while it lasts; None when they are not.
        versions: Of what both sides must agree in, by name.
        images: By component, as they were found before the run was handed over: its driver takes the same, and
            need not be allowed to ask for them.
    """

    run: str
    digest: str
    key: str
    manifest: str
    workflow: str
    folder: str = "."
    target: str
    overlays: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    budget: float | None = None
    resumed: str | None = None
    lock: str
    stores: Stores | None = None
    copy: str | None = None
    versions: Mapping[str, str] = {}
    images: Mapping[str, ResolvedImage] = {}


def order_key(run: str) -> str:
    """Return the name of a run's order in a project's storage."""
    return f".bundles/{run}.json"


def order_document(order: Order) -> dict[str, object]:
    """Return an order as plain data."""
    return {"schema": SCHEMA, **to_data(order)}


def put_order(storage: Storage, order: Order) -> None:
    """Write an order where its driver finds it.

    Raises:
        StorageError: It cannot be written.
    """
    storage.put(order_key(order.run), json.dumps(order_document(order)).encode())


def get_order(storage: Storage, run: str) -> Order:
    """Read the order of a run.

    Raises:
        UsageError: It is not there, or of another version.
        StorageError: It cannot be read.
    """
    try:
        return _read(storage.get(order_key(run)))
    except FileNotFoundError:
        raise UsageError(f"{storage.uri} has no order for {run}") from None


def read_order(folder: Path) -> Order | None:
    """Return the order that a run's folder has; None for a run that was not detached."""
    try:
        return _read((folder / FILE).read_bytes())
    except (OSError, UsageError):
        return None


def _read(text: bytes) -> Order:
    try:
        data = json.loads(text)
        if data.pop("schema") != SCHEMA:
            raise ValueError
        return from_data(data, Order)
    except StorageError:
        raise
    except Exception:
        raise UsageError(
            "the order of the run is damaged, or of another version", cure="start the run again"
        ) from None
