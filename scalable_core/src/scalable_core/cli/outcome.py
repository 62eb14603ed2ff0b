"""From the way a workflow ended to what the user reads and the exit code."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalable_core.cli.failure import INTERRUPTED, exit_code, is_of_plugin
from scalable_core.cli.options import next_command
from scalable_core.cli.render.failure import error_document, render_error, render_traceback
from scalable_core.cli.render.run import render_stop, render_verdict
from scalable_core.cli.terminal import Look, say
from scalable_core.errors import BudgetReachedError, ManifestError, ScalableError
from scalable_core.records.report.words import short_id
from scalable_core.types import RUN_SCHEMA, Plan, to_data

if TYPE_CHECKING:
    from scalable_core.session.driver import RunOutcome


def workflow_exit_code(error: BaseException | None) -> int:
    """Return the exit code of a run: 1 for whatever the workflow raised, save what is the provider's."""
    if error is None:
        return 0
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, BudgetReachedError):
        return error.exit_code
    return exit_code(error) if _is_not_the_workflows(error) else 1


def report_outcome(
    outcome: RunOutcome,
    seconds: float,
    look: Look,
    *,
    plan: Plan,
    workflow: Path,
    here: Path,
    quiet: bool,
    debug: bool,
) -> int:
    """Print how a run ended and return the exit code.

    Args:
        outcome: From the driver.
        seconds: Wall time.
        look: Of stderr.
        plan: What was run.
        workflow: The file.
        here: The folder the command was typed in; the workflow may have left it.
        quiet: Say nothing when all went well.
        debug: Show tracebacks whole.
    """
    error = outcome.error
    if error is None and quiet:
        return 0
    lines = [] if error is None else _render(error, look, workflow, debug=debug)
    places = [_near(_write_report(folder) or folder, here) for folder in outcome.folders]
    lines += render_verdict(outcome.records, places, error, seconds, look)
    if isinstance(error, BudgetReachedError):
        run = short_id(outcome.records[-1].run)
        manifest = str(_near(Path(plan.manifest), here))
        again = f"{next_command('run', manifest, plan.target.name)} --resume {run}"
        lines += render_stop(outcome.records, again, look)
    for line in lines:
        say(line)
    return workflow_exit_code(error)


def outcome_documents(outcome: RunOutcome) -> Iterator[dict[str, Any]]:
    """Yield how a run ended as plain data: a record for each session, then the error."""
    for record, folder in zip(outcome.records, outcome.folders, strict=True):
        yield {"schema": RUN_SCHEMA, **to_data(record), "run_dir": str(folder)}
    if outcome.error is not None:
        yield error_document(outcome.error, workflow_exit_code(outcome.error))


def _write_report(folder: Path) -> Path | None:
    """Write the report of a run into its folder and return where it is; None when it cannot be written."""
    from scalable_core.records.reading import read_history
    from scalable_core.records.report import report_page
    from scalable_core.records.report.document import make_report

    path = folder / "report.html"
    try:
        path.write_text(report_page(make_report(read_history(folder))), encoding="utf-8")
    except (OSError, ScalableError):
        return None
    return path


def _render(error: BaseException, look: Look, workflow: Path, *, debug: bool) -> list[str]:
    if isinstance(error, (KeyboardInterrupt, BudgetReachedError)):
        return []
    if debug:
        return "".join(traceback.format_exception(error)).rstrip().splitlines()
    if _is_not_the_workflows(error):
        return render_error(error, look)
    if isinstance(error, SystemExit):
        reason = (
            f"with code {error.code}" if isinstance(error.code, int) else f"saying: {error.code}"
        )
        return [f"the workflow ended itself {reason}"]
    lines, left_out = render_traceback(error, workflow)
    hint = "frames of Scalable and Dask are left out; --debug shows them"
    return [*lines, look.paint(hint, "dim")] if left_out else lines


def _is_not_the_workflows(error: BaseException) -> bool:
    return isinstance(error, ManifestError) or is_of_plugin(error)


def _near(folder: Path, here: Path) -> Path:
    near = Path(os.path.relpath(folder, here))
    return folder if near.parts[:1] == ("..",) else near
