"""What is there because of this project's runs, and its end: records, ledgers and the services' own tags.

A run is found in its folder on this machine, in the project's storage, and by its tag at the service; what one
of them has forgotten, another knows. Imports no distributed.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from attrs import evolve, field, frozen

from scalable_core.cluster import ledger
from scalable_core.errors import ManifestError, ScalableError, UsageError
from scalable_core.plugins import PluginHost
from scalable_core.records.reading import list_runs, read_record
from scalable_core.records.shared import PREFIX, is_copy
from scalable_core.session.planning import load, planning_context
from scalable_core.session.recorded import bare_record, record_of, settle, stored_record
from scalable_core.session.storage import open_storage
from scalable_core.types import (
    ClusterRecord,
    HookContext,
    Manifest,
    ReleaseReport,
    Resource,
    RunRecord,
    Storage,
    Target,
)

#: Seconds that a service has to say what is there.
PATIENCE = 30.0
#: Seconds that a run on this machine has to end by itself once it is told to.
_GRACE = 60.0
#: Options that say where a target's things are.
_PLACE = (
    "region profile project_id location zone cluster endpoint namespace context kubeconfig".split()
)


@frozen(kw_only=True)
class FoundRun:
    """A run that lasts, or that has left something behind.

    Attributes:
        record: What `release_cluster` needs; its resources are what is on record and what was found.
        run: Its own record; None when only its tag, or its ledger, is left.
        driver: ``here`` (its process is alive on this machine), ``elsewhere`` (another machine says that it
            goes on) or ``gone``.
        confirmed: The service has been asked, and has shown the resources; otherwise they are as recorded.
    """

    record: ClusterRecord
    run: RunRecord | None = None
    driver: str = "gone"
    confirmed: bool = False

    @property
    def hourly(self) -> float | None:
        """USD an hour; None when the price of anything, or what there is, is unknown."""
        if not self.record.resources and not self.confirmed:
            return None
        return hourly_of(self.record.resources)


@frozen(kw_only=True)
class Found:
    """What there is.

    Attributes:
        runs: Runs that last or have left something, the latest first.
        standing: What serves all runs of the project, by target.
        unasked: A sentence for each place that could not be asked, so that nobody takes silence for emptiness.
        asked: The targets whose service has been asked.
    """

    runs: tuple[FoundRun, ...] = ()
    standing: tuple[tuple[str, Resource], ...] = ()
    unasked: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()


@frozen(kw_only=True)
class Project:
    """A project as far as its runs are concerned.

    Attributes:
        name: Its name.
        runs: The folder of its runs on this machine.
        storage: Where its records are kept for everybody; None when that is nowhere but here.
        targets: The targets that are to be asked, each with the context to ask in.
        problems: A sentence for each target that cannot be read.
    """

    name: str
    runs: Path
    storage: Storage | None = None
    targets: tuple[Target, ...] = ()
    problems: tuple[str, ...] = ()
    workdir: Path = field(factory=Path.cwd)

    def context(self, **more: Any) -> HookContext:
        """Return the context of a hook that is called for this project."""
        return HookContext(
            project=self.name, workdir=self.workdir, deadline=time.monotonic() + PATIENCE, **more
        )


def open_project(path: Path, target: str | None, *, host: PluginHost) -> Project:
    """Read which targets a project has. Without a manifest only the runs of this folder are known.

    Args:
        path: The manifest.
        target: The only target that is to be asked; None for all.
        host: The plugins.

    Raises:
        ManifestError: The manifest, or the target that was named, cannot be read.
    """
    runs = path.parent / ".scalable" / "runs"
    if target is None and not path.exists():
        return Project(name="", runs=runs, workdir=path.parent.absolute())
    whole = load(path, target=target, host=host)
    names = whole.document.get("targets", {}) if target is None else {target: None}
    targets, problems = [], []
    for name in names:
        try:
            chosen = whole if target else load(path, target=name, host=host)
            assert chosen.target is not None
            targets.append(chosen.target)
        except ScalableError as error:
            problems.append(f"target {name!r} cannot be asked: {_first(error)}")
    return Project(
        name=whole.project.name,
        runs=runs,
        storage=_shared(whole, host),
        targets=tuple(targets),
        problems=tuple(problems),
        workdir=path.parent.absolute(),
    )


def find_running(project: Project, *, host: PluginHost) -> Found:
    """Return what there is because of a project's runs, asking every place at once.

    Args:
        project: From `open_project`.
        host: The plugins.
    """
    unasked = list(project.problems)
    runs = {found.record.run: found for found in _here(project.runs)}
    with ThreadPoolExecutor(8) as pool:
        stored = pool.submit(lambda: list(_stored(project.storage)) if project.storage else [])
        asked = {
            target.name: pool.submit(host.find_resources, target, None, project.context())
            for target in project.targets
        }
        try:
            there = {found.record.run: found for found in stored.result()}
            if project.storage is not None:  # a copy here is as old as the last look at it
                copies = {run for run in runs if is_copy(project.runs / run)}
                runs = {run: found for run, found in runs.items() if run not in copies}
            runs = {**there, **runs}
        except ScalableError as error:
            unasked.append(f"the records of other machines cannot be read: {_first(error)}")
        standing: list[tuple[str, Resource]] = []
        for target in project.targets:
            try:
                resources = asked[target.name].result()
            except ScalableError as error:
                unasked.append(f"target {target.name!r} cannot be asked: {_first(error)}")
                continue
            standing += [(target.name, each) for each in resources if each.run is None]
            _confirm(runs, target, resources, project.name)
    kept = [each for each in runs.values() if each.driver != "gone" or _is_left(each)]
    return Found(
        runs=tuple(sorted(kept, key=lambda each: each.record.run, reverse=True)),
        standing=tuple(standing),
        unasked=tuple(unasked),
        asked=tuple(t.name for t in project.targets if _is_asked(t, unasked)),
    )


def choose(found: Found, name: str) -> FoundRun:
    """Return the run that a part of an id means.

    Raises:
        UsageError: None or several have it.
    """
    fitting = [each for each in found.runs if name in each.record.run]
    exact = [each for each in fitting if each.record.run == name]
    if len(exact or fitting) == 1:
        return (exact or fitting)[0]
    if fitting:
        ids = ", ".join(each.record.run for each in fitting)
        raise UsageError(f"{name!r} is a part of the ids of several runs: {ids}", cure="give more")
    raise UsageError(
        f"nothing is left of a run with {name!r} in its id, as far as could be seen",
        cure="see what there is: scalable status",
    )


def end_run(found: FoundRun, project: Project, *, host: PluginHost) -> ReleaseReport:
    """End a run and remove all that it has created; look again, and say what is left.

    A run whose process is alive on this machine is told to end first, and releases what it has by itself.

    Raises:
        ProviderError: Its provider cannot release it.
    """
    record = found.record
    folder = project.runs / record.run
    if found.driver == "here" and found.run is not None:
        _interrupt(found.run.pid, folder)
    context = project.context(run=record.run, run_dir=folder if folder.is_dir() else None)
    target = next((t for t in project.targets if t.name == record.target), None)
    if target is not None:  # where the cluster was meant to be, for whoever has lost its record
        record = evolve(record, data={**_place_of(target), **record.data})
    report = host.release_cluster(record, evolve(context, deadline=None))
    if target is not None and target.provider == record.provider:
        left = host.find_resources(target, record.run, context)
        known = {(each.kind, each.id) for each in report.remaining}
        more = tuple(each for each in left if (each.kind, each.id) not in known)
        report = evolve(report, remaining=(*report.remaining, *more))
    ledger.close_entries(folder, record.run, project.storage, report.remaining)
    if not report.remaining:
        lost = found.run is not None and found.run.detached and found.driver == "elsewhere"
        settle(folder, project.storage, over=lost)  # its driver's machine was among what is gone
    return report


def end_standing(found: Found, project: Project, *, host: PluginHost) -> list[ReleaseReport]:
    """Remove what serves all runs of the project; no run may be left.

    Raises:
        ProviderError: A provider cannot release it.
    """
    reports = []
    for target in project.targets:
        resources = tuple(each for name, each in found.standing if name == target.name)
        if resources:
            record = ClusterRecord(
                provider=target.provider,
                run="",
                project=project.name,
                target=target.name,
                created="",
                resources=resources,
                data=_place_of(target),
            )
            reports.append(host.release_cluster(record, project.context(data={"standing": True})))
    return reports


def left_of(found: Found, project: Project, run: str) -> FoundRun:
    """Return what is known of a run that has ended, so that `end_run` can look for what is left of it.

    Raises:
        UsageError: Nothing is known of it.
    """
    known = next((each for each in found.runs if each.record.run == run), None)
    if known is not None:
        return known
    folder = project.runs / run
    if (folder / "run.json").is_file():
        return FoundRun(record=record_of(folder), run=read_record(folder))
    if project.storage is not None:
        record = stored_record(project.storage, run)
        kept = ledger.read_stored_record(project.storage, run)
        if record is not None:
            return FoundRun(record=kept or bare_record(record), run=record)
    raise UsageError(f"nothing is known of run {run}", cure="see what there is: scalable status")


def hourly_of(resources: Iterable[Resource]) -> float | None:
    """Return what things cost an hour together, in USD; None when the price of one is unknown."""
    prices = [each.hourly for each in resources]
    known = [price for price in prices if price is not None]
    return sum(known) if len(known) == len(prices) else None


def _here(runs: Path) -> Iterator[FoundRun]:
    """The runs of this machine that last, or whose ledger has something left."""
    for folder in list_runs(runs):
        try:
            run = read_record(folder)
        except UsageError:
            continue
        record = record_of(folder)
        alive = run.status == "running"
        here = run.host == socket.gethostname()
        driver = ("here" if here else "elsewhere") if alive else "gone"
        if alive or record.resources or (run.detached and run.ended is None):
            yield FoundRun(record=record, run=run, driver=driver)


def _stored(storage: Storage) -> Iterator[FoundRun]:
    """The runs in the project's storage that last, or whose ledger there has something left."""
    names: dict[str, set[str]] = defaultdict(set)
    for found in storage.list(PREFIX):
        run, _, rest = found.key.removeprefix(PREFIX).partition("/")
        names[run].add(rest)
    for run, there in names.items():
        record = ledger.read_stored_record(storage, run) if ledger.RECORD in there else None
        # The summary is written last: without it the run lasts, or its driver is gone.
        own = stored_record(storage, run) if {"run.json"} <= there - {"summary.json"} else None
        own = own if "summary.json" not in there and own and own.ended is None else None
        if own is None and (record is None or not record.resources):
            continue
        alive = own is not None and own.status == "running"
        here = own is not None and own.host == socket.gethostname()
        driver = ("here" if here else "elsewhere") if alive else "gone"
        assert record is not None or own is not None
        yield FoundRun(record=record or bare_record(own), run=own, driver=driver)  # type: ignore[arg-type]


