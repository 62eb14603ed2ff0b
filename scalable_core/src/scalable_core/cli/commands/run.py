"""``scalable run``: plan, run the workflow, release everything."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from scalable_core.cli.options import (
    chosen,
    common_options,
    manifest_argument,
    overlay_option,
    target_option,
)
from scalable_core.cli.quantities import Dollars
from scalable_core.errors import UsageError

if TYPE_CHECKING:
    from scalable_core.cli.terminal import Look
    from scalable_core.cli.watch import Display
    from scalable_core.plugins import PluginHost
    from scalable_core.session.driver import RunOutcome
    from scalable_core.session.resume import ResumePoint
    from scalable_core.types import Plan

_ARGUMENTS = "scalable.workflow_arguments"


class RunCommand(click.Command):
    """A command that leaves what follows ``--`` to the workflow."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the workflow's arguments and parse the rest."""
        if "--" in args:
            place = args.index("--")
            ctx.meta[_ARGUMENTS] = args[place + 1 :]
            args = args[:place]
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Name the workflow's arguments too."""
        return [*super().collect_usage_pieces(ctx), "[-- ARGUMENTS...]"]


@click.command(cls=RunCommand)
@manifest_argument("[MANIFEST | PLAN.JSON]")
@target_option
@overlay_option
@click.option(
    "--workflow",
    metavar="FILE",
    help="Workflow to run.  [default: workflow.py beside the manifest]",
)
@click.option("-n", "--dry-run", is_flag=True, help="Show the plan and stop; nothing is created.")
@click.option("-y", "--yes", is_flag=True, help="Answer yes to every question.")
@click.option(
    "--budget",
    metavar="USD",
    type=Dollars(),
    help="Stop the run, so that it can be resumed, before it has cost more.",
)
@click.option(
    "--allow-unpriced",
    is_flag=True,
    help="With --budget: run although not everything has a price; what has none is not counted.",
)
@click.option(
    "--resume",
    metavar="RUN",
    help="Go on with an earlier run: its target, overlays, workflow and arguments.",
)
@click.option(
    "--detach", is_flag=True, help="Hand the run over and return; it goes on without this machine."
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print what happens as JSON, one object a line."
)
@common_options
@click.pass_context
def command(
    ctx: click.Context,
    manifest: str,
    target: str | None,
    overlays: tuple[str, ...],
    workflow: str | None,
    dry_run: bool,
    yes: bool,
    budget: float | None,
    allow_unpriced: bool,
    resume: str | None,
    detach: bool,
    as_json: bool,
    quiet: bool,
    verbose: int,
    debug: bool,
) -> int:
    """Run the workflow on a target and release everything.

    The workflow is an ordinary Python file, run as `__main__`. What it prints goes to stdout; progress goes
    to stderr. What follows `--` becomes its own arguments.

    MANIFEST is ./scalable.yaml unless it is named, here or by SCALABLE_MANIFEST. A PLAN.JSON that
    `scalable plan --output` wrote is run as it is, and refused when its manifest has changed since.

    Where the run costs money, or nobody can say what it costs, you are asked first; --yes answers, and is
    needed where there is no terminal.

    With --budget the run counts what it spends. At the limit nothing new starts, calls that run may end as far
    as the money reaches, everything is released, and the exit code is 75. --resume goes on from there: results
    that are kept in the cache are not paid for twice. A resumed run counts from zero, against its own --budget.

    With --detach a driver runs the workflow where the target's workers are, and the command returns at once.
    The manifest's folder travels with it, but for what .gitignore and .scalableignore name.

    Ctrl-C stops the workflow and releases everything that the run has started.

    \b
    scalable run
    scalable run --target aws
    scalable run --target aws --budget 5
    scalable run --resume brisk-otter --budget 2
    scalable run --target aws --detach
    scalable run study/scalable.yaml -- --years 30

    Exit codes: 1 the workflow raised, 2 usage or manifest, 3 provider, 4 no capacity, 75 stopped by the
    budget, 130 interrupted.
    """
    from scalable_core.cli.consent import check_budget, consents
    from scalable_core.cli.display import Bars, JsonLines, Lines
    from scalable_core.cli.failure import INTERRUPTED
    from scalable_core.cli.host import make_host, quiet_dask
    from scalable_core.cli.outcome import outcome_documents, report_outcome
    from scalable_core.cli.terminal import look_of, say

    host = make_host(quiet=quiet, verbose=verbose, offline=False)
    if not verbose:
        quiet_dask()
    arguments: tuple[str, ...] = tuple(ctx.meta.get(_ARGUMENTS, ()))
    point = None if resume is None else _resume_point(manifest, resume)
    if point is None:
        plan = _make_plan(manifest, target, overlays, host, detach)
    else:
        point.check(target=target, overlays=overlays, workflow=workflow, arguments=arguments)
        plan = _make_plan(str(point.manifest), point.target, point.overlays, host, detach)
        workflow, arguments = str(point.workflow), point.arguments
    check_budget(plan, budget, allow_unpriced=allow_unpriced)
    if dry_run:
        return _show_plan(plan, host, as_json=as_json)
    script, here = Path(workflow or plan.workflow).absolute(), Path.cwd()
    look = look_of(sys.stderr)
    if not as_json and not quiet:
        _say_summary(plan, host, look)
    if point is not None and point.lock != plan.lock:
        say(f"The manifest has changed since run {point.run}; what that concerns is done again.")
    if not consents(plan, yes=yes, budget=budget, look=look):
        say("Not run; nothing was created.")
        return INTERRUPTED
    if point is not None:
        _settle(point, host)
    how = {"workflow": script, "arguments": arguments, "budget": budget}
    how["resumed"] = None if point is None else point.run
    if detach:
        from scalable_core.cli.handing import hand_over

        return hand_over(plan, host, as_json=as_json, quiet=quiet, **how)
    if as_json:
        with _stdout_for_us() as stream:
            lines = JsonLines(stream)
            outcome, seconds = _run(plan, host, lines, **how)
            for document in outcome_documents(outcome):
                lines.write(document)
    else:
        bars = look.animated and not quiet
        display = Bars(look) if bars else Lines(look, quiet=quiet)
        outcome, seconds = _run(plan, host, display, **how)
    return report_outcome(
        outcome, seconds, look, plan=plan, workflow=script, here=here, quiet=quiet, debug=debug
    )


