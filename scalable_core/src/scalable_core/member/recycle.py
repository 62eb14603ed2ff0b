"""Replace a worker's process in which a thread is stuck, without taking its other work along.

The worker takes no new calls, the calls that it runs come to their end, what it holds is moved to other
workers, and then its nanny starts a new process. If what it holds has nowhere to go (it is the only worker), it
stays in service, one stuck thread the more, and tries again later.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import weakref
from typing import Any

logger = logging.getLogger("scalable.timeout")

#: Seconds that a thread which was told to end gets before its process is replaced.
QUICK = 2.0
#: Seconds that the other calls of the process get to end; at least as long as the late call had.
PATIENCE = 600.0
#: Seconds until a worker that could not move what it holds tries again.
AGAIN = 30.0
#: Seconds in which the scheduler's word that a worker stays as it was reaches the worker.
SETTLE = 1.0

#: Threads of each worker that are late and have not ended.
_late: weakref.WeakKeyDictionary[Any, set[asyncio.Future[Any]]] = weakref.WeakKeyDictionary()
#: What runs for each worker that has such threads.
_tasks: weakref.WeakKeyDictionary[Any, asyncio.Task[None]] = weakref.WeakKeyDictionary()


def report_late(worker: Any, thread: asyncio.Future[Any], seconds: float) -> None:
    """Take note of a thread that should have ended, and see to it that it does not stay.

    Called on the worker's event loop, before the scheduler hears of the failure: the worker is closed for
    new calls at once, so that a retry does not start in a process that is about to go.

    Args:
        worker: The worker whose thread it is.
        thread: Done when the thread has ended after all.
        seconds: How long the call was allowed to take.
    """
    thread.add_done_callback(_forget_result)
    if worker.nanny is None:
        return
    late = _late.setdefault(worker, set())
    late.add(thread)
    thread.add_done_callback(late.discard)
    _hold(worker)
    if worker not in _tasks or _tasks[worker].done():
        _tasks[worker] = asyncio.create_task(_recycle(worker, late, max(PATIENCE, seconds)))


async def _recycle(worker: Any, late: set[asyncio.Future[Any]], patience: float) -> None:
    await asyncio.wait(set(late), timeout=QUICK)
    with contextlib.suppress(
        OSError
    ):  # the scheduler or the nanny is gone, and this process soon is
        while late:
            _hold(worker)
            if await _move_results(worker, leave=False):
                await _others_end(worker, patience)
                if await _move_results(worker, leave=True):
                    logger.warning("a call is stuck past its timeout: the process is replaced")
                    async with worker.rpc(worker.nanny) as nanny:
                        await nanny.kill(reason="scalable-timeout")  # and starts a new one
                    return
            await asyncio.sleep(SETTLE)
            _resume(worker)
            if late:
                await asyncio.wait(set(late), timeout=AGAIN)
        _resume(worker)


async def _others_end(worker: Any, patience: float) -> None:
    deadline = asyncio.get_running_loop().time() + patience
    while worker.state.executing and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.1)


async def _move_results(worker: Any, *, leave: bool) -> bool:
    """Have what only this worker holds moved to others; with ``leave`` also sign off at the scheduler."""
    heartbeat = worker.periodic_callbacks["heartbeat"]
    if leave:
        heartbeat.stop()  # it would find that the scheduler does not know the worker, and end the nanny
    moved = await worker.scheduler.retire_workers(
        workers=[worker.address], close_workers=False, remove=leave
    )
    if leave and not moved:
        heartbeat.start()
    return bool(moved)


def _hold(worker: Any) -> None:
    from distributed import Status

    if worker.status == Status.running:
        worker.status = Status.closing_gracefully


def _resume(worker: Any) -> None:
    from distributed import Status

    if worker.status == Status.closing_gracefully:
        worker.status = Status.running


def _forget_result(thread: asyncio.Future[Any]) -> None:
    if not thread.cancelled():
        thread.exception()  # nobody else looks at it
