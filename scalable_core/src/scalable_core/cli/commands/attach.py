"""``scalable attach``: a run that goes on elsewhere, as if it were here."""

from __future__ import annotations

import click

from scalable_core.cli.options import common_options


@click.command
@click.argument("run", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
@common_options
def command(run: str | None, as_json: bool, quiet: bool, verbose: int, debug: bool) -> int:
    """Watch a run that goes on in another process, on another machine or in a cloud, until it ends.

    RUN is any part of its id; without it the latest run here is meant. What has happened is said first. Ctrl-C
    ends the watching; the run goes on.

    \b
    scalable attach
    scalable attach brisk-otter

    The exit code is the run's: 0 done, 1 failed, 75 stopped by its budget, 130 interrupted.
    """
    from scalable_core.cli.following import find_tail, watch_run
    from scalable_core.cli.terminal import say
    from scalable_core.records.report.words import short_id

    tail = find_tail(run)
    try:
        return watch_run(tail, as_json=as_json, quiet=quiet)
    except KeyboardInterrupt:
        name = short_id(tail.run)
        say(f"The run goes on. Next: scalable attach {name} | cancel {name}")
        return 0
