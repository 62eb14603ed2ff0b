"""Hands a run over to a driver, and says how it is found again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scalable_core.cli.terminal import say, show, show_json
from scalable_core.records.report.words import short_id, size

if TYPE_CHECKING:
    from scalable_core.plugins import PluginHost
    from scalable_core.types import Plan

SCHEMA = "scalable.detached/1"


def hand_over(plan: Plan, host: PluginHost, *, as_json: bool, quiet: bool, **how: Any) -> int:
    """Start a detached run and print its id and what can be done with it; return the exit code.

    Args:
        plan: With ``detached`` set.
        host: The plugins.
        as_json: Print an object instead.
        quiet: Print the id alone.
        **how: As `scalable_core.session.detached.start_detached` takes it.

    Raises:
        UsageError: The project cannot travel, or the target cannot run a driver.
        ProviderError: The driver cannot be started.
    """
    from scalable_core.session.detached import start_detached

    started = start_detached(plan, host=host, **how)
    parcel = started.parcel
    if as_json:
        show_json(
            {
                "schema": SCHEMA,
                "run": started.run,
                "run_dir": str(started.folder),
                "target": plan.target.name,
                "bundle": {
                    "digest": parcel.digest,
                    "size": parcel.size,
                    "files": len(parcel.files),
                },
            }
        )
        return 0
    show(started.run)
    if quiet:
        return 0
    name = short_id(started.run)
    files = len(parcel.files)
    say(f"The project travels: {files} file{'s' * (files != 1)}, {size(parcel.size)}")
    say(f"The run goes on without this machine's terminal, on {plan.target.name}.")
    say(f"Next: scalable attach {name} | logs {name} --follow | cancel {name} | status")
    return 0
