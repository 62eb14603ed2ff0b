"""The client: Dask's own, which also knows the manifest's tasks and components."""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import dask
from attrs import frozen
from dask.tokenize import tokenize
from dask.utils import funcname
from distributed import Client, Future

from scalable_core.cluster import task_resource
from scalable_core.errors import UsageError
from scalable_core.member.measure import measured
from scalable_core.member.retry import TRANSIENT_ONLY
from scalable_core.member.timeout import TimedCall
from scalable_core.types import Plan
from scalable_core.types.units import parse_duration


@frozen(kw_only=True)
class _Route:
    """Where a call goes and how often and how long it may try."""

    name: str
    function: Callable[..., Any]
    resources: dict[str, float] | None
    retries: int | None
    transient_only: bool

    def annotate(self) -> AbstractContextManager[Any]:
        """Let the calls made inside say that their retries are for transient failures."""
        return dask.annotate(**{TRANSIENT_ONLY: True}) if self.transient_only else nullcontext()


class ScalableClient(Client):
    """A `distributed.Client` whose calls can name a task or a component of the manifest.

    Everything a Dask client does it does in the same way. `submit` and `map` take two more arguments:

    * ``task="run_analysis"``: the call is one of that task: it runs on the task's component, with its
      ``retries`` and ``timeout`` unless the call sets its own, and its key starts with the task's name;
    * ``tag="analysis"``: the call runs on the workers of that component.

    A call without either runs on any worker. The cluster's workers are started by the first call that
    needs them.

    Args:
        cluster: The cluster that the provider gave.
        plan: The plan it was made from.
    """

    def __init__(self, cluster: Any, plan: Plan, **kwargs: Any) -> None:
        self._plan = plan
        self._routed = len(plan.groups) > 1
        super().__init__(cluster, **kwargs)

    def request_workers(self) -> None:
        """Ask the cluster for its workers now; later calls do nothing."""
        request = getattr(self.cluster, "request_workers", None)
        if request is not None:
            request()

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
        route = self._route(func, tag, task, retries, resources, kwargs)
        if key is None:
            unique = pure and not (actor or actors)
            key = f"{route.name}-{tokenize(func, kwargs, *args) if unique else uuid.uuid4()}"
            key = self._unless_failed(key)
        elif self._has_failed(key):
            self.retry([Future(key, self)])
        self.request_workers()
        with route.annotate():
            return super().submit(
                route.function,
                *args,
                key=key,
                retries=route.retries,
                resources=route.resources,
                pure=pure,
                actor=actor,
                actors=actors,
                **kwargs,
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
        route = self._route(func, tag, task, retries, resources, kwargs)
        if not isinstance(key, list):
            key = key or route.name
            if pure and self._any_failed(key):
                token = tokenize(route.function, _function_arguments(kwargs))
                key = [
                    self._unless_failed(f"{key}-{tokenize(token, args)}")
                    for args in zip(*iterables, strict=False)
                ]
        self.request_workers()
        with route.annotate():
            return super().map(
                route.function,
                *iterables,
                key=key,
                retries=route.retries,
                resources=route.resources,
                pure=pure,
                **kwargs,
            )

    def compute(self, *args: Any, **kwargs: Any) -> Any:
        """Compute Dask collections, as `distributed.Client.compute` does."""
        self.request_workers()
        return super().compute(*args, **kwargs)

    def persist(self, *args: Any, **kwargs: Any) -> Any:
        """Persist Dask collections, as `distributed.Client.persist` does."""
        self.request_workers()
        return super().persist(*args, **kwargs)

    def get(self, *args: Any, **kwargs: Any) -> Any:
        """Compute a graph, as `distributed.Client.get` does."""
        self.request_workers()
        return super().get(*args, **kwargs)

    def scatter(self, *args: Any, **kwargs: Any) -> Any:
        """Move data to the workers, as `distributed.Client.scatter` does."""
        self.request_workers()
        return super().scatter(*args, **kwargs)

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """Run a function on every worker that is there, as `distributed.Client.run` does."""
        self.request_workers()
        return super().run(*args, **kwargs)

    def wait_for_workers(self, *args: Any, **kwargs: Any) -> Any:
        """Wait until workers are there, as `distributed.Client.wait_for_workers` does."""
        self.request_workers()
        return super().wait_for_workers(*args, **kwargs)

    def _route(
        self,
        func: Callable[..., Any],
        tag: str | None,
        task: str | None,
        retries: int | None,
        resources: dict[str, float] | None,
        kwargs: dict[str, Any],
    ) -> _Route:
        if not callable(func):
            raise TypeError(f"the first argument must be a function, not {type(func).__name__}")
        timeout = _take_timeout(func, kwargs)
        name, component, transient_only = funcname(func), tag, False
        if task is not None:
            known = self._plan.tasks.get(task)
            if known is None:
                raise _unknown(
                    "task", task, self._plan.tasks, "add it under tasks: in the manifest"
                )
            if tag is not None and tag != known.component:
                raise UsageError(
                    f"task {task!r} runs on component {known.component!r}, not on {tag!r}",
                    cure="leave out tag=, or change the task's component in the manifest",
                )
            name, component = task, known.component
            transient_only = retries is None and known.retries > 0
            retries = known.retries if retries is None else retries
            timeout = known.timeout if timeout is None else timeout
        if component is not None:
            groups = [group.name for group in self._plan.groups]
            if component in self._plan.unused:
                raise UsageError(
                    f"component {component!r} has no workers in this plan, because no task names it",
                    cure=f"add a task with component: {component}",
                )
            if component not in groups:
                raise _unknown(
                    "component", component, groups, "add it under components: in the manifest"
                )
            if self._routed:
                resources = {**task_resource(component), **(resources or {})}
        func = measured(func)
        if timeout is not None:
            func = TimedCall(func, timeout, name)
        return _Route(
            name=name,
            function=func,
            resources=resources,
            retries=retries,
            transient_only=transient_only,
        )

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


#: Arguments of `distributed.Client.map` that are not the function's own.
_DASK_ARGUMENTS = frozenset(inspect.signature(Client.map).parameters)


def _function_arguments(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in kwargs.items() if name not in _DASK_ARGUMENTS}


def _take_timeout(func: Callable[..., Any], kwargs: dict[str, Any]) -> float | None:
    """Take ``timeout=`` out of the arguments, unless the function has one of its own."""
    if "timeout" not in kwargs:
        return None
    try:
        parameters = inspect.signature(func).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(p.name == "timeout" or p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    value = kwargs.pop("timeout")
    try:
        return None if value is None else parse_duration(value)
    except ValueError as error:
        raise UsageError(f"timeout: {error}") from None


def _unknown(kind: str, name: str, known: Collection[str], cure: str) -> UsageError:
    import difflib

    close = difflib.get_close_matches(str(name), list(known), n=1)
    hint = f"did you mean {close[0]!r}?" if close else cure
    there = ", ".join(known) or "none"
    return UsageError(f"the manifest has no {kind} {name!r}; it has: {there}", cure=hint)
