"""How far a run is, as its scheduler counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalable_core.types import Progress, TaskCounts

if TYPE_CHECKING:
    from scalable_core.session.client import ScalableClient


def read_progress(client: ScalableClient) -> Progress:
    """Return what the scheduler has counted until now. Safe to call from any thread."""
    counts = client.sync(client.scheduler.scalable_progress)
    workers = counts["workers"]
    return Progress(
        tasks={name: TaskCounts(**count) for name, count in counts["tasks"].items()},
        workers=workers["now"],
        added=workers["added"],
        lost=workers["lost"],
    )
