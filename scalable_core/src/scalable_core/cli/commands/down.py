"""``scalable down``: the end of runs and of everything that they have created."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from scalable_core.cli.options import common_options, json_option

if TYPE_CHECKING:
    from scalable_core.plugins import PluginHost
    from scalable_core.session.running import Found, FoundRun, Project
    from scalable_core.types import ReleaseReport


@click.command
@click.argument("run", required=False)
@click.option("--all", "everything", is_flag=True, help="All runs of this project.")
@click.option(
    "--standing", is_flag=True, help="Also what serves all runs; only when no run is left."
)
@click.option("-t", "--target", metavar="NAME", help="Ask only this target.  [default: all]")
@click.option("-n", "--dry-run", is_flag=True, help="Show what would be removed.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@json_option
@common_options
def command(
    run: str | None,
    everything: bool,
    standing: bool,
    target: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    quiet: bool,
    verbose: int,
    debug: bool,
) -> int:
    """End a run and remove everything that it has created.

    RUN is any part of its id. What is on record and what carries the run's tag at the service is removed, in
    an order that the service accepts; then the service is asked again, and what it still shows is said. A run
    whose process is alive on this machine is interrupted first, and releases what it has by itself.

    \b
    scalable down brisk-otter
    scalable down --all -n
    scalable down --all --yes
    scalable down --all --standing

    Exit code 3 when something could not be removed, or a target could not be asked.
    """
    from scalable_core.cli.host import make_host
    from scalable_core.cli.kept import manifest_path
    from scalable_core.cli.render.running import found_document, render_found
    from scalable_core.cli.terminal import look_of, say, show, show_json
    from scalable_core.errors import UsageError
    from scalable_core.session.running import choose, find_running, open_project

    if (run is None) == (not everything) and not (standing and run is None):
        raise UsageError(
            "say which run is to end, or --all", cure="see what there is: scalable status"
        )
    host = make_host(quiet=quiet, verbose=verbose, offline=False)
    project = open_project(manifest_path(), target, host=host)
    found = find_running(project, host=host)
    runs = [choose(found, run)] if run else list(found.runs) if everything else []
    if standing and len(runs) < len(found.runs):
        raise UsageError(
            f"runs still use it: {', '.join(sorted({e.record.run for e in found.runs}))}",
            cure="end them too: scalable down --all --standing",
        )
    meant = _meant(found, runs, standing=standing)
    if dry_run:
        if as_json:
            show_json({**found_document(meant), "dry_run": True})
        else:
            for line in render_found(meant, look_of(sys.stdout), would=True):
                show(line)
        return 0
    if not as_json:
        for line in render_found(meant, look_of(sys.stderr), would=True):
            say(line)
    if (runs or meant.standing) and not _consents(yes=yes):
        say("Nothing was removed.")
        return 0
    return _remove(meant, project, host, as_json=as_json)


def _meant(found: Found, runs: list[FoundRun], *, standing: bool) -> Found:
    """What is to be removed, of all that was found."""
    from attrs import evolve

    return evolve(found, runs=tuple(runs), standing=found.standing if standing else ())


def _consents(*, yes: bool) -> bool:
    from scalable_core.errors import UsageError

    if yes:
        return True
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            "there is no terminal to ask on", cure="agree with --yes; see what is meant with -n"
        )
    return click.confirm("Remove it?", default=False, err=True)


def _remove(meant: Found, project: Project, host: PluginHost, *, as_json: bool) -> int:
    from scalable_core.cli.render.running import released_document, render_released
    from scalable_core.cli.terminal import look_of, say, show, show_json
    from scalable_core.errors import ScalableError
    from scalable_core.session.running import end_run, end_standing

    reports: list[ReleaseReport] = []
    troubles = list(meant.unasked)
    for each in meant.runs:
        try:
            reports.append(end_run(each, project, host=host))
        except ScalableError as error:
            troubles.append(f"{each.record.run} cannot be released: {error}")
    if meant.standing and not troubles and not any(each.remaining for each in reports):
        reports += end_standing(meant, project, host=host)
    if as_json:
        show_json(released_document(reports, troubles))
    else:
        look = look_of(sys.stdout)
        for line in render_released(reports, meant.asked, look):
            show(line)
        for trouble in troubles:
            say(f"{look_of(sys.stderr).paint('!', 'red')} {trouble}")
    return 3 if troubles or any(report.remaining for report in reports) else 0
