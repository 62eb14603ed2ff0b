"""The driver's side of a detached run: takes the order and the project's folder, and gives the run its end."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from attrs import evolve, frozen

from scalable_core.errors import PlanDriftError, UsageError
from scalable_core.plugins import PluginHost
from scalable_core.records import RunFolder
from scalable_core.records.folder import now, read_run
from scalable_core.records.shared import fetch_run
from scalable_core.session import order as orders
from scalable_core.session import parcel
from scalable_core.session.detached import local_versions
from scalable_core.session.ending import first_line, status_of
from scalable_core.session.mirror import Mirror
from scalable_core.session.order import LOG, Order, get_order
from scalable_core.session.planning import load, make_plan
from scalable_core.session.storage import open_storage
from scalable_core.types import HookContext, Plan

logger = logging.getLogger("scalable")


@frozen(kw_only=True)
class Taken:
    """A run that this process drives.

    Attributes:
        order: What was ordered.
        project: The project's folder as it has travelled.
        records: The run's own folder.
        bundle: The parcel on this machine.
    """

    order: Order
    project: Path
    records: Path
    bundle: Path

    @property
    def workflow(self) -> Path:
        """The file to run."""
        return self.project / self.order.workflow

    @property
    def workdir(self) -> Path:
        """The folder to run it in."""
        return self.project / self.order.folder


@contextmanager
def taken_over(place: str, run: str, *, host: PluginHost, work: Path) -> Iterator[Taken]:
    """Fetch the order of a run and its project's folder, and lay that out; record the run's end at the end.

    As long as this lasts, the records of the run name this process, and are copied to where the order says.
    What a driver elsewhere writes to its standard output and error is among them.

    Args:
        place: Where the order is.
        run: The run's id.
        host: The plugins.
        work: Where to work, when the order does not say where this machine keeps things.

    Raises:
        UsageError: There is no such order, or what has arrived is not what was sent.
        StorageError: The place cannot be read.
    """
    storage = open_storage(place, host=host, context=HookContext(run=run))
    order = get_order(storage, run)
    runs = Path(order.stores.records) if order.stores else work / ".scalable" / "runs"
    records = runs / run
    records.mkdir(parents=True, exist_ok=True)
    project = records / "project" if order.stores else work / "project"
    taken = Taken(order=order, project=project, records=records, bundle=records / ".project.zip")
    with ExitStack() as stack:
        if order.stores is None:
            fetch_run(storage, run, runs, only={"run.json", orders.FILE})
        if order.copy is not None:
            stack.enter_context(_copied(records, order.copy, host))
        if order.stores is None:
            stack.enter_context(_written_down(records / LOG))
        with _accounted(taken):
            with taken.bundle.open("wb") as file:
                for piece in storage.stream(order.key):
                    file.write(piece)
            parcel.unpack(taken.bundle, order.digest, project)
            yield taken


def make_driver_plan(taken: Taken, *, host: PluginHost) -> Plan:
    """Return the plan of an order, from the manifest that has travelled.

    Raises:
        PlanDriftError: It is not the manifest, or not the variables, that the run was ordered with.
        UsageError: This Python or Dask cannot exchange calls with the one that ordered.
        ManifestError: The manifest has problems here.
    """
    order = taken.order
    differ = {
        name: (version, here)
        for name, here in local_versions().items()
        if (version := order.versions.get(name)) not in (None, here)
    }
    if differ:
        named = "; ".join(f"{name} {here}, not {sent}" for name, (sent, here) in differ.items())
        raise UsageError(
            f"the driver has {named}: calls do not travel between them",
            cure="give the driver an image with the versions of the machine that starts the run",
        )
    path = taken.project / order.manifest
    manifest = load(path, target=order.target, overlays=order.overlays, host=host)
    if manifest.lock != order.lock:
        raise PlanDriftError(
            f"the manifest reads otherwise for the driver than for who ordered: {manifest.lock[:19]}.. "
            f"and {order.lock[:19]}..",
            cure="a variable that it uses has another value in the driver's environment",
        )
    plan = make_plan(manifest, host=host, detached=True)
    runs = taken.records.parent
    stores = order.stores or evolve(
        plan.stores, records=str(runs), cache=str(runs.parent / "cache")
    )
    groups = (evolve(group, resolved=order.images.get(group.name)) for group in plan.groups)
    return evolve(plan, stores=stores, groups=tuple(groups))


@contextmanager
def _accounted(taken: Taken) -> Iterator[None]:
    """See to it that the run's record names this process, and says how it ended whatever happens inside."""
    record = evolve(read_run(taken.records), status="running", error=None)
    RunFolder(taken.records, evolve(record, pid=os.getpid(), host=socket.gethostname())).close()
    failure: BaseException | None = None
    try:
        yield
    except BaseException as error:
        failure = error
        raise
    finally:
        close_record(taken, failure)


@contextmanager
def _copied(records: Path, uri: str, host: PluginHost) -> Iterator[None]:
    context = HookContext(run=records.name)
    mirror = Mirror(
        records, uri, lambda: open_storage(uri, host=host, context=context), logger.warning
    )
    try:
        yield
    finally:
        mirror.close()


@contextmanager
def _written_down(log: Path) -> Iterator[None]:
    """Write what this process and its children print into a file too."""
    sys.stdout.flush()
    sys.stderr.flush()
    own = {number: os.dup(number) for number in (1, 2)}
    source, sink = os.pipe()
    for number in own:
        os.dup2(sink, number)
    os.close(sink)

    def carry() -> None:
        with log.open("ab", buffering=0) as file:
            while data := os.read(source, 65536):
                file.write(data)
                with suppress(OSError):
                    os.write(own[1], data)

    thread = threading.Thread(target=carry, name="scalable-driver-log", daemon=True)
    thread.start()
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, kept in own.items():
            os.dup2(kept, number)
        thread.join(5)  # a child that lives may hold the other end


def close_record(taken: Taken, error: BaseException | None) -> None:
    """Write how the run ended, if nobody has."""
    record = read_run(taken.records)
    if record.ended is None:
        folder = RunFolder(taken.records, record)
        text = None if error is None else first_line(error)
        folder.update(status=status_of(error), error=text, ended=now())
        folder.close()


def put_away(taken: Taken) -> list[str]:
    """Remove the project's folder but for what the workflow has made in it; return that, by path."""
    os.chdir(taken.records)
    made = parcel.tidy(taken.bundle, taken.project)
    taken.bundle.unlink(missing_ok=True)
    if not made:
        shutil.rmtree(taken.project, ignore_errors=True)
    return made
