"""What `scalable run` has decided before the workflow starts, for the sessions that the workflow makes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import define, field

from scalable_core.plugins import PluginHost
from scalable_core.types import EventSink, Plan

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
        sessions: Those that the workflow has made, in order.
    """

    plan: Plan
    host: PluginHost
    sink: EventSink | None = None
    workflow: Path
    sessions: list[ScalableSession] = field(factory=list)

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
