"""``scalable status``: what is there now, since when, and what it costs an hour."""

from __future__ import annotations

import sys

import click

from scalable_core.cli.options import common_options, json_option


@click.command
@click.option("-t", "--target", metavar="NAME", help="Ask only this target.  [default: all]")
@json_option
@common_options
def command(target: str | None, as_json: bool, quiet: bool, verbose: int, debug: bool) -> int:
    """List what runs of this project have running, since when, and what it costs an hour.

    Runs are looked for in .scalable/runs beside the manifest, in the project's storage, and at each target's
    service by their tags, so that a run of another machine, or one whose records are lost, is found too. What
    serves all runs and bills nothing, or little, is listed apart.
    """
    from scalable_core.cli.host import make_host
    from scalable_core.cli.kept import manifest_path
    from scalable_core.cli.render.running import found_document, render_found
    from scalable_core.cli.terminal import look_of, say, show, show_json
    from scalable_core.session.running import find_running, open_project

    host = make_host(quiet=quiet, verbose=verbose, offline=False)
    found = find_running(open_project(manifest_path(), target, host=host), host=host)
    if as_json:
        show_json(found_document(found))
        return 0
    for line in render_found(found, look_of(sys.stdout)):
        show(line)
    if any(each.driver == "gone" for each in found.runs) and not quiet:
        say("Next: scalable down --all")
    return 0
