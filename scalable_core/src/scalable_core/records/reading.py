"""Finding runs on disk and reading what their folders hold, also after a kill or from another version."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import attrs
from attrs import frozen

from scalable_core.errors import UsageError
from scalable_core.records.folder import read_run
from scalable_core.records.losses import with_reasons
from scalable_core.types import (
    ArtifactRef,
    CacheRow,
    Event,
    FailureRow,
    ResourceRow,
    RunRecord,
    TaskRow,
    WorkerRow,
)

Row = TypeVar("Row")

#: A file that is read and a folder that is looked through stop here; nothing that we write comes near.
_LINE_LIMIT = 16 * 1024 * 1024
#: Letters of a run's name that say when it started: ``run-<date>-<time>``.
_STAMP = 19


@frozen(kw_only=True)
class RunHistory:
    """Everything that the folder of one run says.

    Attributes:
        folder: Where it is.
        record: The run; ``interrupted`` when its process is gone.
        plan: The document of ``plan.json``; empty when there is none.
        tasks: One row for each attempt that ended.
        cost: Rows of ``cost.jsonl`` as they are.
    """

    folder: Path
    record: RunRecord
    plan: Mapping[str, Any] = {}
    tasks: tuple[TaskRow, ...] = ()
    workers: tuple[WorkerRow, ...] = ()
    resources: tuple[ResourceRow, ...] = ()
    cache: tuple[CacheRow, ...] = ()
    failures: tuple[FailureRow, ...] = ()
    artifacts: tuple[ArtifactRef, ...] = ()
    events: tuple[Event, ...] = ()
    cost: tuple[Mapping[str, Any], ...] = ()

    @property
    def started(self) -> float:
        """When the run started, in epoch seconds."""
        return seconds_of(self.record.started)

    @property
    def ended(self) -> float:
        """When the run ended; for one that did not say so, when it was last heard of."""
        if self.record.ended is not None:
            return seconds_of(self.record.ended)
        heard = [self.started]
        heard += (rows[-1].time for rows in (self.events, self.resources, self.workers) if rows)
        heard += [self.tasks[-1].finished] if self.tasks else []
        return max(heard)


def read_history(folder: Path) -> RunHistory:
    """Read the folder of a run.

    Raises:
        UsageError: It is not the folder of a run.
    """
    events = read_rows(folder / "events.jsonl", Event)
    return RunHistory(
        folder=folder,
        record=read_record(folder),
        plan=_read_document(folder / "plan.json"),
        tasks=read_rows(folder / "tasks.jsonl", TaskRow),
        workers=read_rows(folder / "workers.jsonl", WorkerRow),
        resources=read_rows(folder / "resources.jsonl", ResourceRow),
        cache=read_rows(folder / "cache.jsonl", CacheRow),
        failures=with_reasons(read_rows(folder / "failures.jsonl", FailureRow), events),
        artifacts=read_artifacts(folder),
        events=events,
        cost=tuple(_read_lines(folder / "cost.jsonl")),
    )


def read_record(folder: Path) -> RunRecord:
    """Return the record of a run's folder; `read_run` with a sentence for everything that can go wrong.

    Raises:
        UsageError: It is not the folder of a run.
    """
    try:
        record = read_run(folder)
        seconds_of(record.started), seconds_of(record.ended or record.started)
    except Exception as error:  # a damaged file; cattrs raises groups of its own
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(
            f"{folder} is not the folder of a run: {reason}", cure="list the runs: scalable runs"
        ) from None
    return record


def read_rows(path: Path, cls: type[Row]) -> tuple[Row, ...]:
    """Read the rows of a table.

    A line that is torn or lacks what a row must have is left out, fields that this version does not know are
    ignored, and a file that is not there has no rows.

    Args:
        path: Such as ``tasks.jsonl``.
        cls: The record of a row.
    """
    fields = attrs.fields_dict(cls)  # type: ignore[arg-type]
    numbers = {name for name, field in fields.items() if _is_number(str(field.type))}
    rows = []
    for data in _read_lines(path):
        known = {name: value for name, value in data.items() if name in fields}
        if any(not isinstance(known[n], (int, float, type(None))) for n in numbers & known.keys()):
            continue
        if isinstance(known.get("log"), list):
            known["log"] = tuple(str(line) for line in known["log"])
        try:
            rows.append(cls(**known))
        except TypeError:
            continue
    return tuple(rows)


def read_kept_keys(folder: Path, task: str) -> list[str]:
    """Return the cache keys of a task's calls, whose results are kept, in the order in which they were made.

    Args:
        folder: The run's.
        task: The task's name, or the function's for calls without one.
    """
    rows = read_rows(folder / "cache.jsonl", CacheRow)
    return [r.key for r in rows if r.task == task and r.key and r.event in ("hit", "miss")]


def read_artifacts(folder: Path) -> tuple[ArtifactRef, ...]:
    """Read the artifacts that a run has stored; of one that was overwritten only the last."""
    rows = read_rows(folder / "artifacts.jsonl", ArtifactRef)
    return tuple({row.uri: row for row in rows}.values())


def list_runs(runs: Path) -> list[Path]:
    """Return the folders of all runs below a folder, the latest last."""
    if not runs.is_dir():
        return []
    found = [(path.parent, path.stat().st_mtime) for path in runs.glob("*/run.json")]
    # Names say the second of the start; of one second, the run that was over first comes first.
    found.sort(key=lambda run: (run[0].name[:_STAMP], run[1], run[0].name))
    return [folder for folder, _ in found]


def read_all(runs: Path) -> Iterator[RunHistory]:
    """Yield all runs below a folder that can be read, the latest last."""
    for folder in list_runs(runs):
        try:
            yield read_history(folder)
        except UsageError:
            continue


def find_run(runs: Path, name: str | None = None) -> Path:
    """Return the folder of one run.

    Args:
        runs: The folder that holds one folder for each run.
        name: The run's id, a part of it that no other run has, such as ``brisk-otter``, or the path of a run's
            folder anywhere; None stands for the latest run.

    Raises:
        UsageError: There is no such run, or more than one.
    """
    folders = list_runs(runs)
    if name is not None and (Path(name) / "run.json").is_file():
        return Path(name)
    return runs / choose_run([folder.name for folder in folders], name, str(runs))


def choose_run(runs: Sequence[str], name: str | None, where: str) -> str:
    """Return the one id that a name means.

    Args:
        runs: Ids, the latest last.
        name: An id or a part of one that no other has; None stands for the latest.
        where: Where they are, for what is said.

    Raises:
        UsageError: None is meant, or more than one.
    """
    if name is None and runs:
        return runs[-1]
    if name is None:
        raise UsageError(f"there are no runs in {where}", cure="make one with: scalable run")
    found = [run for run in runs if run == name] or [run for run in runs if name in run]
    if len(found) == 1:
        return found[0]
    if found:
        shown = ", ".join(found[-4:])
        more = f" and {len(found) - 4} more" if len(found) > 4 else ""
        raise UsageError(
            f"{name!r} is a part of the ids of {len(found)} runs: {shown}{more}",
            cure="give a longer part, such as the two words and the four digits at the end",
        )
    raise UsageError(f"no run in {where} has {name!r} in its id", cure="list them: scalable runs")


def seconds_of(moment: str) -> float:
    """Return an ISO time in epoch seconds."""
    return datetime.fromisoformat(moment).timestamp()


def _read_lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        file = path.open("rb")
    except OSError:
        return
    with file:
        while line := file.readline(_LINE_LIMIT):
            try:
                data = json.loads(line)
            except ValueError:
                continue
            if isinstance(data, dict):
                yield data


def _read_document(path: Path) -> Mapping[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _is_number(annotation: str) -> bool:
    return annotation.removesuffix(" | None") in ("int", "float")


def last_of_each_call(rows: Sequence[TaskRow]) -> dict[str, TaskRow]:
    """Return the row that says how each call ended, by the call's key."""
    return {row.key: row for row in rows}
