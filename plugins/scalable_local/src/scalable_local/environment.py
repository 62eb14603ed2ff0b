"""The environment of workers: what their component sets really holds for them, and only for them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from scalable_core.types import reveal
from scalable_local.layout import LocalGroup

#: How many threads the numeric libraries of one call may use.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class ProcessEnvironment:
    """Variables that hold in this process while a cluster has workers in it.

    Args:
        variables: Name to value; applied by `apply`, undone by `restore`.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = dict(variables)
        self._before: dict[str, str | None] = {}

    def apply(self) -> None:
        """Set the variables in this process."""
        self._before = {name: os.environ.get(name) for name in self._variables}
        os.environ.update(self._variables)

    def restore(self) -> None:
        """Undo `apply`; a variable that was changed since keeps its new value."""
        for name, value in self._before.items():
            if os.environ.get(name) != self._variables[name]:
                continue
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        self._before = {}

    def without(self) -> dict[str, str]:
        """Return this process's environment as it would be without these variables."""
        environment = {k: v for k, v in os.environ.items() if k not in self._before}
        return environment | {k: v for k, v in self._before.items() if v is not None}


def worker_environment(group: LocalGroup) -> dict[str, str]:
    """Return the variables that a worker of a group gets besides those of this process.

    These are the component's own and, where a worker runs fewer calls at once than it has CPUs, the number of
    threads that numeric libraries may use in each; the component's word and the shell's come first.
    """
    each = int(group.size.cpus // group.size.threads)
    threads = {} if each <= 1 else dict.fromkeys(THREAD_VARIABLES, str(each))
    chosen = {name: value for name, value in threads.items() if name not in os.environ}
    return chosen | reveal(group.plan.env)


def shared_environment(groups: Sequence[LocalGroup]) -> dict[str, str]:
    """Return the variables that hold in this process for the workers that are its threads."""
    for group in groups:
        if group.mode == "threads":
            return reveal(group.plan.env)
    return {}
