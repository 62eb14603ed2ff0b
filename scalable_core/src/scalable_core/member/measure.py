"""A call that notes what it used: CPU seconds of its thread, and the most memory of its process."""

from __future__ import annotations

import functools
import inspect
import os
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

_PAGE = os.sysconf("SC_PAGE_SIZE")
#: `ru_maxrss` is in KiB, on macOS in bytes.
_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


class MeasuredCall:
    """A function that leaves its CPU seconds and peak memory in the metadata of its call.

    Dask's worker sends the metadata of a call along with the news that it has ended, so nothing is lost however
    soon the cluster closes. The memory is that of the process: other calls of the worker are in it.

    Args:
        function: What to call; coroutine functions are not measured (see `measured`).
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.__name__ = getattr(function, "__name__", type(function).__name__)

    def __repr__(self) -> str:
        return repr(self.function)

    def __dask_tokenize__(self) -> Any:
        from dask.tokenize import normalize_token

        return "MeasuredCall", normalize_token(self.function)

    def __reduce__(self) -> Any:
        return MeasuredCall, (self.function,)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        highest, cpu = _highest_memory(), time.thread_time()
        try:
            return self.function(*args, **kwargs)
        finally:
            used = time.thread_time() - cpu
            peak = _highest_memory()
            if (
                peak == highest
            ):  # the process has held more before; of this call only its end is known
                peak = _held_memory() or peak
            _note(cpu=round(used, 6), peak=peak)


def measured(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that is measured; a coroutine function as it is, since it shares its thread."""
    return function if inspect.iscoroutinefunction(function) else MeasuredCall(function)


def _note(**facts: Any) -> None:
    """Leave facts about the call that runs in this thread; outside of a worker do nothing."""
    from distributed.worker import thread_state

    state = getattr(thread_state, "execution_state", None)
    if state is None:
        return
    task = state["worker"].state.tasks.get(thread_state.key)
    if task is not None:
        task.metadata.update(facts)


def _highest_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_UNIT


def _held_memory() -> int:
    try:
        return int(os.pread(_statm(os.getpid()), 64, 0).split()[1]) * _PAGE
    except OSError:
        return 0


@functools.cache
def _statm(pid: int) -> int:
    """A descriptor of the process's own memory counts; Linux only."""
    return os.open(f"/proc/{pid}/statm", os.O_RDONLY | os.O_CLOEXEC)
