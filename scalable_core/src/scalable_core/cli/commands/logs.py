"""``scalable logs``: what the members of a run wrote."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from scalable_core.cli.options import common_options

if TYPE_CHECKING:
    from scalable_core.plugins import PluginHost
    from scalable_core.types import LogLine

LOG_SCHEMA = "scalable.log-line/1"


@click.command
@click.argument("run", required=False)
@click.option("--worker", metavar="NAME", help="Only this worker, or: scheduler.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
@common_options
def command(
    run: str | None,
    worker: str | None,
    follow: bool,
    as_json: bool,
    quiet: bool,
    verbose: int,
    debug: bool,
) -> int:
    """Print what the workers and the scheduler of a run wrote.

    RUN is any part of its id; without it the latest run is meant. Where a provider keeps no such lines, what
    the run itself reported is printed: workers of this machine write to the terminal of their run.

    \b
    scalable logs
    scalable logs brisk-otter --worker simulate-3 --follow
    """
    from scalable_core.cli.history import runs_folder
    from scalable_core.cli.host import make_host
    from scalable_core.cli.terminal import clean, say, show
    from scalable_core.records.reading import find_run

    host = make_host(quiet=quiet, verbose=verbose, offline=False)
    folder = find_run(runs_folder(), run)
    lines = _provider_lines(folder, worker, follow, host)
    if lines is None:
        if not quiet:
            say(f"The provider keeps no logs of {folder.name}; this is what the run reported:")
        lines = _events(folder)
    try:
        for line in lines:
            if as_json:
                show(json.dumps({"schema": LOG_SCHEMA, **_plain(line)}))
            else:
                show(f"{_clock(line.time)}{clean(line.member)}  {clean(line.text)}")
    except KeyboardInterrupt:
        if not follow:
            raise
    return 0


def _provider_lines(
    folder: Path, worker: str | None, follow: bool, host: PluginHost
) -> Iterator[LogLine] | None:
    from scalable_core.session.recorded import record_of
    from scalable_core.types import HookContext

    record = record_of(folder)
    context = HookContext(
        project=record.project, run=record.run, workdir=folder.parents[2], run_dir=folder
    )
    return host.read_logs(record, worker, follow, context)


def _events(folder: Path) -> Iterator[LogLine]:
    from scalable_core.records.reading import read_rows
    from scalable_core.types import Event, LogLine

    for event in read_rows(folder / "events.jsonl", Event):
        yield LogLine(member="run", text=event.message, time=event.time)


def _plain(line: LogLine) -> dict[str, object]:
    return {"time": line.time, "member": line.member, "text": line.text}


def _clock(moment: float | None) -> str:
    if moment is None:
        return ""
    return time.strftime("%H:%M:%S  ", time.localtime(moment))
