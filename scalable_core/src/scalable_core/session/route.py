"""Where a call goes, how often and how long it may try: from the manifest's tasks to Dask's arguments.

Imports distributed: import it inside functions.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import dask  # noqa: TID253
from attrs import frozen
from dask.utils import funcname  # noqa: TID253
from distributed import Client  # noqa: TID253

from scalable_core.artifacts.outputs import StoringCall
from scalable_core.cluster import task_resource
from scalable_core.errors import UsageError
from scalable_core.member.measure import measured
from scalable_core.member.retry import TRANSIENT_ONLY
from scalable_core.member.timeout import TimedCall
from scalable_core.types import Plan
from scalable_core.types.units import parse_duration


@frozen(kw_only=True)
class Route:
    """Where a call goes and how often and how long it may try.

    Attributes:
        name: What its key starts with: the task's name, else the function's.
        component: The component whose workers run it; None for any.
        resources: The Dask resources that it needs.
        retries: How often a failed call is tried again.
        transient_only: The retries are for failures that may not come back.
        timeout: Seconds that one attempt may take; None for any.
        outputs: Files that the call writes, stored as artifacts when it has returned.
    """

    name: str
    component: str | None
    resources: dict[str, float] | None
    retries: int | None
    transient_only: bool
    timeout: float | None
    outputs: tuple[str, ...] = ()

    def storing(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, with its outputs stored when it has returned.

        Raises:
            UsageError: It has outputs, and is a coroutine function.
        """
        if not self.outputs:
            return function
        if inspect.iscoroutinefunction(function):
            raise UsageError(
                f"task {self.name!r} has outputs, and {funcname(function)} is a coroutine function",
                cure="make it a function, or store its files itself with scalable.store_artifact",
            )
        return StoringCall(function, self.outputs)

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return what the worker runs: the function, measured, and stopped when it takes too long."""
        function = measured(function)
        if self.timeout is None:
            return function
        return TimedCall(function, self.timeout, self.name)

    def annotate(self) -> AbstractContextManager[Any]:
        """Let the calls made inside say that their retries are for transient failures."""
        return dask.annotate(**{TRANSIENT_ONLY: True}) if self.transient_only else nullcontext()


def find_route(
    plan: Plan,
    func: Callable[..., Any],
    tag: str | None,
    task: str | None,
    retries: int | None,
    resources: dict[str, float] | None,
    kwargs: dict[str, Any],
) -> Route:
    """Return where a call goes, from the manifest's tasks and components.

    Args:
        plan: The run's plan.
        func: The function to call.
        tag: A component.
        task: A task.
        retries: What the call itself says.
        resources: What the call itself needs.
        kwargs: The call's arguments; ``timeout`` is taken out unless the function has one of its own.

    Raises:
        UsageError: The manifest has no such task or component.
        TypeError: ``func`` cannot be called.
    """
    if not callable(func):
        raise TypeError(f"the first argument must be a function, not {type(func).__name__}")
    timeout = _take_timeout(func, kwargs)
    name, component, transient_only = funcname(func), tag, False
    outputs: tuple[str, ...] = ()
    if task is not None:
        known = plan.tasks.get(task)
        if known is None:
            raise _unknown("task", task, plan.tasks, "add it under tasks: in the manifest")
        if tag is not None and tag != known.component:
            raise UsageError(
                f"task {task!r} runs on component {known.component!r}, not on {tag!r}",
                cure="leave out tag=, or change the task's component in the manifest",
            )
        name, component, outputs = task, known.component, known.outputs
        transient_only = retries is None and known.retries > 0
        retries = known.retries if retries is None else retries
        timeout = known.timeout if timeout is None else timeout
    if component is not None:
        groups = [group.name for group in plan.groups]
        if component in plan.unused:
            raise UsageError(
                f"component {component!r} has no workers in this plan, because no task names it",
                cure=f"add a task with component: {component}",
            )
        if component not in groups:
            raise _unknown(
                "component", component, groups, "add it under components: in the manifest"
            )
        if len(plan.groups) > 1:
            resources = {**task_resource(component), **(resources or {})}
    return Route(
        name=name,
        component=component,
        resources=resources,
        retries=retries,
        transient_only=transient_only,
        timeout=timeout,
        outputs=outputs,
    )


#: Arguments of `distributed.Client.submit` and `map` that are not the function's own.
_DASK_ARGUMENTS = frozenset(
    {*inspect.signature(Client.map).parameters, *inspect.signature(Client.submit).parameters}
)


def function_arguments(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call that are the function's own, and not Dask's."""
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
