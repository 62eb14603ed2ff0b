"""Who hears what becomes of the members of a fleet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from scalable_core.cluster.launcher import LaunchFailure


class Listener(Protocol):
    """Hears what becomes of a crew."""

    def say(self, kind: str, message: str, **data: Any) -> None:
        """Take an event for the records."""

    def group_failed(self, group: str, failure: LaunchFailure) -> None:
        """Take note that a group has no member and will get none."""

    def scheduler_lost(self, failure: LaunchFailure) -> None:
        """Take note that the scheduler's member has ended."""
