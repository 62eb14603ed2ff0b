"""Makes the workers of a group. Import it inside functions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from scalable_core.cluster import component_resource
from scalable_local.environment import worker_environment
from scalable_local.layout import LocalGroup
from scalable_local.nanny import LocalNanny, Report, ThreadWorker

#: Seconds that a worker may take to start, its preload script included.
START_TIMEOUT = 300


class WorkerMaker:
    """Makes workers of one group, by address of the scheduler and name.

    Args:
        group: How the group runs here.
        folder: Where workers keep what they spill.
        environ: Gives the environment of worker processes besides the component's own.
        report: Told when a worker is lost.
    """

    def __init__(
        self,
        group: LocalGroup,
        *,
        folder: Path,
        environ: Callable[[], Mapping[str, str]],
        report: Report,
    ) -> None:
        self._group, self._folder = group, folder
        self._environ, self._report = environ, report

    def __call__(self, scheduler: str, name: str) -> Any:
        """Return a worker that is not started yet."""
        options = worker_options(self._group, name, self._folder)
        if self._group.mode == "threads":
            return ThreadWorker(scheduler, **options)
        return LocalNanny(
            scheduler,
            environ=self._environ,
            report=self._report,
            env=worker_environment(self._group),
            options={**options, "protocol": "tcp://", "host": "127.0.0.1"},
        )


def worker_options(group: LocalGroup, name: str, folder: Path) -> dict[str, Any]:
    """Return the options of a Dask worker of a group, in whatever process it runs."""
    script = group.plan.preload_script
    return {
        "name": name,
        "nthreads": group.size.threads,
        "memory_limit": group.size.memory,
        "resources": component_resource(group.name),
        "preload": [script] if script else [],
        "local_directory": str(folder),
        "death_timeout": START_TIMEOUT,
        "dashboard_address": "127.0.0.1:0",
        "dashboard": False,
        "silence_logs": logging.ERROR,
    }
