"""How a run ends that somebody ends: nothing new starts, what runs may end, what is done is kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scalable_core.session.client import ScalableClient
    from scalable_core.session.kept import KeptResults

#: Seconds that the calls that run may take.
GRACE = 600.0


def drain(
    client: ScalableClient | None, kept: KeptResults | None, ending: Callable[[], bool]
) -> None:
    """Start no call any more, wait for those that run, and keep what is done.

    Args:
        client: The run's; while it has no scheduler, there is nothing to wait for.
        kept: The run's.
        ending: Asked meanwhile: whether the run ends by itself, so that waiting is over.
    """
    if client is None or kept is None or not client.is_connected:
        return
    limit = getattr(client.cluster, "limit_workers", None)
    if limit is not None:
        limit(0)
    client.sync(client.scheduler.scalable_hold)
    deadline, idle = time.monotonic() + GRACE, 0
    # Twice: word that a call has ended, or that none may start, can still be under way at the first look.
    while idle < 2 and time.monotonic() < deadline and not ending():
        idle = 0 if count_running(client) else idle + 1
        time.sleep(0.2)
    kept.keep_done(client)


def count_running(client: ScalableClient) -> int:
    """Return how many calls run, as the workers themselves say."""
    from distributed import Client

    from scalable_core.member.drain import count_running

    try:
        counts = client.sync(
            Client._run, client, count_running, on_error="ignore", callback_timeout=10
        )
    except TimeoutError:
        return 1  # a worker is too busy to answer, so something runs on it
    return sum(counts.values())
