"""What a worker runs for a call whose result is kept. Standard library and the store; nothing of a session.

    CachedCall(function, key, note, place)(*args, **kwargs)

looks once more, computes, keeps the result, and only then returns it.
"""

from __future__ import annotations

import inspect
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from scalable_core.cache.level import CacheEvent
from scalable_core.cache.remote import Opener, Remote
from scalable_core.cache.signing import key_from
from scalable_core.cache.store import Store

#: Topic under which workers tell the scheduler what happened (`distributed.Client.subscribe_topic`).
TOPIC = "scalable-cache"

_log = logging.getLogger("scalable.cache")
_stores: dict[tuple[object, ...], Store] = {}
_lock = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where results are kept, in a form that can travel. The project's key travels in the environment.

    Attributes:
        root: Folder on the worker's machine; None when it has none.
        remote: Opens the shared place in the worker's process too; None when there is none.
        fsync: Have the disk confirm each entry.
    """

    root: str | None = None
    remote: Opener | None = None
    fsync: bool = False

    def open(
        self,
        *,
        report: Callable[[CacheEvent], None] | None = None,
        listed: bool = False,
        secret: bytes | None = None,
    ) -> Store:
        """Return a store.

        Args:
            report: As for `scalable_core.cache.store.Store`.
            listed: As for `scalable_core.cache.remote.Remote`; for a driver that looks many keys up.
            secret: The project's key; the environment's when None.
        """
        return Store(
            self.root,
            remote=None if self.remote is None else Remote(self.remote, listed=listed),
            secret=secret or key_from(os.environ),
            report=report,
            fsync=self.fsync or None,
        )


@dataclass(frozen=True, kw_only=True)
class CachedCall:
    """A function that keeps what it returns under one key.

    Attributes:
        function: What is run when there is nothing under the key yet.
        key: 40 hex digits.
        note: For the metadata: ``function``, ``code``, ``parts``, ``run``.
        place: Where; None leaves it to whoever gathers the result.
        recompute: Run in any case and replace what is there.
    """

    function: Callable[..., Any]
    key: str
    note: Mapping[str, Any]
    place: Place | None
    recompute: bool = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return the result, computed or found. What the function raises is raised and not kept."""
        if self.place is None:
            return _run(self.function, args, kwargs)
        store = _store(self.place)
        if self.recompute:
            return self._compute(store, args, kwargs)
        with store.computing(self.key) as entry:
            if entry is not None:
                return entry.value
            return self._compute(store, args, kwargs)

    def _compute(self, store: Store, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        start = time.perf_counter()
        value = _run(self.function, args, kwargs)
        note = {**self.note, "seconds": time.perf_counter() - start}
        store.put(self.key, value, note, only_if_absent=not self.recompute)
        return value


def _run(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    value = function(*args, **kwargs)
    if inspect.iscoroutine(value):
        import asyncio

        return asyncio.run(value)
    return value


def _store(place: Place) -> Store:
    """Return this process's store of a place."""
    name = os.getpid(), place.root, place.remote, place.fsync
    with _lock:
        if name not in _stores:
            _stores[name] = place.open(report=_tell)
        return _stores[name]


def _tell(event: CacheEvent) -> None:
    """Let the driver say what happened; where there is none, the log does."""
    try:
        from distributed import get_worker

        get_worker().log_event(TOPIC, event._asdict())
    except (ImportError, ValueError):  # not in a worker
        _log.warning("%s", event.message)


class CachedMap:
    """What a worker runs for one element of a map whose results are kept.

    Args:
        function: What is run when there is nothing under the element's key yet.
        place: Where results are kept; None leaves it to whoever gathers them.
        recompute: Run in any case and replace what is there.
    """

    def __init__(
        self, function: Callable[..., Any], place: Place | None, *, recompute: bool
    ) -> None:
        self.function, self.place, self.recompute = function, place, recompute
        self.__name__ = getattr(function, "__name__", type(function).__name__)

    def __call__(self, key: str, note: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Return the result of the element with this key, computed or found."""
        call = CachedCall(
            function=self.function, key=key, note=note, place=self.place, recompute=self.recompute
        )
        return call(*args, **kwargs)
