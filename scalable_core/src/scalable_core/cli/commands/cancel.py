"""``scalable cancel``: the orderly end of a run, wherever its driver is."""

from __future__ import annotations

import sys

import click

from scalable_core.cli.options import common_options, json_option


@click.command
@click.argument("run")
@json_option
@common_options
def command(run: str, as_json: bool, quiet: bool, verbose: int, debug: bool) -> int:
    """End a run in good order: what runs may end, what is done is kept, everything is released.

    RUN is any part of its id. Its driver is told through the run's folder or the project's storage; no call
    starts any more, those that run may end, and results are kept. Then the service is asked what is left, and
    that is removed. A run whose driver is gone, or has not begun, is released at once.

    What was kept is not done again: scalable run --resume RUN.

    Exit code 3 when something could not be removed.
    """
    from scalable_core.cli.ending import ask_to_end, verify_end
    from scalable_core.cli.following import find_tail, has_begun, watch_run
    from scalable_core.cli.host import make_host
    from scalable_core.cli.render.running import released_document, render_released
    from scalable_core.cli.terminal import look_of, say, show, show_json
    from scalable_core.records.report.words import short_id

    host = make_host(quiet=quiet, verbose=verbose, offline=False)
    tail = find_tail(run)
    record = tail.record()
    if record.status != "running" and record.ended is not None:
        say(f"Run {record.run} has ended: {record.status}.")
        return 0
    if record.status == "running":
        ask_to_end(tail, host=host, what="cancel")
        if has_begun(tail):
            watch_run(tail, as_json=False, quiet=quiet or as_json)
        elif not quiet:
            say(f"The driver of {tail.run} has not begun, so there is nobody to wait for.")
    report, asked = verify_end(tail.run, host=host)
    if as_json:
        show_json(released_document([report], []))
    else:
        for line in render_released([report], asked, look_of(sys.stdout)):
            show(line)
    if not quiet:
        say(f"Next: scalable run --resume {short_id(tail.run)}")
    return 3 if report.remaining else 0
