"""What a scheduler does so that workers are reached: it dials them, and keeps the relay for the others.

It needs the standard library only, so it can also run where workers run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from scalable_core.cluster.relay import Relay, reach

#: Seconds for which the next worker is dialled once another could not be reached.
IMPATIENCE = 5.0


class Exchange:
    """The scheduler's part of the transport.

    Args:
        host: Where the scheduler listens.
        relay: Port and ports of the relay, and patience; None for no relay.
    """

    def __init__(self, host: str, relay: Mapping[str, Any] | None) -> None:
        self._host, self._plan = host, relay
        self._relay: asyncio.Future[Relay] | None = None
        self._verdicts: dict[str, str | None] = {}
        self._news: list[str] = []

    def news(self) -> list[str]:
        """Return the sentences that were not returned yet."""
        said, self._news = self._news, []
        return said

    async def dial(self, name: str, host: str, port: int, word: str) -> str | None:
        """Dial a worker that waits for it; None when it was reached, else why not."""
        failed = any(reason is not None for reason in self._verdicts.values())
        patience = float(self._plan["patience"]) if self._plan else 0.0
        reason = await reach(host, port, word, min(patience, IMPATIENCE) if failed else patience)
        if reason not in self._verdicts.values():
            self._news.append(
                f"transport vpc: the scheduler reaches {name} at {host}:{port}"
                if reason is None
                else f"transport relay: the scheduler cannot reach {name} at {host}:{port}: {reason}"
            )
        self._verdicts[name] = reason
        return reason

    async def serve(self, comm: Any, key: str | None = None, port: int = 0) -> None:
        """Be the relay for a worker, over its line, until that breaks."""
        if self._plan is None:
            await comm.write({"refused": "this run has no relay"})
            return
        if self._relay is None:
            low, high = self._plan["ports"]
            self._relay = asyncio.ensure_future(
                Relay(self._host, self._plan["port"], (low, high)).open()
            )
        try:
            relay = await asyncio.shield(self._relay)
            await relay.serve(comm, key, port)
        except OSError as error:
            await comm.write({"refused": str(error)})
