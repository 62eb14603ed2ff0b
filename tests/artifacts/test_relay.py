"""What workers ask about artifacts waits at the scheduler for the driver, a bounded number at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest

from scalable_core.artifacts.later import Later
from scalable_core.artifacts.relay import ArtifactRelay
from scalable_core.errors import StorageError


def at_a_scheduler(work: Callable[[ArtifactRelay], Coroutine[Any, Any, None]]) -> None:
    """Do something with a relay on its event loop."""

    async def run() -> None:
        relay = ArtifactRelay("driver")
        await relay.start(SimpleNamespace(handlers={}))
        await work(relay)

    asyncio.run(asyncio.wait_for(run(), 60))


def ask(relay: ArtifactRelay, number: int) -> asyncio.Task[Any]:
    return asyncio.ensure_future(relay.ask({"question": number}))


def test_each_worker_gets_the_answer_to_its_question() -> None:
    """In whatever order the driver answers."""

    async def work(relay: ArtifactRelay) -> None:
        first, second = ask(relay, 1), ask(relay, 2)
        asked = await relay.fetch()
        asked += [] if len(asked) == 2 else await relay.fetch()
        for number, message in reversed(asked):
            relay.answer(number, {"row": message["question"] * 10})

        assert [await first, await second] == [{"row": 10}, {"row": 20}]

    at_a_scheduler(work)


def test_only_so_many_questions_are_held() -> None:
    """Each may have a piece of data, and the scheduler's memory is bounded; the others come later."""

    async def work(relay: ArtifactRelay) -> None:
        questions = [ask(relay, number) for number in range(40)]
        answered = 0
        while answered < 40:
            await asyncio.sleep(0)
            new = await relay.fetch()
            assert len(new) <= 16
            for number, message in new:
                relay.answer(number, {"row": message["question"]})
                answered += 1

        assert [(await question)["row"] for question in questions] == list(range(40))

    at_a_scheduler(work)


@pytest.mark.parametrize("end", ["the driver goes", "the driver says that it stops"])
def test_nobody_waits_for_a_driver_that_is_gone(end: str) -> None:
    """Those who wait are told when its client goes, those who come later at once."""

    async def work(relay: ArtifactRelay) -> None:
        waiting = ask(relay, 1)
        await asyncio.sleep(0)
        relay.remove_client(None, "another client")
        assert not waiting.done()
        if end == "the driver goes":
            relay.remove_client(None, "driver")
            assert "driver is gone" in (await waiting)["error"]
        else:
            relay.stop()
            assert len(await relay.fetch()) == 1
        assert "driver is gone" in (await ask(relay, 2))["error"]

    at_a_scheduler(work)


def test_work_for_later_is_done_once_for_many_reasons() -> None:
    """And not at all without one."""
    done: list[int] = []
    later = Later(lambda: done.append(1), after=3600)

    later.close()
    assert done == []
    for _ in range(5):
        later.ask()
    later.close()
    later.close()
    assert done == [1]


def test_work_that_fails_in_the_background_is_tried_again_in_the_end() -> None:
    """What goes wrong then is raised."""
    tries: list[int] = []

    def work() -> None:
        tries.append(1)
        raise StorageError("no")

    later = Later(work, after=0)
    later.ask()
    while not tries or later._timer is not None:
        time.sleep(0.01)
    with pytest.raises(StorageError):
        later.close()
    assert len(tries) == 2
