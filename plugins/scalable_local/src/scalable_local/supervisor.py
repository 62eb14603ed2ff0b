"""One place for a worker in a cluster, filled again whenever the worker is gone. Import it inside functions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any

from distributed.deploy.spec import ProcessInterface  # noqa: TID253

#: Starts in a row that may fail before a place is given up.
ATTEMPTS = 3
#: Seconds before the second attempt; doubled for each further one.
PAUSE = 0.5
#: Seconds that a worker must have lived for its end not to count as a failed start.
STEADY = 2.0


class SupervisedWorker(ProcessInterface):
    """Keeps one worker of a `SpecCluster` alive: starts it, and replaces it when it ends by itself.

    Its `start` returns at once, so that no worker waits for another.

    Args:
        scheduler: The scheduler's address.
        name: The worker's name; its replacements have the same.
        make: Makes a worker from address and name: it can be awaited, and has ``finished()``, ``close()`` and
            perhaps ``retired``.
        on_retired: Called with the name when the worker was closed on purpose.
        on_failure: Called with the name, the error, and whether the place is given up.
        **facts: What Dask wants to read in a worker's specification; not used here.
    """

    def __init__(
        self,
        scheduler: str,
        *,
        name: str,
        make: Callable[[str, str], Any],
        on_retired: Callable[[str], None],
        on_failure: Callable[[str, BaseException, bool], None],
        **facts: Any,
    ) -> None:
        super().__init__(scheduler=scheduler, name=name)
        self.name = name
        self.member: Any = None
        self._scheduler, self._make = scheduler, make
        self._on_retired, self._on_failure = on_retired, on_failure
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to keep a worker alive."""
        self._task = asyncio.create_task(self._keep())
        await super().start()

    async def close(self) -> None:
        """Stop the worker and do not replace it."""
        task, self._task = self._task, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()
            await asyncio.wait([task])
        await self._end_member()
        await super().close()

    async def _keep(self) -> None:
        failures = 0
        while True:
            error = await self._live()
            if error is None:
                failures = 0
                continue
            failures += 1
            given_up = failures >= ATTEMPTS
            self._on_failure(self.name, error, given_up)
            if given_up:
                return
            await asyncio.sleep(PAUSE * 2 ** (failures - 1))

    async def _live(self) -> BaseException | None:
        """Let one worker live; return why it must not be replaced at once."""
        born = monotonic()
        try:
            self.member = self._make(self._scheduler, self.name)
            await self.member
            await self.member.finished()
        except Exception as error:
            await self._end_member()
            return error
        if getattr(self.member, "retired", False):
            self._on_retired(self.name)
            await asyncio.Event().wait()  # until closed
        await self._end_member()
        return (
            None if monotonic() - born > STEADY else RuntimeError("it ended soon after its start")
        )

    async def _end_member(self) -> None:
        if self.member is not None:
            with suppress(Exception):
                await self.member.close()
