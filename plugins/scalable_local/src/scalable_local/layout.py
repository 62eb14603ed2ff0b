"""How a plan's groups run on this machine: as threads, processes or containers, and how large. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from attrs import frozen

from scalable_core.types import Plan, Problem, WorkerGroup
from scalable_local.fit import Size, fit
from scalable_local.machine import Machine

Mode = Literal["threads", "processes", "container"]


@frozen(kw_only=True)
class LocalGroup:
    """The workers of one component on this machine.

    Attributes:
        plan: What the plan says of them.
        mode: Threads of this process, processes, or processes inside a container.
        size: What each worker gets.
    """

    plan: WorkerGroup
    mode: Mode
    size: Size

    @property
    def name(self) -> str:
        """The component's name."""
        return self.plan.name


@frozen(kw_only=True)
class Layout:
    """Every group as it runs here, and what differs from the manifest's words."""

    groups: tuple[LocalGroup, ...]
    problems: tuple[Problem, ...] = ()

    @property
    def in_this_process(self) -> bool:
        """All groups are threads, so nothing needs a socket."""
        return all(group.mode == "threads" for group in self.groups)


def lay_out(plan: Plan, machine: Machine) -> Layout:
    """Return how a plan runs on a machine.

    Args:
        plan: A plan whose target is `local`.
        machine: What there is to share.
    """
    options = plan.target.options
    sizes, too_large = fit(
        plan.groups, plan.maximum, machine, keep_threads=options.threads_per_worker is not None
    )
    modes, not_threads = choose_modes(plan.groups, threads=not options.processes)
    groups = tuple(
        LocalGroup(plan=group, mode=modes[group.name], size=sizes[group.name])
        for group in plan.groups
    )
    ignored = [problem for group in plan.groups for problem in _ignored(group)]
    return Layout(groups=groups, problems=(*too_large, *not_threads, *ignored))


def choose_modes(
    groups: Sequence[WorkerGroup], *, threads: bool
) -> tuple[dict[str, Mode], tuple[Problem, ...]]:
    """Return how each group runs, and a warning for each that cannot be threads though asked to.

    Threads share one environment and cannot be stopped one by one, so a group with a timeout, or with another
    environment than the groups before it, runs in processes.

    Args:
        groups: The plan's groups.
        threads: Threads are wanted.
    """
    modes: dict[str, Mode] = {}
    problems = []
    shared: WorkerGroup | None = None
    for group in groups:
        if group.image is not None:
            modes[group.name] = "container"
            continue
        if not threads:
            modes[group.name] = "processes"
            continue
        reason = _why_not_threads(group, shared)
        if reason is None:
            modes[group.name], shared = "threads", shared or group
        else:
            modes[group.name] = "processes"
            message = f"the workers of {group.name!r} run in processes: {reason}"
            problems.append(_warning("W1402", message))
    return modes, tuple(problems)


def _why_not_threads(group: WorkerGroup, shared: WorkerGroup | None) -> str | None:
    if group.timeout:
        return "one of its tasks has a timeout, which threads cannot keep"
    if shared is not None and dict(group.env) != dict(shared.env):
        return f"its env differs from that of {shared.name!r}, and threads have only one"
    return None


def _ignored(group: WorkerGroup) -> list[Problem]:
    """Warnings of what a group's component asks for and this machine does not give."""
    problems = []
    if group.mounts and group.image is None:
        problems.append(
            _warning(
                "W1405",
                f"the mounts of {group.name!r} are not applied, because its workers run without a container",
                cure="its calls see the folders of this machine",
            )
        )
    if group.gpus:
        problems.append(
            _warning(
                "W1406",
                f"the GPUs of {group.name!r} are not shared out: each of its workers sees all of them",
                cure="choose one in the call, or set CUDA_VISIBLE_DEVICES in the component's env",
            )
        )
    return problems


def _warning(code: str, message: str, *, cure: str | None = None) -> Problem:
    return Problem(code=code, severity="warning", message=message, cure=cure)
