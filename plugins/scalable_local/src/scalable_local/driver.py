"""The driver of a detached run: a process of its own session, which the one that starts it may leave."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime

from scalable_core.errors import ClusterError
from scalable_core.types import BundleRef, ClusterRecord, HookContext, Plan
from scalable_local.release import process_resource

#: What the driver writes, in the run's folder.
LOG = "driver.log"


def start(plan: Plan, bundle: BundleRef, context: HookContext, *, provider: str) -> ClusterRecord:
    """Start the driver and return what it takes to end it.

    Raises:
        ClusterError: The process cannot be started.
    """
    assert context.run is not None
    assert context.run_dir is not None
    secrets = context.secrets() if context.secrets else {}
    try:
        with (context.run_dir / LOG).open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *bundle.command],
                cwd=context.run_dir,
                env={**os.environ, **secrets},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
    except OSError as error:
        raise ClusterError(
            f"the driver cannot be started: {error.strerror}", cure="see that the disk is not full"
        ) from error
    found = process_resource(process.pid, context.run)
    return ClusterRecord(
        provider=provider,
        run=context.run,
        project=plan.project.name,
        target=plan.target.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        resources=() if found is None else (found,),
    )
