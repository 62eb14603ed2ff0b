"""Share out what the machine has when the workers of a plan want more than that. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from scalable_core.types import Problem, WorkerGroup
from scalable_core.types.units import MIB, format_size
from scalable_local.machine import Machine

#: What a worker needs for itself. With less it would be ended for its memory before it has done anything.
LEAST_MEMORY = 128 * MIB


@frozen(kw_only=True)
class Size:
    """What one worker of a group gets.

    Attributes:
        cpus: CPUs, for the threads of its libraries.
        threads: Calls that it runs at once.
        memory: Bytes.
    """

    cpus: float
    threads: int
    memory: int


def fit(
    groups: Sequence[WorkerGroup], total: int, machine: Machine, *, keep_threads: bool = False
) -> tuple[dict[str, Size], tuple[Problem, ...]]:
    """Return the size of each group's workers on this machine; their number stays.

    If the machine holds less than all workers want together, each gets the same fraction of what it wants, at
    least one thread. A group that wants no certain amount of memory gets an equal share of all of it.

    Args:
        groups: With the sizes that are wanted.
        total: Most workers at one time over all groups; the largest ones are reckoned with.
        machine: What there is.
        keep_threads: The number of threads was chosen for this machine and stays.

    Returns:
        Group to size, and one warning if anything was made smaller.
    """
    cpus, memory = _most(groups, total, "cpus"), _most(groups, total, "memory")
    few_cpus, little_memory = cpus > machine.cpus, memory > machine.memory
    share = max(1, min(total, sum(group.maximum for group in groups)))
    sizes = {}
    for group in groups:
        part = machine.cpus / cpus if few_cpus else 1.0
        wanted = group.memory or machine.memory // share
        scarce = little_memory and group.memory is not None
        sizes[group.name] = Size(
            cpus=group.cpus * part,
            threads=group.threads if keep_threads else max(1, int(group.threads * part)),
            memory=max(LEAST_MEMORY, int(wanted * machine.memory / memory) if scarce else wanted),
        )
    if not (few_cpus or little_memory):
        return sizes, ()
    want = [f"{cpus:g} CPUs"] * few_cpus + [f"{format_size(memory)} of memory"] * little_memory
    have = [f"{machine.cpus}"] * few_cpus + [format_size(machine.memory)] * little_memory
    given = "; ".join(f"each {name!r} gets {_words(size)}" for name, size in sizes.items())
    problem = Problem(
        code="W1401",
        severity="warning",
        message=f"{share} workers want {' and '.join(want)}, this machine has {' and '.join(have)}: {given}",
        cure="all of them run, smaller; fewer would get more each: max_workers",
    )
    return sizes, (problem,)


def _most(groups: Sequence[WorkerGroup], total: int, what: str) -> float:
    """The most that the workers that may run at one time want together."""
    wants = [
        getattr(group, what) or 0 for group in groups for _ in range(min(group.maximum, total))
    ]
    return sum(sorted(wants, reverse=True)[:total])


def _words(size: Size) -> str:
    return f"{size.threads} thread{'s' * (size.threads != 1)} and {format_size(size.memory)}"
