"""``scalable detach``: a run of this machine goes on without it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from scalable_core.cli.options import common_options, json_option
from scalable_core.errors import UsageError

if TYPE_CHECKING:
    from scalable_core.session.resume import Unfinished


@click.command
@click.argument("run", required=False)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@json_option
@common_options
def command(
    run: str | None, yes: bool, as_json: bool, quiet: bool, verbose: int, debug: bool
) -> int:
    """Let a run that this machine drives go on without it.

    RUN is any part of its id; without it the latest run is meant. No call starts any more, those that run may
    end, what is done is kept, and the driver here ends. Then the same workflow is started detached, as a run of
    its own that goes on with this one: what is in the cache is not done again. How many calls run again is said
    before you are asked.

    \b
    scalable detach brisk-otter
    """
    from attrs import evolve

    from scalable_core.cli.ending import ask_to_end
    from scalable_core.cli.following import watch_run
    from scalable_core.cli.handing import hand_over
    from scalable_core.cli.history import runs_folder
    from scalable_core.cli.host import make_host
    from scalable_core.cli.terminal import say
    from scalable_core.records.reading import find_run, read_record
    from scalable_core.session.detached import prepare
    from scalable_core.session.following import FolderTail
    from scalable_core.session.planning import load, make_plan
    from scalable_core.session.resume import count_unfinished, find_resume_point

    host = make_host(quiet=quiet, verbose=verbose, offline=False)
    folder = find_run(runs_folder(), run)
    record = read_record(folder)
    if record.status != "running":
        raise UsageError(
            f"run {record.run} has ended: {record.status}",
            cure=f"go on with it detached: scalable run --resume {record.run} --detach",
        )
    if record.detached:
        raise UsageError(f"run {record.run} is detached", cure="watch it: scalable attach")
    point = find_resume_point(runs_folder(), record.run, lasting=True)
    manifest = load(point.manifest, target=point.target, overlays=point.overlays, host=host)
    plan = make_plan(manifest, host=host, detached=True)
    prepare(plan, point.workflow, host=host)
    for line in _lines(record.run, count_unfinished(folder)):
        say(line)
    if not _consents(yes=yes):
        say("The run goes on as it was.")
        return 0
    tail = FolderTail(folder)
    ask_to_end(tail, host=host, what="detach")
    watch_run(tail, as_json=False, quiet=True)
    ended = read_record(folder)
    if ended.status == "done":
        say(f"Run {record.run} was done before it could be detached.")
        return 0
    budget = None if ended.cost is None else ended.cost.budget
    if budget is not None and ended.cost is not None:
        budget = max(0.0, budget - ended.cost.spent)
    return hand_over(
        evolve(plan, workflow=str(point.workflow)),
        host,
        as_json=as_json,
        quiet=quiet,
        workflow=point.workflow,
        arguments=point.arguments,
        budget=budget,
        resumed=point.run,
    )


def _lines(run: str, known: Unfinished) -> list[str]:
    again = known.running + known.lost
    return [
        f"Run {run}: {known.done} of {known.total} calls are done, {known.kept} of them kept.",
        f"{again} calls run again at most: {known.running} that run now, if they do not end in time, and "
        f"{known.lost} that are done and not kept.",
    ]


def _consents(*, yes: bool) -> bool:
    if yes:
        return True
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("there is no terminal to ask on", cure="agree with --yes")
    return click.confirm("Detach it?", default=True, err=True)
