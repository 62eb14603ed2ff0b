"""The driver's side of a detached run: takes the order and the project's folder, and gives the run its end."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import evolve, frozen

from scalable_core.errors import PlanDriftError, UsageError
from scalable_core.plugins import PluginHost
from scalable_core.records import RunFolder
from scalable_core.records.folder import now, read_run
from scalable_core.session import parcel
from scalable_core.session.detached import local_versions
from scalable_core.session.ending import first_line, status_of
from scalable_core.session.invocation import first_record
from scalable_core.session.order import Order, get_order
from scalable_core.session.planning import load, make_plan
from scalable_core.session.storage import open_storage
from scalable_core.types import HookContext, Plan


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


def take_over(place: str, run: str, *, host: PluginHost, work: Path) -> Taken:
    """Fetch the order of a run and its project's folder, and lay that out.

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
    bundle = records / ".project.zip"
    with bundle.open("wb") as file:
        for piece in storage.stream(order.key):
            file.write(piece)
    parcel.unpack(bundle, order.digest, project)
    return Taken(order=order, project=project, records=records, bundle=bundle)


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
    stores = order.stores or evolve(plan.stores, records=str(taken.records.parent))
    return evolve(plan, stores=stores)


@contextmanager
def accounted(taken: Taken, plan: Plan | None = None) -> Iterator[None]:
    """See to it that the run's record names this process, and says how it ended whatever happens inside."""
    try:
        record = evolve(read_run(taken.records), status="running", error=None)
    except OSError:
        record = None
    if record is not None:
        import socket

        record = evolve(record, pid=os.getpid(), host=socket.gethostname())
        RunFolder(taken.records, record).close()
    failure: BaseException | None = None
    try:
        yield
    except BaseException as error:
        failure = error
        raise
    finally:
        close_record(taken, failure, plan)


def close_record(taken: Taken, error: BaseException | None, plan: Plan | None = None) -> None:
    """Write how the run ended, if nobody has."""
    try:
        record = read_run(taken.records)
    except OSError:
        if plan is None:
            return
        record = first_record(plan, taken.order.run)
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
