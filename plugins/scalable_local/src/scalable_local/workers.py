"""Makes the workers of a group. Import it inside functions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from scalable_core.cluster import component_resource
from scalable_core.errors import ClusterError
from scalable_core.types import HookContext
from scalable_local.container_worker import ContainerWorker
from scalable_local.containers import Container, group_container
from scalable_local.environment import worker_environment
from scalable_local.layout import LocalGroup
from scalable_local.losses import Report
from scalable_local.nanny import LocalNanny, ThreadWorker

#: Seconds that a worker may take to start, its preload script included.
START_TIMEOUT = 300


class WorkerMaker:
    """Makes workers of one group, by address of the scheduler and name.

    Args:
        group: How the group runs here.
        context: The run, its folder and its code.
        scratch: Where workers keep what they spill.
        environ: Gives the environment of worker processes besides the component's own.
        report: Told when a worker is lost.

    Raises:
        ClusterError: The group runs in containers, and there is no code for them.
    """

    def __init__(
        self,
        group: LocalGroup,
        *,
        context: HookContext,
        scratch: Path,
        environ: Callable[[], Mapping[str, str]],
        report: Report,
    ) -> None:
        self._group, self._scratch = group, scratch
        self._environ, self._report = environ, report
        self._logs = (context.run_dir or scratch) / "workers"
        self._container = _container(group, context) if group.mode == "container" else None

    def __call__(self, scheduler: str, name: str) -> Any:
        """Return a worker that is not started yet."""
        options = worker_options(self._group, name, self._scratch)
        if self._group.mode == "threads":
            return ThreadWorker(scheduler, **options)
        if self._container is not None:
            return ContainerWorker(
                scheduler,
                name,
                container=self._container,
                options=options,
                folder=self._logs,
                report=self._report,
            )
        return LocalNanny(
            scheduler,
            environ=self._environ,
            report=self._report,
            env=worker_environment(self._group),
            options={**options, "protocol": "tcp://", "host": "127.0.0.1"},
        )


def _container(group: LocalGroup, context: HookContext) -> Container:
    if context.bundle is None or context.run is None:
        raise ClusterError(
            f"the workers of {group.name!r} run in containers, which need the code of a run",
            cure="start the run with a ScalableSession or with: scalable run",
        )
    brought = context.environment if group.plan.environment else None
    return group_container(
        group,
        run=context.run,
        workdir=context.workdir,
        bundle=context.bundle().path,
        environment=brought() if brought else None,
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
