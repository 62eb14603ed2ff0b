"""``scalable report``: what happened in a run."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from scalable_core.cli.options import common_options, json_option, writing

if TYPE_CHECKING:
    from scalable_core.records.report.document import Report


@click.command
@click.argument("run", required=False)
@click.option("--latest", "--last", "latest", is_flag=True, help="The latest run, as without RUN.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "html"]),
    default="text",
    help="text, json, or html: one file that works offline.  [default: text]",
)
@click.option("-o", "--output", metavar="FILE", help="Write to a file instead of stdout.")
@click.option("--failures", is_flag=True, help="Only what failed, by cause.")
@click.option(
    "--compare", nargs=2, metavar="A B", help="What changed from run A to run B, and why."
)
@json_option
@common_options
def command(
    run: str | None,
    latest: bool,
    form: str,
    output: str | None,
    failures: bool,
    compare: tuple[str, str] | None,
    as_json: bool,
    quiet: bool,
    verbose: int,
    debug: bool,
) -> int:
    """Say what happened in a run.

    RUN is any part of its id that no other run has, such as brisk-otter, or the path of its folder; without
    it the latest run is meant. A run of another machine is fetched when its records are in the project's
    storage. The page of --format html is written into the run's folder.

    \b
    scalable report
    scalable report brisk-otter --format html
    scalable report --compare calm-heron brisk-otter
    """
    from scalable_core.errors import UsageError

    form = "json" if as_json else form
    if run and latest:
        raise UsageError("--latest names a run, and so does RUN", cure="leave one of them out")
    if compare and (run or latest or failures or form == "html"):
        raise UsageError(
            "--compare takes two runs, and text or json as the format",
            cure="scalable report --compare A B",
        )
    if compare:
        return _write(_comparison(compare, form, output, quiet=quiet), output, quiet=quiet)
    return _report(run, form, output, only_failures=failures, quiet=quiet)


def _report(
    run: str | None, form: str, output: str | None, *, only_failures: bool, quiet: bool
) -> int:
    from scalable_core.cli.shared import find_run_anywhere
    from scalable_core.records.reading import read_history
    from scalable_core.records.report.document import make_report

    folder = find_run_anywhere(run, quiet=quiet)
    report = make_report(read_history(folder))
    if form == "html":
        from scalable_core.cli.terminal import say, show
        from scalable_core.records.report import report_page

        path = output or os.path.relpath(folder / "report.html")
        with writing(path) as file:
            file.write_text(report_page(report), encoding="utf-8")
        show(path)
        if not quiet:
            say(f"Next: open {path} in a browser; it needs nothing else")
        return 0
    lines = _lines(report, form, output, only_failures=only_failures)
    _write(lines, output, quiet=quiet)
    if form == "text" and output is None and not quiet:
        _say_next(report, run, only_failures=only_failures)
    return 0


def _lines(report: Report, form: str, output: str | None, *, only_failures: bool) -> list[str]:
    import json

    from scalable_core.cli.render.report import render_failures, render_report
    from scalable_core.cli.terminal import Look, look_of
    from scalable_core.records.report import report_document

    if form == "json":
        document = report_document(report)
        if only_failures:
            document = {key: document[key] for key in ("schema", "run", "failures")}
        return [json.dumps(document, indent=2)]
    look = look_of(sys.stdout) if output is None else Look()
    return render_failures(report, look) if only_failures else render_report(report, look)


def _comparison(names: tuple[str, str], form: str, output: str | None, *, quiet: bool) -> list[str]:
    import json

    from scalable_core.cli.render.comparison import render_comparison
    from scalable_core.cli.shared import find_run_anywhere
    from scalable_core.cli.terminal import Look, look_of
    from scalable_core.records.compare import compare, comparison_document
    from scalable_core.records.reading import read_history

    first, second = (read_history(find_run_anywhere(name, quiet=quiet)) for name in names)
    comparison = compare(first, second)
    if form == "json":
        return [json.dumps(comparison_document(comparison), indent=2)]
    look = look_of(sys.stdout) if output is None else Look()
    return render_comparison(comparison, look)


def _write(lines: list[str], output: str | None, *, quiet: bool) -> int:
    from scalable_core.cli.terminal import say, show

    if output is None:
        for line in lines:
            show(line)
        return 0
    with writing(output) as path:
        Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")
    if not quiet:
        say(f"Wrote {output}")
    return 0


def _say_next(report: Report, run: str | None, *, only_failures: bool) -> None:
    from scalable_core.cli.terminal import say

    name = f" {run}" if run else ""
    if report.failures and not only_failures:
        say(f"Next: scalable report{name} --failures")
    else:
        say(f"Next: scalable report{name} --format html")
