"""Hands a run to a driver that does not need this process: packs, orders, starts. Imports no distributed."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from attrs import evolve, frozen

from scalable_core.errors import ClusterError, ProviderError, StorageError, UsageError
from scalable_core.manifest import manifest_text
from scalable_core.plan import plan_document
from scalable_core.plugins import PluginHost
from scalable_core.records import RunFolder, new_run_id
from scalable_core.records.folder import HEARTBEAT, now, read_run
from scalable_core.records.shared import SharedRecords
from scalable_core.session import order as orders
from scalable_core.session.ending import first_line
from scalable_core.session.invocation import first_record
from scalable_core.session.mirror import mirror_uri
from scalable_core.session.order import DRIVER, LOG, Order
from scalable_core.session.parcel import Parcel, pack
from scalable_core.session.planning import failures, pin_images
from scalable_core.session.storage import is_remote, open_storage, project_key
from scalable_core.types import BundleRef, HookContext, Plan, to_data

#: What both sides must have in the same version, since calls travel between them.
AGREE = ("python", "dask", "distributed", "cloudpickle")
#: Seconds in which a driver on this machine has to speak up.
PATIENCE = 60.0

#: What else decides where a run keeps things, so that the driver must know it.
_SETTINGS = ("SCALABLE_DEFAULT_STORAGE", "SCALABLE_CACHE_REMOTE")
_VARIABLE = re.compile(r"\$\{(\w+)")


@frozen(kw_only=True)
class Detached:
    """A run that was handed over.

    Attributes:
        run: Its id.
        folder: Its records, as far as this machine has them.
        parcel: What travelled.
    """

    run: str
    folder: Path
    parcel: Parcel


def local_versions() -> dict[str, str]:
    """Return the versions of `AGREE` here; Python's without its last number."""
    found = {name: importlib.metadata.version(name) for name in AGREE if name != "python"}
    return {"python": ".".join(platform.python_version_tuple()[:2]), **found}


def start_detached(
    plan: Plan,
    *,
    host: PluginHost,
    workflow: Path,
    arguments: Sequence[str] = (),
    budget: float | None = None,
    resumed: str | None = None,
) -> Detached:
    """Start a run that goes on without this process.

    Args:
        plan: With ``detached`` set.
        host: The plugins.
        workflow: The file to run; it must be in the manifest's folder.
        arguments: ``sys.argv[1:]`` of the workflow.
        budget: USD at which the run is stopped; None for no limit.
        resumed: The run that this one goes on with.

    Raises:
        UsageError: The project cannot travel, or the target cannot run a driver.
        ProviderError: The driver cannot be started.
        StorageError: The project's storage cannot be written.
    """
    home = Path(plan.manifest).parent
    here = plan.target.provider == "local"
    place, parcel, script = prepare(plan, workflow, host=host)
    run = new_run_id()
    order = Order(
        run=run,
        digest=parcel.digest,
        key=parcel.key,
        manifest=Path(plan.manifest).name,
        workflow=script,
        folder=_folder(home),
        target=plan.target.name,
        overlays=plan.overlays,
        arguments=tuple(arguments),
        budget=budget,
        resumed=resumed,
        lock=plan.lock,
        stores=plan.stores if here else None,
        copy=mirror_uri(plan),
        versions=local_versions(),
    )
    records = Path(plan.stores.records) / run
    context = HookContext(
        project=plan.project.name,
        run=run,
        workdir=home,
        run_dir=records,
        secrets=functools.partial(driver_secrets, plan),
    )
    if not here:
        plan = _looked_at(plan, host=host, context=context)
        found = {group.name: group.resolved for group in plan.groups if group.resolved}
        order = evolve(order, images=found)
    storage = open_storage(place, host=host, context=context)
    storage.put_if_absent(parcel.key, parcel.path)
    orders.put_order(storage, order)
    record = evolve(
        first_record(plan, run),
        workflow=str(workflow),
        arguments=order.arguments,
        resumed=resumed,
        host="",  # whose process drives it, the driver will say
        pid=0,
    )
    folder = RunFolder(records, record)
    folder.write_document("plan.json", plan_document(plan))
    folder.write_document(orders.FILE, orders.order_document(order))
    folder.write_text("manifest.yaml", manifest_text(plan.document))
    if not here:  # what is here is a copy, and never as new as the one in the storage
        folder.write_document(HEARTBEAT, {"time": time.time()})
    copy = None if order.copy is None else SharedRecords(
        records, open_storage(order.copy, host=host, context=context)
    )  # fmt: skip
    if copy is not None:
        copy.send()
    bundle = BundleRef(
        place=place,
        key=parcel.key,
        digest=f"sha256:{parcel.digest}",
        size=parcel.size,
        files=len(parcel.files),
        command=("-m", "scalable", "drive", place, run),
    )
    try:
        cluster = host.start_driver(plan, bundle, context)
        if cluster is None:
            raise _no_driver(plan)
        folder.write_document(DRIVER, to_data(cluster))
        if here:
            _await_driver(records)
    except BaseException as error:
        folder.update(status="failed", error=first_line(error), ended=now())
        if copy is not None:
            copy.send()
        raise
    if copy is not None and not here:
        with suppress(StorageError):  # it goes on all the same, and is found by its tag
            copy.send()
    return Detached(run=run, folder=records, parcel=parcel)


