"""``scalable artifacts``: what runs have stored, and the ways to it."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from scalable_core.cli.options import common_options, json_option

if TYPE_CHECKING:
    from scalable_core.session.artifacts import RunArtifacts
    from scalable_core.types import EventSink

run_option = click.option(
    "--run", metavar="RUN", help="The run, as for ls.  [default: the latest here]"
)


@click.group
def command() -> None:
    """Look at what runs have stored, fetch it, check it, add to it, remove it.

    A run is named by any part of its id that no other run here has, such as brisk-otter. A run whose records
    are on another machine is named by its whole id, or by the URI of its artifacts: s3://bucket/runs/run-...
    """


@command.command("ls")
@click.argument("run", required=False)
@json_option
@common_options
def ls(run: str | None, as_json: bool, quiet: bool, verbose: int, debug: bool) -> int:
    """List the artifacts of a run, the latest run when none is named."""
    from scalable_core.cli.render.artifacts import artifacts_document, render_listing
    from scalable_core.cli.terminal import look_of, say, show, show_json

    artifacts = _open(run, quiet, verbose)
    if as_json:
        show_json(artifacts_document(artifacts))
        return 0
    if not len(artifacts):
        say(f"Run {artifacts.run} has stored no artifacts.")
        return 0
    for line in render_listing(artifacts, look_of(sys.stdout)):
        show(line)
    if not quiet:
        more = f" --run {run}" if run else ""
        say(f"Next: scalable artifacts get NAME{more}")
    return 0


@command.command("get")
@click.argument("name")
@click.option(
    "-o",
    "--output",
    metavar="PATH",
    help="File or folder to write.  [default: the last part of NAME, here]",
)
@run_option
@click.option("--overwrite", is_flag=True, help="Write over files that are something else.")
@common_options
def get(
    name: str,
    output: str | None,
    run: str | None,
    overwrite: bool,
    quiet: bool,
    verbose: int,
    debug: bool,
) -> int:
    """Fetch an artifact or a folder of them.

    NAME is as ls shows it; a dot stands for all artifacts of the run. Digests are checked, and what is here
    already is not fetched again.

    \b
    scalable artifacts get results/scenario_42.json
    scalable artifacts get results -o here --run brisk-otter
    """
    from scalable_core.cli.render.artifacts import sum_up
    from scalable_core.cli.terminal import say, show
    from scalable_core.cli.transfer import TransferBar
    from scalable_core.types.units import format_duration

    name = "" if name == "." else name
    start = time.monotonic()
    with TransferBar("fetching", quiet=quiet) as bar:
        artifacts = _open(run, quiet, verbose, events=bar)
        refs = artifacts.find(name)
        bar.expect(sum(ref.size for ref in refs), len(refs))
        path = artifacts.fetch(name, output, overwrite=overwrite, done=bar.done)
    show(str(path))
    if not quiet:
        took = format_duration(time.monotonic() - start)
        say(f"{sum_up(refs)} in {took}, digests checked")
    return 0


@command.command("put")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.argument("name", required=False)
@run_option
@click.option("--overwrite", is_flag=True, help="Take the place of what has the name already.")
@common_options
def put(
    path: Path,
    name: str | None,
    run: str | None,
    overwrite: bool,
    quiet: bool,
    verbose: int,
    debug: bool,
) -> int:
    """Add a file, or a folder, to the artifacts of a run.

    NAME is where it goes among them; without it, it keeps its own name.
    """
    from scalable_core.cli.terminal import say, show
    from scalable_core.cli.transfer import TransferBar
    from scalable_core.records.report.words import short_id, size

    with TransferBar("storing", quiet=quiet) as bar:
        artifacts = _open(run, quiet, verbose, events=bar)
        artifacts.merge()
        files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
        bar.expect(sum(file.stat().st_size for file in files))
        ref = artifacts.store(name or path.absolute().name, path, overwrite=overwrite)
    show(ref.uri)
    if not quiet:
        say(f"{size(ref.size)} added to run {short_id(artifacts.run)}")
    return 0


@command.command("verify")
@click.argument("run", required=False)
@json_option
@common_options
def verify(run: str | None, as_json: bool, quiet: bool, verbose: int, debug: bool) -> int:
    """Say which artifacts are not what was stored.

    All of them are read again; nothing is written here. Exit code 1 when one was changed or is gone.
    """
    from scalable_core.cli.render.artifacts import checks_document, render_checks
    from scalable_core.cli.terminal import look_of, show, show_json
    from scalable_core.cli.transfer import TransferBar

    with TransferBar("checking", quiet=quiet) as bar:
        artifacts = _open(run, quiet, verbose, events=bar)
        bar.expect(sum(ref.size for ref in artifacts), len(artifacts))
        checks = []
        for check in artifacts.verify():
            bar.done(check.ref)
            checks.append(check)
    if as_json:
        show_json(checks_document(artifacts.run, checks))
    else:
        for line in render_checks(checks, look_of(sys.stdout)):
            show(line)
    return int(any(check.problem for check in checks))


@command.command("rm")
@click.option("--run", metavar="RUN", required=True, help="The run, as for ls.")
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be removed.")
@click.option("-y", "--yes", is_flag=True, help="Remove without asking.")
@common_options
def rm(run: str, dry_run: bool, yes: bool, quiet: bool, verbose: int, debug: bool) -> int:
    """Remove all artifacts of a run. Its records stay.

    It asks on a terminal. Elsewhere it needs --yes.
    """
    from scalable_core.cli.history import runs_folder
    from scalable_core.cli.render.artifacts import shown_place
    from scalable_core.cli.terminal import say, show
    from scalable_core.errors import UsageError
    from scalable_core.records.report.words import count, size
    from scalable_core.session.stored import note_removal

    artifacts = _open(run, quiet, verbose)
    found = artifacts.objects()
    place = shown_place(artifacts)
    what = f"{count(len(found), 'object')} ({size(sum(each.size for each in found))}) in {place}"
    if dry_run:
        show(f"Dry run: would remove {what}.")
        return 0
    if found and not yes:
        if not sys.stdin.isatty():
            raise UsageError(f"this removes {what}", cure="say so: --yes; or look first: -n")
        if not click.confirm(f"Remove {what}?", err=True):
            say("Nothing was removed.")
            return 1
    artifacts.remove()
    note_removal(runs_folder(), artifacts.run)
    show(f"Removed {what}.")
    return 0


def _open(
    run: str | None, quiet: bool, verbose: int, *, events: EventSink | None = None
) -> RunArtifacts:
    from scalable_core.cli.history import runs_folder
    from scalable_core.cli.host import make_host
    from scalable_core.session.stored import open_artifacts

    host = make_host(quiet=quiet, verbose=verbose, offline=False)

    def storage() -> tuple[str, str]:
        from scalable_core.cli.kept import manifest_path, read_project
        from scalable_core.plan.build import locate_stores

        manifest = read_project(host)
        folder = manifest_path().absolute().parent
        return locate_stores(manifest, folder, os.environ).artifacts, manifest.project.name

    return open_artifacts(run, runs=runs_folder(), storage=storage, host=host, events=events)
