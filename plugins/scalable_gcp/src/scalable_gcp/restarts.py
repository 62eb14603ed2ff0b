"""Pools whose containers end as soon as they start: Cloud Run starts them again and again, for money."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from scalable_core.member.boot import MARK
from scalable_gcp.cloud import CallError, Cloud
from scalable_gcp.logs import entries_of, last_lines, of_pool, text_of

logger = logging.getLogger("scalable.fleet")

#: What Cloud Run itself writes when a container has ended.
_ENDED = ("Container called exit", "Container terminated on signal")
#: Ends of each instance of a pool after which no other is waited for.
ENOUGH = 3
#: Seconds between looks, and for which a pool is watched: its workers have joined by then, or are given up.
EVERY, WATCHED = 10.0, 900.0


class Restarts:
    """Looks for such pools of one run, in what Cloud Logging has.

    Args:
        cloud: Where.
        stem: What the names of the run's pools begin with.
    """

    def __init__(self, cloud: Cloud, stem: str) -> None:
        self._cloud, self._stem = cloud, stem
        self._born: dict[str, float] = {}
        self._began = datetime.now(UTC).isoformat()
        self._next = time.monotonic() + EVERY

    async def look(self, pools: Mapping[str, Sequence[str]]) -> dict[str, str]:
        """Return the pools that will not come up, each with what to say of it.

        Args:
            pools: Whole name to the names of its members.
        """
        now = time.monotonic()
        for pool in pools:
            self._born.setdefault(pool, now)
        young = {pool for pool in pools if now - self._born[pool] < WATCHED}
        if not young or now < self._next:
            return {}
        self._next = now + EVERY
        said = " OR ".join(f'textPayload:"{words}"' for words in (*_ENDED, MARK.strip(": ")))
        which = f'{of_pool(f"{self._stem}-*")} AND timestamp>="{self._began}" AND ({said})'
        try:
            entries = await entries_of(self._cloud, which, newest=True)
        except CallError as error:
            logger.warning("what has ended too early cannot be read: %s", error)
            return {}
        ends, errors = Counter[str](), Counter[str]()
        for entry in entries:
            pool, text = _pool_of(entry), text_of(entry)
            ends[pool] += text.startswith(_ENDED)
            errors[pool] += MARK in text and '"error"' in text
        return {
            pool: await self._explain(pool, ends[short])
            for pool in young
            for short in [pool.rpartition("/")[2]]
            if ends[short] >= ENOUGH * len(pools[pool]) or errors[short] >= len(pools[pool])
        }

    async def _explain(self, pool: str, ends: int) -> str:
        lines = await last_lines(self._cloud, of_pool(pool), 20)
        words = next((line for line in reversed(lines) if not line.startswith((*_ENDED, MARK))), "")
        said = f", and its last words were: {words}" if words.strip() else ""
        return f"its container has ended {ends} times, as soon as it was started{said}"


def _pool_of(entry: Mapping[str, Any]) -> str:
    return str(entry.get("resource", {}).get("labels", {}).get("worker_pool_name"))
