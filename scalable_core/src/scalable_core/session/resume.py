"""Where a run that was not finished is taken up again: manifest, target, overlays, workflow, arguments."""

from __future__ import annotations

import json
from pathlib import Path

from attrs import frozen

from scalable_core.errors import UsageError
from scalable_core.records.reading import find_run, read_history, read_record
from scalable_core.session.following import FolderTail
from scalable_core.session.order import read_order


@frozen(kw_only=True)
class ResumePoint:
    """What a recorded run was a run of.

    Attributes:
        run: Its id.
        manifest: Absolute path of its manifest.
        target: Its target's name.
        overlays: Its overlays.
        workflow: Absolute path of its workflow.
        arguments: What the workflow was given.
        lock: Of the manifest as it was.
    """

    run: str
    manifest: Path
    target: str
    overlays: tuple[str, ...]
    workflow: Path
    arguments: tuple[str, ...]
    lock: str

    def check(
        self,
        *,
        target: str | None = None,
        overlays: tuple[str, ...] = (),
        workflow: str | None = None,
        arguments: tuple[str, ...] = (),
    ) -> None:
        """Refuse what is asked for besides, where the run had something else.

        Raises:
            UsageError: Target, overlays, workflow or arguments are not the run's.
        """
        asked = {
            "target": (target, self.target),
            "overlays": (overlays or None, self.overlays),
            "workflow": (workflow and Path(workflow).absolute(), self.workflow),
            "arguments": (arguments or None, self.arguments),
        }
        for name, (given, had) in asked.items():
            if given is not None and given != had:
                raise UsageError(
                    f"run {self.run} had {name} {_words(had)}, not {_words(given)}",
                    cure=f"leave the {name} out, or start another run without --resume",
                )


def find_resume_point(runs: Path, name: str, *, lasting: bool = False) -> ResumePoint:
    """Return where a run is taken up again.

    Args:
        runs: The folder that holds one folder for each run.
        name: The run's id, or a part of it that no other run has.
        lasting: The run may be going on.

    Raises:
        UsageError: There is no such run, it is going on, or what it was a run of is not there any more.
    """
    folder = find_run(runs, name)
    record = read_record(folder)
    if record.status == "running" and not lasting:
        raise UsageError(f"run {record.run} is going on", cure="see how far it is: scalable runs")
    try:
        plan = json.loads((folder / "plan.json").read_bytes())
        manifest, workflow = Path(plan["manifest"]), Path(record.workflow or plan["workflow"])
        order = read_order(folder)
        if (
            order is not None
        ):  # the driver had a copy of the project; its home is where the records are
            home = runs.absolute().parents[1]
            manifest, workflow = home / order.manifest, home / order.workflow
        point = ResumePoint(
            run=record.run,
            manifest=manifest,
            target=record.target,
            overlays=tuple(plan["overlays"]),
            workflow=workflow,
            arguments=tuple(record.arguments),
            lock=record.lock,
        )
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(
            f"run {record.run} cannot be resumed: its plan.json is gone or damaged",
            cure="run the workflow again; what is in the cache is not done twice",
        ) from None
    for path in (point.manifest, point.workflow):
        if not path.is_file():
            raise UsageError(
                f"run {record.run} cannot be resumed: {path} is not there any more",
                cure="put it back, or start another run without --resume",
            )
    return point


@frozen(kw_only=True)
class Unfinished:
    """How far a run is that is to go on as another one, in calls.

    Attributes:
        total: All that are known.
        done: Those that have ended well.
        kept: Those of them whose results the next run takes from the cache.
        running: Those that run.
    """

    total: int
    done: int
    kept: int
    running: int

    @property
    def lost(self) -> int:
        """Those that are done and have to be done again."""
        return self.done - self.kept


def count_unfinished(folder: Path) -> Unfinished:
    """Return how far the run of a folder is.

    Raises:
        UsageError: It is not the folder of a run.
    """
    counts = FolderTail(folder).progress().tasks.values()
    history = read_history(folder)
    done = sum(each.done for each in counts)
    # A call that the cache was asked for, in vain, has a key under which its result is kept once it is done.
    refused = {row.key for row in history.cache if row.event == "failed"}
    missed = {
        f"{row.task}-{row.key}"
        for row in history.cache
        if row.event == "miss" and row.key not in refused
    }
    kept = {row.key for row in history.tasks if row.state == "done" and row.key in missed}
    return Unfinished(
        total=sum(each.total for each in counts),
        done=done,
        kept=min(done, len(kept)),
        running=history.resources[-1].running if history.resources else 0,
    )


def _words(value: object) -> str:
    return " ".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value)