def prepare(plan: Plan, workflow: Path, *, host: PluginHost) -> tuple[str, Parcel, str]:
    """Return where an order for a driver goes, what travels, and which file in it is the workflow.

    Raises:
        UsageError: The project cannot travel, or the target cannot run a driver.
    """
    if not host.can("start_driver", plan.target.provider):
        raise _no_driver(plan)
    _check_image(plan)
    home = Path(plan.manifest).parent
    place = _place(plan, here=plan.target.provider == "local")
    parcel = pack(home, home / ".scalable" / "detached" / ".bundles")
    return place, parcel, _inside(workflow, home, parcel)


def _looked_at(plan: Plan, *, host: PluginHost, context: HookContext) -> Plan:
    """Return the plan with its images pinned, once its service finds nothing wrong with it.

    Raises:
        ProviderError: The service has found something.
    """
    if any(group.image and not group.resolved for group in plan.groups):
        plan = pin_images(plan, host=host)
    wrong = failures(host.preflight(plan, context))
    if wrong:
        raise ProviderError("\n".join(map(str, wrong)))
    return plan


def driver_secrets(plan: Plan) -> Mapping[str, str]:
    """Return what the environment of a driver must hold and nobody else may read."""
    from scalable_core.session.storage import worker_secrets

    text = Path(plan.manifest).read_text(encoding="utf-8")
    names = {*_VARIABLE.findall(text), *_SETTINGS} & os.environ.keys()
    return {**{name: os.environ[name] for name in sorted(names)}, **worker_secrets(plan)}


def _check_image(plan: Plan) -> None:
    """Refuse a driver in an image with Python alone, which has nobody who would bring it packages.

    Raises:
        UsageError: The driver's image would be one.
    """
    first = next((group for group in plan.groups if group.image), None)
    named = getattr(plan.target.options, "driver_image", None)
    if plan.target.provider != "local" and first and first.environment and named is None:
        raise UsageError(
            f"the driver of a detached run needs an image with scalable, and {first.image} has Python alone",
            cure=f"name one with driver_image in target {plan.target.name!r}; the workers need none",
        )


def _no_driver(plan: Plan) -> UsageError:
    return UsageError(
        f"target {plan.target.name!r} cannot run a workflow detached: provider "
        f"{plan.target.provider!r} starts no driver on it",
        cure="run it attached, without --detach, or on another target",
    )


def _place(plan: Plan, *, here: bool) -> str:
    """Where the parcel and the order go."""
    if plan.project.default_storage is not None and is_remote(plan.stores.artifacts):
        return plan.stores.artifacts
    if not here:
        raise UsageError(
            f"a detached run on {plan.target.name!r} needs a storage that it reaches, and the project has none",
            cure="name one in the manifest, such as default_storage: s3://bucket/prefix",
        )
    project_key(plan)  # made here, once: the driver finds it beside the cache
    return str(Path(plan.manifest).parent / ".scalable" / "detached")


def _inside(workflow: Path, home: Path, parcel: Parcel) -> str:
    try:
        name = workflow.resolve().relative_to(home.resolve()).as_posix()
    except ValueError:
        raise UsageError(
            f"the workflow {workflow} is not in {home}, and only that folder travels to a detached run",
            cure="move it there, or run it attached, without --detach",
        ) from None
    if name not in parcel.files:
        reason = (
            "is left out by .gitignore or .scalableignore" if workflow.exists() else "is not there"
        )
        raise UsageError(
            f"the workflow {workflow} {reason}",
            cure=f"write it, or bring it with !{name} in .scalableignore",
        )
    return name


def _folder(home: Path) -> str:
    """The current folder as the driver shall have it: the project's own when it is another one."""
    here = Path.cwd().resolve()
    return here.relative_to(home.resolve()).as_posix() if home.resolve() in here.parents else "."


def _await_driver(records: Path) -> None:
    """Wait until the driver has taken the run over.

    Raises:
        ClusterError: It has ended before, or says nothing.
    """
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        record = read_run(records)
        if record.pid:
            return
        time.sleep(0.05)
    raise ClusterError(
        f"the driver of {records.name} has not begun within {PATIENCE:.0f} s",
        cure=f"read {records / LOG}, and end it: scalable down {records.name}",
    )
