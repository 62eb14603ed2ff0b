"""``scalable drive``: what the driver of a detached run does."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from scalable_core.cli.options import common_options


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
    from scalable_core.cli.display import Lines
    from scalable_core.cli.host import make_host, quiet_dask
    from scalable_core.cli.outcome import report_outcome
    from scalable_core.cli.terminal import look_of, say
    from scalable_core.cli.watch import Watch
    from scalable_core.session.driver import run_workflow
    from scalable_core.session.taking import (
        accounted,
        close_record,
        make_driver_plan,
        put_away,
        take_over,
    )

    host = make_host(quiet=quiet, verbose=verbose, offline=False)
    if not verbose:
        quiet_dask()
    taken = take_over(place, run, host=host, work=Path.cwd())
    os.chdir(taken.workdir)
    look = look_of(sys.stderr)
    with accounted(taken):
        plan = make_driver_plan(taken, host=host)
        with Watch(Lines(look, quiet=quiet)) as watch:
            outcome = run_workflow(
                plan,
                host=host,
                workflow=taken.workflow,
                arguments=taken.order.arguments,
                sink=watch,
                budget=taken.order.budget,
                resumed=taken.order.resumed,
                run_id=run,
            )
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
        close_record(taken, outcome.error)
    made = put_away(taken)
    if made:
        say(f"files of the workflow are in {taken.project}: {', '.join(made[:5])}")
    return code
