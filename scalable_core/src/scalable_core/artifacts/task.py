"""Storing from wherever a workflow's code runs: in the driver, or in a call on a worker.

A worker writes to the storage itself where it has the plugin of its scheme, and sees the same folder where it
is one; else it hands the bytes to the driver, piece by piece. In both ways the driver keeps the record.
Standard library only at import: a worker's image needs neither attrs nor plugins.
"""

from __future__ import annotations

import functools
import hashlib
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from scalable_core.artifacts.names import artifact_uri
from scalable_core.artifacts.value import Row, Send, store_value
from scalable_core.errors import ArtifactError, UsageError

if TYPE_CHECKING:
    from scalable_core.plugins import PluginHost
    from scalable_core.types import ArtifactRef

#: The name of the worker plugin that knows the place.
PLUGIN = "scalable-artifacts"
#: Bytes that a worker hands to the driver at once.
PIECE = 4 * 1024 * 1024
#: What stands before a component's name in the Dask resource of its workers.
_RESOURCE_PREFIX = "component:"

_drivers: list[Callable[..., Any]] = []


def store_artifact(name: str, value: Any, *, overwrite: bool = False) -> ArtifactRef:
    """Keep something of the run, from the workflow or from inside a call on a worker.

    Args:
        name: Relative path such as ``results/scenario_42.json``; the suffix decides the form.
        value: Bytes, text, an open file, the `Path` of a file or a folder; plain data for ``.json``, a pandas
            or pyarrow table for ``.csv`` and ``.parquet``, a numpy array for ``.npy``, a matplotlib figure for
            ``.png``, ``.svg`` and ``.pdf``; anything for ``.pkl``.
        overwrite: Take the place of what has the name already; otherwise that is an error. A call that is tried
            again may store the same bytes again.

    Returns:
        Where it is, what it is, and who made it.

    Raises:
        ArtifactError: The name or value does not fit, or the name exists already.
        UsageError: No run is going on here.
    """
    worker = _current_worker()
    if worker is not None:
        return as_reference(_store_in_call(worker, name, value, overwrite=overwrite))
    if len(_drivers) != 1:
        number = "no run is" if not _drivers else f"{len(_drivers)} runs are"
        raise UsageError(
            f"{name!r} cannot be stored: {number} going on in this process",
            cure="call session.store_artifact of the run's session, or call this inside a task",
        )
    return cast("ArtifactRef", _drivers[0](name, value, overwrite=overwrite))


def run_here(store: Callable[..., Any]) -> None:
    """Let `store_artifact` outside of calls mean the run that ``store`` stores for."""
    _drivers.append(store)


def run_over(store: Callable[..., Any]) -> None:
    """Forget a run, which may have been forgotten before."""
    if store in _drivers:
        _drivers.remove(store)


@dataclass(frozen=True, kw_only=True)
class Place:
    """What a worker must know to store artifacts of a run, as plain words that can travel.

    Attributes:
        storage: Folder or URI under which runs keep their artifacts.
        run: The run's id.
        project: The project's name.
        workdir: Folder of the manifest.
        mark: Tells the driver's folder from one of the same name elsewhere; see `folder_mark`.
    """

    storage: str
    run: str
    project: str
    workdir: str
    mark: tuple[str, int, int]


def folder_mark(folder: str) -> tuple[str, int, int]:
    """Return what is the same for two processes that see one folder under one name, and else is not.

    A folder that is not there yet is known by the nearest one above it that is.
    """
    path = Path(folder).absolute()
    while not path.exists():
        path = path.parent
    found = path.stat()
    return _machine(), found.st_dev, found.st_ino


def _machine() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return str(uuid.getnode())


def as_reference(row: Mapping[str, Any]) -> ArtifactRef:
    """Return a row as a reference; where there is no attrs, as something with the same attributes."""
    try:
        from scalable_core.types import ArtifactRef
    except ImportError:
        from types import SimpleNamespace

        return cast("ArtifactRef", SimpleNamespace(**row))
    return ArtifactRef(**row)