def _is_left(found: FoundRun) -> bool:
    """Whether a run without a driver has left something: things, or its own end."""
    lost = found.run is not None and found.run.detached and found.run.ended is None
    return bool(found.record.resources) or lost


def _confirm(
    runs: dict[str, FoundRun], target: Target, resources: Sequence[Resource], project: str
) -> None:
    """Put what a service shows into the runs it belongs to; what has no record gets one."""
    for run in {each.run for each in resources if each.run is not None}:
        seen = tuple(each for each in resources if each.run == run)
        if run in runs:
            known = {(each.kind, each.id) for each in seen}
            old = [e for e in runs[run].record.resources if (e.kind, e.id) not in known]
            record = evolve(runs[run].record, resources=(*seen, *old))
            runs[run] = evolve(runs[run], record=record, confirmed=True)
            continue
        times = [each.created for each in seen if each.created]
        record = ClusterRecord(
            provider=target.provider,
            run=run,
            project=project,
            target=target.name,
            created=min(times, default=""),
            resources=seen,
            data=_place_of(target),
        )
        runs[run] = FoundRun(record=record, confirmed=True)


def _place_of(target: Target) -> dict[str, Any]:
    """Return where a target's things are, as providers keep it in the records of runs."""
    found = {n: getattr(target.options, n) for n in _PLACE if hasattr(target.options, n)}
    return {"cluster_type": target.cluster_type, **found}


