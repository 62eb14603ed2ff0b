"""``scalable runs``: what was run here, the latest first."""

from __future__ import annotations

import sys

import click

from scalable_core.cli.options import common_options, json_option


@click.command
@json_option
@common_options
def command(as_json: bool, quiet: bool, verbose: int, debug: bool) -> int:
    """List the runs of this project, the latest first.

    They are read from .scalable/runs beside the manifest. A run that was killed reads interrupted.
    """
    from scalable_core.cli.history import runs_folder
    from scalable_core.cli.render.runs import render_runs, runs_document
    from scalable_core.cli.terminal import look_of, say, show, show_json
    from scalable_core.records.overview import list_overviews

    runs = list_overviews(runs_folder())
    if as_json:
        show_json(runs_document(runs))
        return 0
    if not runs:
        say(f"There are no runs in {runs_folder()}.")
        return 0
    for line in render_runs(runs, look_of(sys.stdout)):
        show(line)
    if not quiet:
        say("Next: scalable report")
    return 0
