"""``scalable runs``: what was run here, the latest first."""

from __future__ import annotations

import sys

import click

from scalable_core.cli.options import common_options, json_option


@click.command
@click.option(
    "--shared", is_flag=True, help="Also those of other machines, from the project's storage."
)
@json_option
@common_options
def command(shared: bool, as_json: bool, quiet: bool, verbose: int, debug: bool) -> int:
    """List the runs of this project, the latest first.

    They are read from .scalable/runs beside the manifest. A run that was killed reads interrupted. Records of
    runs on clouds, and of local ones with project.mirror, are in the project's storage too: --shared lists
    what is only there, and scalable report fetches it.
    """
    from scalable_core.cli.history import runs_folder
    from scalable_core.cli.render.runs import render_runs, runs_document
    from scalable_core.cli.shared import refresh_copies
    from scalable_core.cli.terminal import look_of, say, show, show_json
    from scalable_core.records.overview import list_overviews

    refresh_copies()
    runs = list_overviews(runs_folder())
    if shared:
        from scalable_core.cli.shared import list_shared

        runs += list_shared({run.record.run for run in runs})
        runs.sort(key=lambda run: run.started, reverse=True)
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
