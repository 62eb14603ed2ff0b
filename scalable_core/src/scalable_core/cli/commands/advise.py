"""``scalable advise``: what to ask for next time."""

from __future__ import annotations

import sys

import click

from scalable_core.cli.options import common_options, json_option


@click.command
@click.option("--task", required=True, metavar="NAME", help="Task, or function, to advise on.")
@click.option(
    "--confidence",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.95,
    show_default=True,
    help="How sure the advice must be.",
)
@json_option
@common_options
def command(
    task: str, confidence: float, as_json: bool, quiet: bool, verbose: int, debug: bool
) -> int:
    """Advise memory, time and workers for a task, from what its calls needed before.

    All runs on the target of the latest one are looked at. A bound is given only when there were enough calls
    to be that sure that 95% of all calls stay below it, whatever they are like.
    """
    from difflib import get_close_matches

    from scalable_core.cli.history import runs_folder
    from scalable_core.cli.render.advice import advice_document, render_advice
    from scalable_core.cli.terminal import look_of, show, show_json
    from scalable_core.errors import UsageError
    from scalable_core.records.advice import advise
    from scalable_core.records.reading import read_all

    histories = list(read_all(runs_folder()))
    if not histories:
        raise UsageError(
            f"there are no runs in {runs_folder()}", cure="make one with: scalable run"
        )
    advice = advise(histories, task, confidence=confidence)
    if advice is None:
        names = {row.task for history in histories for row in history.tasks if row.state == "done"}
        close = get_close_matches(task, sorted(names), n=1)
        known = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(sorted(names))}"
        raise UsageError(
            f"no call of task {task!r} has given a result in any run",
            cure=known if names else "run it first: scalable run",
        )
    if as_json:
        show_json(advice_document(advice))
        return 0
    for line in render_advice(advice, look_of(sys.stdout)):
        show(line)
    return 0
