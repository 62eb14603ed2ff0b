"""``scalable logs``: what the members of a run wrote."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from scalable_core.cli.options import common_options

if TYPE_CHECKING:
    from scalable_core.plugins import PluginHost
    from scalable_core.session.following import Tail
    from scalable_core.types import LogLine

LOG_SCHEMA = "scalable.log-line/1"
#: The member that runs the workflow of a detached run.
DRIVER = "driver"


@click.command
@click.argument("run", required=False)
@click.option("--worker", metavar="NAME", help="Only this worker, or: scheduler, driver.")
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
    the run itself reported is printed: workers of this machine write to the terminal of their run, and those of
    a detached run to its driver's log.

    \b
    scalable logs
    scalable logs brisk-otter --worker simulate-3 --follow
    """
    from scalable_core.cli.following import find_tail
    from scalable_core.cli.host import make_host
    from scalable_core.cli.terminal import clean, say, show

    host = make_host(quiet=quiet, verbose=verbose, offline=False)
    tail = find_tail(run)
    lines = None if worker == DRIVER else _provider_lines(tail, worker, follow, host)
    if lines is None:
        if not quiet and worker is None and not tail.record().detached:
            say(f"The provider keeps no logs of {tail.run}; this is what the run reported:")
        lines = _run_lines(tail, follow=follow)
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
    tail: Tail, worker: str | None, follow: bool, host: PluginHost
) -> Iterator[LogLine] | None:
    from scalable_core.session.following import FolderTail, StoredTail
    from scalable_core.session.recorded import bare_record, record_of
    from scalable_core.types import HookContext

    if isinstance(tail, FolderTail):
        record, folder = record_of(tail.folder), tail.folder
        context = HookContext(
            project=record.project, run=record.run, workdir=folder.parents[2], run_dir=folder
        )
    else:
        record = tail.cluster() if isinstance(tail, StoredTail) else bare_record(tail.record())
        aside = tail.folder() if isinstance(tail, StoredTail) else None
        context = HookContext(project=record.project, run=record.run, run_dir=aside)
    return host.read_logs(record, worker, follow, context)


def _run_lines(tail: Tail, *, follow: bool) -> Iterator[LogLine]:
    """What the driver wrote, if the run has one of its own; otherwise what the run reported."""
    from scalable_core.session.following import LineReader, read_events
    from scalable_core.session.order import LOG
    from scalable_core.types import LogLine

    detached = tail.record().detached
    reader = LineReader(tail, LOG if detached else "events.jsonl")
    while True:
        last = not follow or tail.record().status != "running"
        if detached:
            for line in reader.lines(last=last):
                yield LogLine(member=DRIVER, text=line)
        else:
            for event in read_events(reader):
                yield LogLine(member="run", text=event.message, time=event.time)
        if last:
            return
        time.sleep(tail.interval)


def _plain(line: LogLine) -> dict[str, object]:
    return {"time": line.time, "member": line.member, "text": line.text}


def _clock(moment: float | None) -> str:
    if moment is None:
        return ""
    return time.strftime("%H:%M:%S  ", time.localtime(moment))
