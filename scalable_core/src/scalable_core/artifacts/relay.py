"""How workers and the driver speak of artifacts, by way of the scheduler. Imported only inside functions.

A worker asks, the scheduler keeps the question until the driver has fetched and answered it; the worker waits.
Needs distributed and the standard library only.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from distributed import WorkerPlugin  # noqa: TID253
from distributed.diagnostics.plugin import SchedulerPlugin  # noqa: TID253

from scalable_core.artifacts.task import PLUGIN, Place

if TYPE_CHECKING:
    from distributed import Client

#: Questions that the scheduler holds at one time; each has one piece of data at most.
_HELD = 16
#: Seconds after which the driver asks anew for questions.
_PATIENCE = 2.0
#: Questions that the driver answers at one time.
_THREADS = 8

Message = Mapping[str, Any]


class PlacePlugin(WorkerPlugin):  # type: ignore[misc,unused-ignore]
    """Tells each worker where the run keeps its artifacts.

    Args:
        place: Where.
    """

    name = PLUGIN

    def __init__(self, place: Place) -> None:
        self.place = place


class ArtifactRelay(SchedulerPlugin):  # type: ignore[misc,unused-ignore]
    """Keeps what workers ask until the driver has answered.

    Args:
        driver: The id of the driver's client; when it goes, nobody will answer.
    """

    name = "scalable-artifact-relay"
    idempotent = True

    def __init__(self, driver: str) -> None:
        self._driver = driver
        self._numbers = itertools.count()
        self._new: list[tuple[int, Message]] = []
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._gone = False

    async def start(self, scheduler: Any) -> None:
        """Offer the two sides of the relay."""
        self._news, self._room = asyncio.Event(), asyncio.Semaphore(_HELD)
        scheduler.handlers["scalable_artifacts_ask"] = self.ask
        scheduler.handlers["scalable_artifacts_fetch"] = self.fetch
        scheduler.handlers["scalable_artifacts_answer"] = self.answer
        scheduler.handlers["scalable_artifacts_stop"] = self.stop

    async def ask(self, message: Message) -> Message:
        """Return the driver's answer to a worker's question."""
        async with self._room:
            if self._gone:
                return _nobody()
            number = next(self._numbers)
            future = self._waiting[number] = asyncio.get_running_loop().create_future()
            self._new.append((number, message))
            self._news.set()
            try:
                answer: Message = await future
                return answer
            finally:
                self._waiting.pop(number, None)

    async def fetch(self) -> list[tuple[int, Message]]:
        """Return the questions that are new, at once if there are any, else as soon as there are."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), _PATIENCE)
        new, self._new = self._new, []
        self._news.clear()
        return new

    def answer(self, number: int, answer: Message) -> None:
        """Take the driver's answer to a question."""
        future = self._waiting.get(number)
        if future is not None and not future.done():
            future.set_result(answer)

    def stop(self) -> None:
        """Let the driver's last question for news return; who asks from now on is told that it is gone."""
        self._gone = True
        self._news.set()

    def remove_client(self, scheduler: Any, client: str) -> None:
        """Tell those who wait that the driver is gone."""
        if client == self._driver:
            self._gone = True
            for future in self._waiting.values():
                if not future.done():
                    future.set_result(_nobody())


class Listener(threading.Thread):
    """Answers in the driver what workers ask, until it is closed.

    Args:
        client: A client of a scheduler that has an `ArtifactRelay`.
        answer: Answers one question; called from several threads at once. What it raises goes to the worker.
    """

    def __init__(self, client: Client, answer: Callable[[Message], Message]) -> None:
        super().__init__(name="scalable-artifacts-listener", daemon=True)
        self._client, self._answer = client, answer
        self._done = threading.Event()
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="scalable-artifacts")
        self.start()

    def run(self) -> None:
        """Fetch questions and have them answered."""
        while not self._done.is_set():
            try:
                scheduler = self._client.scheduler
                new = self._client.sync(scheduler.scalable_artifacts_fetch)
            except Exception:
                return  # the scheduler is gone
            for number, message in new:
                self._pool.submit(self._reply, number, message)

    def close(self) -> None:
        """Answer what has been asked, and no more."""
        self._done.set()
        with suppress(Exception):  # the scheduler is gone already
            self._client.sync(self._client.scheduler.scalable_artifacts_stop)
        self.join()
        self._pool.shutdown()

    def _reply(self, number: int, message: Message) -> None:
        try:
            answer: Message = {"row": self._answer(message)}
        except Exception as error:
            text = getattr(error, "message", None) or f"{type(error).__name__}: {error}"
            answer = {"error": text, "cure": getattr(error, "cure", None)}
        with suppress(Exception):  # the scheduler is gone, and the worker with it
            scheduler = self._client.scheduler
            self._client.sync(scheduler.scalable_artifacts_answer, number=number, answer=answer)


def _nobody() -> Message:
    return {"error": "the artifact cannot be stored: the run's driver is gone"}
