"""Client-side token buckets: calls wait here, so that the service need not refuse them. No Dask."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from scalable_core.cluster.launcher import Rate


class Bucket:
    """A token bucket. Those who wait are served in order.

    Args:
        rate: How fast it fills and how much it holds.
    """

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self._tokens = rate.burst
        self._filled = time.monotonic()
        self._turn = asyncio.Lock()

    async def take(self, count: float = 1.0) -> None:
        """Wait until so many tokens are there and take them; more than the bucket holds are taken in parts."""
        async with self._turn:
            while count > 0:
                part = min(count, self.rate.burst)
                await self._wait_for(part)
                self._tokens -= part
                count -= part

    def empty(self) -> None:
        """Take all that is there: the service has refused a call."""
        self._fill()
        self._tokens = min(self._tokens, 0.0)

    async def _wait_for(self, count: float) -> None:
        self._fill()
        while self._tokens < count:
            await asyncio.sleep((count - self._tokens) / self.rate.per_second)
            self._fill()

    def _fill(self) -> None:
        now = time.monotonic()
        gained = (now - self._filled) * self.rate.per_second
        self._tokens = min(self.rate.burst, self._tokens + gained)
        self._filled = now


class Pace:
    """The buckets of one launcher by name; what has no rate is not held back.

    Args:
        rates: `Launcher.rates`.
    """

    def __init__(self, rates: Mapping[str, Rate]) -> None:
        self._buckets = {name: Bucket(rate) for name, rate in rates.items()}

    async def take(self, name: str, count: float = 1.0) -> None:
        """Wait for the turn of a call, or of so many members."""
        if name in self._buckets:
            await self._buckets[name].take(count)

    def empty(self, name: str) -> None:
        """Begin anew from an empty bucket."""
        if name in self._buckets:
            self._buckets[name].empty()
