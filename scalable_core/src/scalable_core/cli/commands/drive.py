"""``scalable drive``: what the driver of a detached run does."""

from __future__ import annotations

import io
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from scalable_core.cli.options import common_options

if TYPE_CHECKING:
    from scalable_core.plugins import PluginHost
    from scalable_core.session.taking import Taken


@click.command
@click.argument("place")
@click.argument("run")
@common_options
def command(place: str, run: str, quiet: bool, verbose: int, debug: bool) -> int:
    """Run the workflow of a run that was handed over; `scalable run --detach` starts this.

    PLACE is the folder or URI where the order and the project's folder are, RUN the run's whole id. The folder
    is laid out, the workflow is run in it as `scalable run` does, and the records go where `scalable status`,
    `attach`, `logs` and `report` find them.
    """
    from scalable_core.cli.failure import report_failure
    from scalable_core.cli.host import make_host, quiet_dask
    from scalable_core.cli.terminal import say
    from scalable_core.session.taking import close_record, put_away, taken_over

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # for who follows what the workflow prints
    host = make_host(quiet=quiet, verbose=verbose, offline=False)
    if not verbose:
        quiet_dask()
    with taken_over(place, run, host=host, work=Path.cwd()) as taken:
        os.chdir(taken.workdir)
        try:
            code, failure = _drive(taken, host, quiet=quiet, debug=debug)
        except Exception as error:  # said here, so that it is in the driver's log
            code, failure = report_failure(error, sys.argv[1:]), error
        _hear_nothing()
        close_record(taken, failure)
        made = put_away(taken)
        if made:
            where = f"are in {taken.project}" if taken.order.stores else "go with this machine"
            say(f"files of the workflow {where}: {', '.join(made[:5])}")
    return code


def _hear_nothing() -> None:
    """Let nobody end this process any more: all is released, and the last words follow."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _drive(
    taken: Taken, host: PluginHost, *, quiet: bool, debug: bool
) -> tuple[int, BaseException | None]:
    """Run the workflow; return the exit code and what went wrong."""
    from scalable_core.cli.display import Lines
    from scalable_core.cli.outcome import report_outcome
    from scalable_core.cli.terminal import look_of
    from scalable_core.cli.watch import Watch
    from scalable_core.session.driver import run_workflow
    from scalable_core.session.limits import end_hard
    from scalable_core.session.taking import make_driver_plan

    plan, look = make_driver_plan(taken, host=host), look_of(sys.stderr)
    end_hard(plan.target.options)
    with Watch(Lines(look, quiet=quiet)) as watch:
        outcome = run_workflow(
            plan,
            host=host,
            workflow=taken.workflow,
            arguments=taken.order.arguments,
            sink=watch,
            budget=taken.order.budget,
            resumed=taken.order.resumed,
            run_id=taken.order.run,
            copied=True,
        )
        _hear_nothing()
        watch.finish(outcome.records)
    code = report_outcome(
        outcome,
        watch.elapsed,
        look,
        plan=plan,
        workflow=taken.workflow,
        here=taken.workdir,
        quiet=quiet,
        debug=debug,
    )
    return code, outcome.error
