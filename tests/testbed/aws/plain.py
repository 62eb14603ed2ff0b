"""Dask's own schedulers and workers, many in one process: the members of programs that are compared with ours.

They are started with the command lines of ``dask-scheduler`` and ``dask-worker``, and speak TCP as these do.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scalable_core.testing.hive import Hive, Keeper, keep

#: Commands that are members of this kind.
COMMANDS = ("dask-scheduler", "dask-worker")
#: Under which all are kept: their programs give them no run.
RUN = "plain"


class PlainHive(Hive):
    """The process."""

    program = ("-P", __file__)


class _PlainKeeper(Keeper):
    """Inside the process."""

    def start(  # type: ignore[override]
        self, run: str, name: str, words: Sequence[str], address: str
    ) -> None:
        """Start a member by its command line, at its own address."""
        live = self._plan if words[0] == COMMANDS[0] else self._labour
        self.tasks[run, name] = asyncio.ensure_future(live((run, name), list(words), address))

    async def _plan(self, key: tuple[str, str], words: list[str], address: str) -> int:
        from distributed import Scheduler

        own = f"tcp://{address}:8786"
        return await self._live(key, Scheduler(host=own, dashboard=False))

    async def _labour(self, key: tuple[str, str], words: list[str], address: str) -> int:
        from distributed import Worker

        options = dict(zip(words[2::2], words[3::2], strict=True))
        worker = Worker(
            words[1],
            name=options["--name"],
            nthreads=int(options["--nthreads"]),
            host=address,
            memory_limit=0,
            executor=self.threads,
            dashboard=False,
        )
        return await self._live(key, worker)

    async def _live(self, key: tuple[str, str], server: Any) -> int:
        self.servers[key] = await server
        await server.finished()
        return 0


if __name__ == "__main__":
    asyncio.run(keep(Path(sys.argv[1]), _PlainKeeper()))