def _make_plan(
    source: str, target: str | None, overlays: tuple[str, ...], host: PluginHost, detach: bool
) -> Plan:
    from scalable_core.session.planning import load, load_plan, make_plan

    if not source.endswith(".json"):
        read = load(source, target=chosen(target), overlays=overlays, host=host)
        return make_plan(read, host=host, detached=detach)
    if target is not None or overlays:
        raise UsageError(
            f"{source} is a plan, and a plan has its target and overlays already",
            cure=f"leave them out, or make another plan with --output {source}",
        )
    if detach:
        raise UsageError(
            "a saved plan is run here, not detached", cure=f"name the manifest instead of {source}"
        )
    return load_plan(Path(source), host=host)


def _show_plan(plan: Plan, host: PluginHost, *, as_json: bool) -> int:
    from scalable_core.cli.host import package_of
    from scalable_core.cli.render.plan import render_plan
    from scalable_core.cli.terminal import look_of, show, show_json
    from scalable_core.plan import plan_document

    if as_json:
        show_json(plan_document(plan))
        return 0
    lines = render_plan(plan, look_of(sys.stdout), package=package_of(host, plan.target.provider))
    for line in [*lines, "Dry run: nothing was created."]:
        show(line)
    return 0


def _say_summary(plan: Plan, host: PluginHost, look: Look) -> None:
    from scalable_core.cli.host import package_of
    from scalable_core.cli.render.plan import render_summary
    from scalable_core.cli.terminal import say

    for line in render_summary(plan, look, package=package_of(host, plan.target.provider)):
        say(line)


def _resume_point(manifest: str, run: str) -> ResumePoint:
    from scalable_core.cli.history import runs_folder
    from scalable_core.cli.shared import find_run_anywhere
    from scalable_core.session.resume import find_resume_point

    if manifest.endswith(".json"):
        raise UsageError(
            "a run is resumed with today's plan, not with one that was saved",
            cure=f"leave {manifest} out, or --resume",
        )
    runs = runs_folder(manifest)
    if runs == runs_folder():  # a run elsewhere has gone on since its records came here
        run = find_run_anywhere(run, quiet=True).name
    return find_resume_point(runs, run)


def _settle(point: ResumePoint, host: PluginHost) -> None:
    """Let the earlier run be over, and release what a driver has left that ended without a word."""
    from scalable_core.cli.ending import verify_end
    from scalable_core.records.reading import read_record
    from scalable_core.records.shared import is_copy
    from scalable_core.session.recorded import settle

    folder = point.manifest.parent / ".scalable" / "runs" / point.run
    if is_copy(folder) and read_record(folder).ended is None:
        verify_end(point.run, host=host)
    settle(folder)


def _run(plan: Plan, host: PluginHost, display: Display, **how: Any) -> tuple[RunOutcome, float]:
    """Run the workflow while it is shown; return how it ended and how long it took."""
    from scalable_core.cli.watch import Watch
    from scalable_core.session.driver import run_workflow

    with Watch(display) as watch:
        outcome = run_workflow(plan, host=host, sink=watch, **how)
        watch.finish(outcome.records)
    return outcome, watch.elapsed


@contextmanager
def _stdout_for_us() -> Iterator[TextIO]:
    """Give stdout to the events alone; what the workflow and its workers print goes to stderr."""
    sys.stdout.flush()
    own = os.dup(1)
    os.dup2(2, 1)
    try:
        with open(own, "w", encoding="utf-8", closefd=False) as stream:
            yield stream
        sys.stdout.flush()
    finally:
        os.dup2(own, 1)
        os.close(own)
