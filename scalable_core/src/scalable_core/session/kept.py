"""The cache as a client uses it: which calls are kept, under which keys, and what is there already.

Imports distributed: import it inside functions.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from attrs import field, frozen
from distributed import Future  # noqa: TID253

from scalable_core.cache import (
    CacheEvent,
    CacheOptions,
    CallKeys,
    Entry,
    FileDigests,
    Fingerprint,
    Place,
    Uncacheable,
    options_of,
)
from scalable_core.session.storage import StorageOpener, project_key, shared_place, worker_secrets
from scalable_core.types import CacheRow, Plan, TaskRow, to_data

logger = logging.getLogger("scalable.cache")

#: Names of entries, in which messages that have one reason differ.
_NAMES = re.compile(r"\S*[0-9a-f]{32}\S*")
#: Values of more bytes are read again when they are asked for, instead of being held.
HELD = 64 * 1024
#: Results that are gathered at one time, when a run is stopped.
GATHERED = 100


@frozen(kw_only=True)
class ResultOf:
    """Stands for the result of a kept call among the arguments of another: its key says what it is."""

    key: str


@frozen(kw_only=True)
class Hit:
    """A result that is there.

    Attributes:
        entry: What the store has; its value only when it is small.
        submit: Submits the call after all: for another call that needs the result on a worker, or when the
            entry turns out to be damaged.
    """

    entry: Entry
    submit: Callable[[], Any] = field(repr=False)


class KeptResults:
    """Decides for each call whether its result is kept, and looks it up.

    Args:
        plan: The run's plan.
        run: The run's id, for the metadata.
        record: Takes rows for the run's tables.
        elsewhere: The workers are not on this machine.

    Attributes:
        place: Where workers keep results; None when this process keeps them, as they are gathered.
    """

    def __init__(
        self,
        plan: Plan,
        run: str,
        record: Callable[[str, Sequence[Mapping[str, Any]]], None],
        *,
        elsewhere: bool = False,
    ) -> None:
        self._plan, self._run, self._record = plan, run, record
        cache = Path(plan.stores.cache)
        shared = shared_place(plan.project, elsewhere=elsewhere)
        opener = StorageOpener(shared) if shared else None
        place = Place(root=str(cache), remote=opener)
        self._elsewhere = elsewhere
        self.place = place if not elsewhere else Place(remote=opener) if opener else None
        if opener and not elsewhere:  # workers of this machine have this process's environment
            os.environ.update(worker_secrets(plan))
        secret = project_key(plan) if opener else None
        self.store = place.open(report=self._heard, listed=True, secret=secret)
        self._files = FileDigests(cache / "files.jsonl")
        threading.Thread(target=self._collect, name="scalable-cache-collect", daemon=True).start()
        self.hits: dict[Any, Hit] = {}
        self._awaited: dict[Any, tuple[Fingerprint, bool]] = {}
        self._unkept: set[str] = set()
        self._keys: dict[Any, str] = {}
        self.count = 0
        self._said: set[tuple[str, str]] = set()
        self._codes: set[str] = set()
        self._lock = threading.Lock()

    def options(self, function: Callable[..., Any], task: str | None) -> CacheOptions | None:
        """Return how the results of a function are kept; None when they are not."""
        options = options_of(function)
        if options is None and task is not None and self._plan.tasks[task].cache:
            options = CacheOptions()
        return options

    def keys(
        self, function: Callable[..., Any], options: CacheOptions, component: str | None, name: str
    ) -> CallKeys | None:
        """Return what computes the keys of a function's calls; None, said once, when nothing can."""
        try:
            images = self._images(component)
            return CallKeys(function, options=options, environment=images, files=self._files)
        except Uncacheable as error:
            self._uncacheable(name, error)
            return None

    def key(
        self, keys: CallKeys, args: Sequence[Any], kwargs: Mapping[str, Any], name: str
    ) -> Fingerprint | None:
        """Return the key of one call; None, said once, when a part of it cannot be computed."""
        try:
            found = keys.of(
                tuple(self._stand_in(value) for value in args),
                {word: self._stand_in(value) for word, value in kwargs.items()},
            )
        except Uncacheable as error:
            self._uncacheable(name, error)
            return None
        if found.code not in self._codes:
            self._codes.add(found.code)
            self.store.write_code(found.code, found.code_parts)
        return found

    def name(self, found: Fingerprint, name: str) -> str:
        """Return the Dask key of a kept call, and know its futures by it from now on."""
        key = f"{name}-{found.key}"
        self._keys[key] = found.key
        return key

    def is_kept(self, key: Any) -> bool:
        """Return whether the result of a call that is done is there for the next run, by its Dask key."""
        return key in self._keys and not self.lacks(key)

    def keep_done(self, client: Any) -> None:
        """Gather the results that are done and are kept only then, some at a time."""
        keys = [key for key in list(self._awaited) if self.lacks(key)]
        states = {key: client.futures.get(key) for key in keys}
        done = [key for key, state in states.items() if state and state.status == "finished"]
        for first in range(0, len(done), GATHERED):
            part = [Future(key, client) for key in done[first : first + GATHERED]]
            client.gather(part, errors="skip")

    def look(self, found: Fingerprint, name: str) -> Entry | None:
        """Return what is kept under a key, and record a hit or a miss."""
        entry = self.store.get(found.key)
        row = CacheRow(
            time=time.time(),
            event="miss" if entry is None else "hit",
            key=found.key,
            task=name,
            seconds=None if entry is None else entry.seconds,
            nbytes=None if entry is None else entry.size,
        )
        self._record("cache", [_bare(row)])
        return entry

    def remember(self, key: Any, name: str, hit: Hit) -> None:
        """Note that a future is finished from the store."""
        entry = hit.entry
        held = entry if entry.size <= HELD else dataclasses.replace(entry, value=None)
        self.hits[key] = Hit(entry=held, submit=hit.submit)
        self.count += 1
        row = TaskRow(
            key=str(key),
            task=name,
            state="cached",
            finished=time.time(),
            nbytes=entry.size,
            source=entry.by.get("run"),
        )
        self._record("tasks", [_bare(row)])

    def note(self, found: Fingerprint) -> dict[str, Any]:
        """Return what a worker writes beside a result."""
        return found.note(run=self._run)

    def values(self, keys: Sequence[Any]) -> dict[Any, Any]:
        """Return the values of hits; those whose entry is gone or damaged by now are left out."""
        values = {}
        for key in keys:
            entry: Entry | None = self.hits[key].entry
            if entry is not None and entry.size > HELD:
                entry = self.store.get(entry.key)
            if entry is not None:
                values[key] = entry.value
        return values

    def forget(self, key: Any) -> None:
        """Forget a hit whose future is gone, or is computed after all."""
        self.hits.pop(key, None)
        self._awaited.pop(key, None)

    @property
    def is_idle(self) -> bool:
        """Whether gathering has nothing to take from the store and nothing to bring to it."""
        return not (self.hits or self._awaited)

    def expect(self, key: Any, found: Fingerprint, *, recompute: bool) -> None:
        """Note that a call was given to the workers, in case its result is kept when it is gathered.

        Args:
            key: Its Dask key.
            found: Its fingerprint.
            recompute: What is there is to be replaced.
        """
        if not self._elsewhere:
            return
        self._awaited[key] = found, recompute
        if self.place is None:
            self._say_once(
                "the workers are not on this machine and the project has no storage that they reach, so "
                "results are kept as they are gathered; default_storage: s3://... lets workers keep them"
            )

    def lacks(self, key: Any) -> bool:
        """Return whether the result of a call, by its Dask key, is kept only once it is gathered."""
        awaited = self._awaited.get(key)
        return awaited is not None and (self.place is None or awaited[0].key in self._unkept)

    def keep(self, values: Mapping[Any, Any]) -> None:
        """Keep results that have been gathered, by Dask key, where no worker can have kept them."""
        for key, value in values.items():
            if self.lacks(key):
                found, recompute = self._awaited[key]
                self.store.put(found.key, value, self.note(found), only_if_absent=not recompute)
            self._awaited.pop(key, None)

    def _collect(self) -> None:
        """Remove what killed writers have left; nobody waits for it."""
        try:
            self.store.collect()
        except OSError as error:
            logger.warning("what killed runs left in the cache could not be removed: %s", error)

    def close(self) -> None:
        """Wait until what was written has reached the shared place."""
        self.store.flush(timeout=60)

    def _stand_in(self, value: Any) -> Any:
        """A future of a kept call is known by its key, any other future is not known."""
        if isinstance(value, Future):
            key = self._keys.get(value.key)
            if key is not None:
                return ResultOf(key=key)
            raise Uncacheable("argument", f"is the future {value.key}, whose call is not kept")
        if isinstance(value, (list, tuple)) and any(isinstance(item, Future) for item in value):
            return [type(value).__name__, *(self._stand_in(item) for item in value)]
        if isinstance(value, dict) and any(isinstance(item, Future) for item in value.values()):
            return {word: self._stand_in(item) for word, item in value.items()}
        return value

    def _images(self, component: str | None) -> dict[str, str]:
        groups = [g for g in self._plan.groups if component in (None, g.name)]
        digests = sorted({g.resolved.digest for g in groups if g.resolved is not None})
        return {"image": " ".join(digests)} if digests else {}

    def _uncacheable(self, name: str, error: Uncacheable) -> None:
        said = name, str(error)
        with self._lock:
            if said in self._said:
                return
            self._said.add(said)
        logger.warning("results of %s are not kept: %s", name, error)
        row = CacheRow(time=time.time(), event="uncacheable", task=name, detail=str(error))
        self._record("cache", [_bare(row)])

    def hear(self, event: tuple[float, Mapping[str, Any]]) -> None:
        """Take what a worker's cache has to say: when, and the fields of a `CacheEvent` among others."""
        heard = CacheEvent(*(event[1][name] for name in CacheEvent._fields))
        if heard.kind == "failed":
            self._unkept.add(heard.key)
        self._heard(heard)

    def _say_once(self, message: str) -> None:
        reason = "", _NAMES.sub("...", message)
        with self._lock:
            new = reason not in self._said
            self._said.add(reason)
        if new:
            logger.warning("%s", message)

    def _heard(self, event: CacheEvent) -> None:
        self._say_once(event.message)
        kind: Literal["damaged", "failed"] = "damaged" if event.kind == "damaged" else "failed"
        row = CacheRow(time=time.time(), event=kind, key=event.key, task="", detail=event.message)
        self._record("cache", [_bare(row)])


def workers_elsewhere(cluster: Any) -> bool:
    """Return whether the workers of a cluster are on other machines than this one.

    The cluster's own word counts, its attribute ``workers_elsewhere``; without one, workers whose scheduler has
    an address that only this machine knows are here.
    """
    known = getattr(cluster, "workers_elsewhere", None)
    if known is not None:
        return bool(known)
    scheme, _, host = str(cluster.scheduler_address).partition("://")
    return scheme != "inproc" and not host.startswith(("127.", "localhost:", "[::1]"))


def _bare(row: Any) -> dict[str, Any]:
    """A row as plain data, without the fields that say nothing."""
    return {name: value for name, value in to_data(row).items() if value not in (None, "")}
