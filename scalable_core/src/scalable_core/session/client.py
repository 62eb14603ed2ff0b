"""The client: Dask's own, which also knows the manifest's tasks and components."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dask.tokenize import tokenize
from distributed import Future, futures_of
from distributed.utils_comm import pack_data, unpack_remotedata

from scalable_core.cache import CachedCall, CachedMap, Fingerprint
from scalable_core.cache.decorator import take_bypass
from scalable_core.errors import UsageError
from scalable_core.session.kept import Hit, KeptResults
from scalable_core.session.late import LateClient
from scalable_core.session.route import Route, find_route, function_arguments
from scalable_core.types import ArtifactRef, Plan

if TYPE_CHECKING:
    from scalable_core.session.artifacts import RunArtifacts


class ScalableClient(LateClient):
    """A `distributed.Client` whose calls can name a task or a component of the manifest.

    Everything a Dask client does it does in the same way. `submit` and `map` take two more arguments:

    * ``task="run_analysis"``: the call is one of that task: it runs on the task's component, with its
      ``retries`` and ``timeout`` unless the call sets its own, and its key starts with the task's name;
    * ``tag="analysis"``: the call runs on the workers of that component.

    A call without either runs on any worker. The cluster's workers, and in a cloud its scheduler, are started
    by the first call that needs them, which does not wait for that.

    Args:
        cluster: The cluster that the provider gave.
        plan: The plan it was made from.
        kept: The cache; None for no cache.
    """

    def __init__(
        self, cluster: Any, plan: Plan, *, kept: KeptResults | None = None, **kwargs: Any
    ) -> None:
        self._plan = plan
        self._kept = kept
        self.artifacts: RunArtifacts | None = None
        super().__init__(cluster, **kwargs)

    def store_artifact(self, name: str, value: Any, *, overwrite: bool = False) -> ArtifactRef:
        """Keep something of this run, as `scalable.store_artifact` does, and return where and what it is.

        Raises:
            ArtifactError: The name or value does not fit, or the name exists already.
            UsageError: The client belongs to no session.
        """
        if self.artifacts is None:
            raise UsageError(f"{name!r} cannot be stored: this client belongs to no session")
        return self.artifacts.store(name, value, overwrite=overwrite)

    def submit(
        self,
        func: Callable[..., Any],
        *args: Any,
        tag: str | None = None,
        task: str | None = None,
        key: Any = None,
        retries: int | None = None,
        resources: dict[str, float] | None = None,
        pure: bool = True,
        actor: bool = False,
        actors: bool = False,
        **kwargs: Any,
    ) -> Future:
        """Submit one call, as `distributed.Client.submit` does.

        Args:
            func: The function to call.
            *args: Its arguments.
            tag: A component whose workers run the call.
            task: A task of the manifest.
            key: As in Dask.
            retries: How often to try again whatever the failure; overrides the task's, which are for
                transient failures only.
            resources: As in Dask, besides the component's.
            pure: As in Dask. A call that failed is run again when it is submitted again.
            actor: As in Dask.
            actors: As in Dask.
            **kwargs: The function's and Dask's further arguments; ``timeout=`` (such as ``"30m"``) bounds the
                call when the function has no such argument itself.

        Raises:
            UsageError: The manifest has no such task or component.
        """
        route = find_route(self._plan, func, tag, task, retries, resources, kwargs)
        bypass = take_bypass(kwargs)
        dask = {**kwargs, "pure": pure, "actor": actor, "actors": actors}
        if self._kept is not None and not (bypass or actor or actors):
            future = self._submit_kept(self._kept, route, func, task, key, args, dask)
            if future is not None:
                return future
        if key is None:
            unique = pure and not (actor or actors)
            key = f"{route.name}-{tokenize(func, kwargs, *args) if unique else uuid.uuid4()}"
            key = self._unless_failed(key)
        elif self._has_failed(key):
            self.retry([Future(key, self)])
        run = func if actor or actors else route.wrap(route.storing(func))
        return self._submit(route, run, key, args, dask)

    def _submit(
        self,
        route: Route,
        run: Callable[..., Any],
        key: Any,
        args: Sequence[Any],
        dask: Mapping[str, Any],
    ) -> Future:
        self._compute_hits((args, dask))
        self.request_workers()
        with route.annotate():
            return super().submit(
                run, *args, key=key, retries=route.retries, resources=route.resources, **dask
            )

    def map(
        self,
        func: Callable[..., Any],
        *iterables: Collection[Any],
        tag: str | None = None,
        task: str | None = None,
        key: Any = None,
        retries: int | None = None,
        resources: dict[str, float] | None = None,
        pure: bool = True,
        **kwargs: Any,
    ) -> list[Future]:
        """Submit a call for each element, as `distributed.Client.map` does.

        Args:
            func: The function to call.
            *iterables: Its arguments, one sequence for each.
            tag: A component whose workers run the calls.
            task: A task of the manifest.
            key: As in Dask.
            retries: Overrides the task's.
            resources: As in Dask, besides the component's.
            pure: As in Dask. Calls that failed are run again when they are submitted again.
            **kwargs: The function's and Dask's further arguments, and ``timeout=`` as in `submit`.

        Raises:
            UsageError: The manifest has no such task or component.
        """
        route = find_route(self._plan, func, tag, task, retries, resources, kwargs)
        bypass = take_bypass(kwargs)
        dask = {**kwargs, "pure": pure}
        if self._kept is not None and key is None and not bypass:
            futures = self._map_kept(self._kept, route, func, task, iterables, dask)
            if futures is not None:
                return futures
        run = route.wrap(route.storing(func))
        if not isinstance(key, list):
            key = key or route.name
            if pure and self._any_failed(key):
                token = tokenize(run, function_arguments(kwargs))
                key = [
                    self._unless_failed(f"{key}-{tokenize(token, args)}")
                    for args in zip(*iterables, strict=False)
                ]
        return self._map(route, run, key, iterables, dask)

    def _map(
        self,
        route: Route,
        run: Callable[..., Any],
        key: Any,
        iterables: Sequence[Any],
        dask: Mapping[str, Any],
    ) -> list[Future]:
        self._compute_hits((iterables, dask))
        self.request_workers()
        with route.annotate():
            return super().map(
                run, *iterables, key=key, retries=route.retries, resources=route.resources, **dask
            )

    def _submit_kept(
        self,
        kept: KeptResults,
        route: Route,
        func: Callable[..., Any],
        task: str | None,
        key: Any,
        args: Sequence[Any],
        dask: Mapping[str, Any],
    ) -> Future | None:
        """Submit a call whose result is kept, or take the result; None when it is not kept."""
        options = kept.options(func, task)
        keys = options and kept.keys(func, options, route.component, route.name)
        if not (options and keys):
            return None
        found = kept.key(keys, args, function_arguments(dask), route.name)
        if found is None:
            return None
        name = kept.name(found, route.name) if key is None else key
        run = route.wrap(
            CachedCall(
                function=route.storing(func),
                key=found.key,
                note=kept.note(found),
                place=kept.place,
                recompute=options.recompute,
            )
        )

        def submit() -> Future:
            kept.expect(name, found, recompute=options.recompute)
            return self._submit(route, run, name, args, dask)

        return self._take(kept, route, found, name, submit, look=not options.recompute) or submit()

    def _map_kept(
        self,
        kept: KeptResults,
        route: Route,
        func: Callable[..., Any],
        task: str | None,
        iterables: Sequence[Any],
        dask: Mapping[str, Any],
    ) -> list[Future] | None:
        """Submit the calls whose results are not there; None when results are not kept."""
        options = kept.options(func, task)
        keys = options and kept.keys(func, options, route.component, route.name)
        if not (options and keys):
            return None
        words = function_arguments(dask)
        calls = list(zip(*iterables, strict=False))
        found = [kept.key(keys, args, words, route.name) for args in calls]
        if any(each is None for each in found):
            return None
        run = route.wrap(CachedMap(route.storing(func), kept.place, recompute=options.recompute))
        futures: dict[Any, Future] = {}
        missing: dict[Any, tuple[Any, ...]] = {}
        names = []
        for each, args in zip(found, calls, strict=True):
            assert each is not None
            name = kept.name(each, route.name)
            names.append(name)
            if name in futures or name in missing:
                continue
            whole = (each.key, kept.note(each), *args)
            submit = functools.partial(self._submit, route, run, name, whole, dask)
            future = self._take(kept, route, each, name, submit, look=not options.recompute)
            if future is None:
                missing[name] = whole
                kept.expect(name, each, recompute=options.recompute)
            else:
                futures[name] = future
        if missing:
            columns = list(zip(*missing.values(), strict=True))
            new = self._map(route, run, list(missing), columns, dask)
            futures.update(zip(missing, new, strict=True))
        return [futures[name] for name in names]

    def _take(
        self,
        kept: KeptResults,
        route: Route,
        found: Fingerprint,
        name: Any,
        submit: Callable[[], Future],
        *,
        look: bool,
    ) -> Future | None:
        """Return the future of a call that this client knows, or whose result is there; else None."""
        with self._refcount_lock:
            known = name in self.futures
        if known and self._has_failed(name):
            self.retry([Future(name, self)])
        if known:
            return Future(name, self)
        entry = kept.look(found, route.name) if look else None
        if entry is None:
            return None
        kept.remember(name, route.name, Hit(entry=entry, submit=submit))
        return Future(name, self, state="memory")

    def _compute_hits(self, arguments: Any) -> None:
        """Let workers have the results from the store that a call needs as arguments."""
        if self._kept is not None and self._kept.hits:
            for future in futures_of(arguments):
                self._compute_hit(self._kept, future.key)

    def _compute_hit(self, kept: KeptResults, key: Any) -> None:
        hit = kept.hits.get(key)
        if hit is not None:
            kept.forget(key)
            with self._refcount_lock:
                self.futures.pop(key, None)
            hit.submit()

    def _release_key(self, key: Any) -> None:
        if self._kept is not None:
            self._kept.forget(key)
        super()._release_key(key)

    async def _gather(self, futures: Any, errors: str = "raise", **kwargs: Any) -> Any:
        """Take from the store what is there and the rest from the workers, and keep what no worker has kept."""
        kept = self._kept
        if kept is None or kept.is_idle:
            return await super()._gather(futures, errors=errors, **kwargs)
        unpacked, wanted = unpack_remotedata(futures, byte_keys=True)
        hits = [future.key for future in wanted if future.key in kept.hits]
        values = await asyncio.to_thread(kept.values, hits)
        for key in hits:
            if key not in values:  # damaged since, which has been said
                self._compute_hit(kept, key)
        rest = {future.key: future for future in wanted if future.key not in values}
        if rest:
            try:
                gathered = await super()._gather(rest, errors=errors, **kwargs)
            except BaseException:
                lost = {k: f for k, f in rest.items() if f.status == "finished" and kept.lacks(k)}
                # The reason why these cannot be had either may be that their scheduler is gone: it comes first.
                with contextlib.suppress(OSError, RuntimeError):
                    if lost:
                        gathered = await super()._gather(lost, errors="skip", **kwargs)
                        await asyncio.to_thread(kept.keep, gathered)
                raise
            await asyncio.to_thread(kept.keep, gathered)
            values.update(gathered)
        if errors == "skip" and isinstance(unpacked, list):
            bad = {key for key, future in rest.items() if future.status in ("error", "cancelled")}
            unpacked = [key for key in unpacked if key not in bad]
        return pack_data(unpacked, values)

    def compute(self, *args: Any, **kwargs: Any) -> Any:
        """Compute Dask collections, as `distributed.Client.compute` does."""
        self._compute_hits(args)
        self.request_workers()
        return super().compute(*args, **kwargs)

    def persist(self, *args: Any, **kwargs: Any) -> Any:
        """Persist Dask collections, as `distributed.Client.persist` does."""
        self._compute_hits(args)
        self.request_workers()
        return super().persist(*args, **kwargs)

    def _has_failed(self, key: Any) -> bool:
        state = self.futures.get(key)
        return state is not None and state.status in ("error", "cancelled")

    def _any_failed(self, prefix: str) -> bool:
        with self._refcount_lock:
            states = list(self.futures.items())
        return any(
            state.status in ("error", "cancelled") and str(key).startswith(prefix)
            for key, state in states
        )

    def _unless_failed(self, key: str) -> str:
        """A call that failed keeps its key and its error; submitted again it is a new call."""
        return f"{key}-{uuid.uuid4().hex[:8]}" if self._has_failed(key) else key