def _shared(manifest: Manifest, host: PluginHost) -> Storage | None:
    uri = manifest.project.default_storage
    if uri is None or not ("://" in uri or Path(uri).is_absolute()):
        return None
    return open_storage(uri, host=host, context=planning_context(manifest))


def _is_asked(target: Target, unasked: Sequence[str]) -> bool:
    return not any(sentence.startswith(f"target {target.name!r} ") for sentence in unasked)


def _interrupt(pid: int, folder: Path) -> None:
    """Tell a run of this machine to end, as Ctrl-C does, once more if it goes on; wait for its end."""
    for end in (time.monotonic() + _GRACE / 2, time.monotonic() + _GRACE):
        try:
            os.kill(pid, signal.SIGINT)
        except OSError:
            return  # it is gone, or not ours
        while (lasts := _lasts(pid, folder)) and time.monotonic() < end:
            time.sleep(0.1)
        if not lasts:
            return


def _lasts(pid: int, folder: Path) -> bool:
    """Whether a run of this machine goes on: as its folder says, or its process when the folder is not here."""
    if (folder / "run.json").exists():
        return read_record(folder).status == "running"
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _first(error: ScalableError) -> str:
    named = error.problems if isinstance(error, ManifestError) else ()
    return str(named[0]) if named else str(error).splitlines()[0]
