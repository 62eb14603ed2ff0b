"""A call that may take only so long.

Dask runs a `TimedCall` as a coroutine on the worker's event loop; the function itself runs in the worker's
thread pool, as any other. At the deadline the coroutine ends with `TaskTimeoutError`, so to Dask it is a call
that failed: retries count down, and the future errs at once, whatever the function is doing.

What is left is a thread that does not know that it is late. It is got rid of in three steps:

1. its place in the pool goes to a new thread, and an exception is raised in it, which ends Python code at once;
2. a thread that is stuck in C code does not notice; then the worker's process is replaced (see `recycle`);
3. C code that never lets go of the interpreter stops the event loop too, and with it steps 1 and 2. A timer
   outside the interpreter ends the process then. To Dask that is a worker that died.

Only a process that a nanny starts again can be replaced. In threads of the driver's process a call that is
stuck in C code still errs at its deadline, but its thread lives on.
"""

from __future__ import annotations

import asyncio
import contextvars
import ctypes
import faulthandler
import inspect
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from scalable_core.errors import TaskTimeoutError

#: Seconds after a deadline until an event loop that does not run is taken to be blocked for good.
BLOCKED = 10.0


class Overrun(BaseException):
    """Raised inside a call that is late; not an `Exception`, so that code that retries does not catch it."""


class TimedCall:
    """A function that is stopped when it runs too long.

    Args:
        function: What to call; it may be a coroutine function.
        seconds: The longest time that one call may take.
        name: What the error calls it.
    """

    __tornado_coroutine__ = True  # by this Dask sees that a call is to be awaited

    def __init__(self, function: Callable[..., Any], seconds: float, name: str) -> None:
        self.function = function
        self.seconds = seconds
        self.name = name
        self.__name__ = name

    def __repr__(self) -> str:
        return f"TimedCall({self.function!r}, {self.seconds:g})"

    def __dask_tokenize__(self) -> Any:
        from dask.tokenize import normalize_token

        return "TimedCall", normalize_token(self.function)  # with more time the result is the same

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function on the worker that runs this.

        Raises:
            TaskTimeoutError: It took longer than it may.
        """
        from distributed import get_worker

        worker = get_worker()
        with _Alarm(self.seconds, enabled=worker.nanny is not None):
            if inspect.iscoroutinefunction(self.function):
                return await self._await(args, kwargs)
            call = _Call(worker, _current_key(worker))
            ended = call.start(self.function, args, kwargs)
            await asyncio.wait({ended}, timeout=self.seconds)
            if ended.done():
                return ended.result()
        from scalable_core.member.recycle import report_late

        call.abandon()
        report_late(worker, ended, self.seconds)
        raise self._error()

    async def _await(self, args: Any, kwargs: Any) -> Any:
        try:
            async with asyncio.timeout(self.seconds) as limit:
                return await self.function(*args, **kwargs)
        except TimeoutError:
            if limit.expired():
                raise self._error() from None
            raise

    def _error(self) -> TaskTimeoutError:
        return TaskTimeoutError(
            f"{self.name} ran longer than its timeout of {self.seconds:g} seconds and was stopped",
            cure="find out why it takes so long, or raise the timeout of the task or call",
        )


class _Call:
    """One call in a thread of a worker's pool."""

    def __init__(self, worker: Any, key: Any) -> None:
        self._worker = worker
        self._key = key
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._late = threading.Event()

    def start(self, function: Callable[..., Any], args: Any, kwargs: Any) -> asyncio.Future[Any]:
        run = contextvars.copy_context().run
        executor = self._worker.executors["default"]
        return asyncio.get_running_loop().run_in_executor(
            executor, lambda: run(self._run, function, args, kwargs)
        )

    def _run(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Call the function as the worker itself calls those without a timeout."""
        from distributed.threadpoolexecutor import thread_state
        from distributed.utils import set_thread_state

        worker, ident = self._worker, threading.get_ident()
        state = {"key": self._key, "execution_state": worker.execution_state}
        with self._lock:
            if self._late.is_set():
                raise Overrun  # it waited for a thread until its time was over
            self._thread = threading.current_thread()
        with worker.active_threads_lock:
            worker.active_threads[ident] = self._key
        try:
            with set_thread_state(start_time=time.time(), **state):
                return function(*args, **kwargs)
        finally:
            with self._lock:  # from here on nothing is raised in this thread
                self._thread = None
                if self._late.is_set():
                    thread_state.proceed = False  # another one has its place in the pool
            with worker.active_threads_lock:
                worker.active_threads.pop(ident, None)

    def abandon(self) -> None:
        """Give the thread's place in the pool to a new one, and end it if it runs Python code."""
        from distributed.threadpoolexecutor import threads_lock

        executor = self._worker.executors["default"]
        with self._lock:
            self._late.set()
            if self._thread is None:
                return
            ident = self._thread.ident or 0
            with threads_lock:
                executor._threads.discard(self._thread)
                executor._adjust_thread_count()
            with self._worker.active_threads_lock:
                self._worker.active_threads.pop(ident, None)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(ident), ctypes.py_object(Overrun)
            )


class _Alarm:
    """Ends this process if the event loop does not run at the end of the block's time, nor soon after.

    `faulthandler` waits in a thread of its own that needs no interpreter, and writes where each thread was.
    It has one timer for the process, which is set to the earliest deadline.
    """

    _deadlines: list[float] = []

    def __init__(self, seconds: float, *, enabled: bool) -> None:
        self._deadline = time.monotonic() + seconds if enabled else None

    def __enter__(self) -> None:
        if self._deadline is not None:
            self._deadlines.append(self._deadline)
            self._set()

    def __exit__(self, *error: object) -> None:
        if self._deadline is not None:
            self._deadlines.remove(self._deadline)
            self._set()

    def _set(self) -> None:
        if not self._deadlines:
            faulthandler.cancel_dump_traceback_later()
        elif sys.__stderr__ is not None:
            left = max(0.0, min(self._deadlines) - time.monotonic())
            faulthandler.dump_traceback_later(left + BLOCKED, exit=True, file=sys.__stderr__)


def _current_key(worker: Any) -> Any:
    """The key of the call that this coroutine is; Dask tells it in the name of the asyncio task only."""
    task = asyncio.current_task()
    name = "" if task is None else task.get_name()
    return next((key for key in worker.active_keys if name == f"execute({key!r})"), None)