def _current_worker() -> Any:
    """Return the Dask worker that runs the call that this is in; None outside of calls."""
    import sys

    module = sys.modules.get("distributed.worker")
    if module is None:
        return None
    try:
        return module.get_worker()
    except ValueError:
        return None


def _store_in_call(worker: Any, name: str, value: Any, *, overwrite: bool) -> Row:
    plugin = worker.plugins.get(PLUGIN)
    if plugin is None:
        raise UsageError(f"{name!r} cannot be stored: this worker belongs to no run of Scalable")
    if worker.thread_id == threading.get_ident():
        raise UsageError(
            f"{name!r} cannot be stored in a coroutine, which would hold up its worker",
            cure="await asyncio.to_thread(store_artifact, name, value)",
        )
    maker = {**_maker(worker), "overwrite": overwrite}
    send = _direct(worker, plugin.place, maker) or functools.partial(_by_driver, worker, maker)
    return store_value(name, value, send)


def _maker(worker: Any) -> dict[str, Any]:
    """Return the task and the component of the call that runs in this thread."""
    from dask.utils import key_split
    from distributed.worker import thread_state

    key = getattr(thread_state, "key", None)
    components = [
        resource.removeprefix(_RESOURCE_PREFIX)
        for resource in worker.state.total_resources
        if resource.startswith(_RESOURCE_PREFIX)
    ]
    return {
        "task": None if key is None else key_split(key),
        "component": components[0] if components else None,
    }


def _direct(worker: Any, place: Place, maker: Mapping[str, Any]) -> Send | None:
    """Return what stores from this process; None where it has no plugin for that, or another folder."""
    host = _plugins()
    if host is None or host.provider_of(place.storage) is None:
        return None
    if "://" not in place.storage and folder_mark(place.storage) != place.mark:
        return None
    from scalable_core.artifacts.transfer import store_once
    from scalable_core.types import Artifact, HookContext, to_data

    context = HookContext(project=place.project, run=place.run, workdir=Path(place.workdir))

    def send(name: str, data: bytes | Path, media_type: str) -> Row:
        artifact = Artifact(name=name, data=data, media_type=media_type, run=place.run, **maker)
        destination = artifact_uri(place.storage, place.run, name)
        ref, new = store_once(artifact, destination, host=host, context=context)
        return _ask(worker, {"do": "note", "row": to_data(ref), "new": new})

    return send


@functools.cache
def _plugins() -> PluginHost | None:
    try:
        from scalable_core.plugins import PluginHost
    except ImportError:
        return None
    return PluginHost()


def _by_driver(
    worker: Any, maker: Mapping[str, Any], name: str, data: bytes | Path, media_type: str
) -> Row:
    """Hand the bytes to the driver, which stores them."""
    transfer, digest = uuid.uuid4().hex, hashlib.sha256()
    last = b""
    for piece in _pieces(data):
        if last:
            _ask(worker, {"do": "take", "transfer": transfer, "data": last})
        digest.update(piece)
        last = piece
    message = {
        "do": "store",
        "transfer": transfer,
        "data": last,
        "digest": f"sha256:{digest.hexdigest()}",
        "artifact": {**maker, "name": name, "media_type": media_type},
    }
    return _ask(worker, message)


def _pieces(data: bytes | Path) -> Iterator[bytes]:
    if isinstance(data, bytes):
        for start in range(0, len(data), PIECE):
            yield data[start : start + PIECE]
        return
    with data.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece


def _ask(worker: Any, message: Mapping[str, Any]) -> Row:
    """Ask the driver something, by way of the scheduler, and return its answer.

    Raises:
        ArtifactError: The driver says no, or is gone.
    """
    from distributed.utils import sync

    answer = sync(worker.loop, worker.scheduler.scalable_artifacts_ask, message=message)
    if "error" in answer:
        raise ArtifactError(answer["error"], cure=answer.get("cure"))
    return cast(Row, answer["row"])
