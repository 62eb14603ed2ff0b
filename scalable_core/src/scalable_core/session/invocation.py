"""What `scalable run` has decided before the workflow starts, for the sessions that the workflow makes."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import define, field

from scalable_core import __version__
from scalable_core.plugins import PluginHost
from scalable_core.records import new_run_id
from scalable_core.records.folder import now
from scalable_core.types import EventSink, Plan, RunRecord

if TYPE_CHECKING:
    from scalable_core.session.session import ScalableSession


@define(kw_only=True)
class Invocation:
    """The plan that the command line made, and the sessions that have used it.

    Attributes:
        plan: The plan for the command line's manifest, target and overlays.
        host: The plugins, already loaded.
        sink: Hears the events of the sessions; None for nobody.
        workflow: The file that is run.
        arguments: What the workflow is given.
        budget: USD that all its sessions together may cost; None for no limit.
        resumed: The run that this one goes on with.
        run_id: What the first session calls its run; None for a new id.
        copied: Who runs the workflow copies the records of that run to the project's storage.
        sessions: Those that the workflow has made, in order.
    """

    plan: Plan
    host: PluginHost
    sink: EventSink | None = None
    workflow: Path
    arguments: tuple[str, ...] = ()
    budget: float | None = None
    resumed: str | None = None
    run_id: str | None = None
    copied: bool = False
    sessions: list[ScalableSession] = field(factory=list)

    def spent(self, *, but: ScalableSession) -> float:
        """Return USD that all sessions but one have cost."""
        return sum(session.spent for session in self.sessions if session is not but)

    def find(self, path: str | Path) -> Path | None:
        """Return the command line's manifest if ``path`` in the workflow means that one, else None.

        A relative path is looked up from the current folder and from the workflow's own, so that a
        workflow with ``from_yaml("./scalable.yaml")`` runs from anywhere.
        """
        manifest = Path(self.plan.manifest).resolve()
        for folder in (Path.cwd(), self.workflow.parent):
            if (folder / path).resolve() == manifest:
                return manifest
        return None


def first_record(plan: Plan, run_id: str) -> RunRecord:
    """Return what is recorded of a run when it starts."""
    run = current()
    return RunRecord(
        run=run_id,
        project=plan.project.name,
        target=plan.target.name,
        provider=plan.target.provider,
        status="running",
        started=now(),
        lock=plan.lock,
        host=socket.gethostname(),
        pid=os.getpid(),
        version=__version__,
        workflow=None if run is None else str(run.workflow),
        arguments=() if run is None else run.arguments,
        resumed=None if run is None else run.resumed,
        detached=plan.detached,
    )


def next_run_id() -> str:
    """Return the id of the run that is about to be made."""
    run = current()
    first = run is not None and not run.sessions and run.run_id
    return first or new_run_id()


_current: Invocation | None = None


def current() -> Invocation | None:
    """Return the invocation that this process is in, None outside `scalable run`."""
    return _current


@contextmanager
def invoked(invocation: Invocation) -> Iterator[Invocation]:
    """Make ``invocation`` the current one."""
    global _current
    previous, _current = _current, invocation
    try:
        yield invocation
    finally:
        _current = previous
