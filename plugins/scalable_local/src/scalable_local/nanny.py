"""The workers themselves: threads of this process, or processes with a nanny. Import it inside functions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from distributed import Nanny, Status, Worker  # noqa: TID253

from scalable_local.losses import Report, report_loss, was_killed_for_memory
from scalable_local.process import WorkerProcess, how_it_ended


class LocalNanny(Nanny):
    """A `distributed.Nanny` in this process, whose worker is a process that gets exactly its environment.

    Args:
        scheduler: The scheduler's address.
        environ: Gives the environment that the process has besides the nanny's ``env``.
        report: Told when the worker is lost.
        env: The component's variables.
        options: Of the worker: ``name``, ``nthreads``, ``resources``, ``memory_limit`` and more.

    Attributes:
        retired: The worker was closed on purpose, by the scheduler or a client.
    """

    def __init__(
        self,
        scheduler: str,
        *,
        environ: Callable[[], Mapping[str, str]],
        report: Report,
        env: Mapping[str, str],
        options: Mapping[str, Any],
    ) -> None:
        super().__init__(scheduler, env=dict(env), **options)
        self.process: Any
        self.retired = False
        self._environ, self._report, self._options = environ, report, options
        self._excess = 0

    async def instantiate(self) -> Any:
        """Start the worker's process and wait until it is ready."""
        if self.process is None:
            self.process = WorkerProcess(
                environ=lambda: {**self._environ(), **self.env},
                payload=self._payload,
                on_exit=self._on_worker_exit_sync,
            )
        try:
            await asyncio.wait_for(self.process.start(), self.death_timeout)
            # Not what `start` has returned: the process may have ended since, before a nanny minds that.
            return self.process.status
        except BaseException:
            await self.close(reason="nanny-instantiate-failed")
            raise

    def close_gracefully(self, reason: str = "nanny-close-gracefully") -> None:
        """Hear from the worker that it closes for good; one that has only lost the scheduler is replaced."""
        self.retired = reason != "worker-handle-scheduler-connection-broken"
        super().close_gracefully(reason=reason)

    def log_event(self, topic: Any, msg: Any) -> None:
        """Note why the worker is about to be ended, and log as Dask does."""
        if topic == "worker-restart-memory":
            self._excess = msg["rss"]
        super().log_event(topic, msg)

    def _payload(self) -> dict[str, Any]:
        options = {**self._options, "scheduler_ip": self.scheduler_addr, "nanny": self.address}
        return {"config": self.config, "options": options}

    def _on_worker_exit_sync(self, exitcode: int) -> None:
        held, self._excess = self._excess, 0
        if self.status is Status.running and not self.process.told_to_stop:
            report_loss(
                self._report,
                str(self.name),
                f"worker {self.name} {how_it_ended(exitcode)}",
                peak=max(held, self.process.peak or 0) or None,
                limit=self.memory_manager.memory_limit,
                for_memory=bool(held)
                or was_killed_for_memory(
                    exitcode,
                    self.process.kills,
                    self.process.peak,
                    self.memory_manager.memory_limit,
                ),
            )
        super()._on_worker_exit_sync(exitcode)


class ThreadWorker(Worker):
    """A `distributed.Worker` in this process.

    The memory of a thread cannot be told from that of its process and is not watched: nothing is paused, and
    results go to disk by their own size only.

    Attributes:
        retired: The worker was closed on purpose, by the scheduler or a client.
    """

    def __init__(self, scheduler: str, **options: Any) -> None:
        super().__init__(scheduler, **options)
        self.retired = False
        self.periodic_callbacks.pop("memory_monitor", None)

    async def close(self, *args: Any, **kwargs: Any) -> Any:
        """Close, and remember whether it was on purpose."""
        self.retired = self.retired or self.status is Status.closing_gracefully
        return await super().close(*args, **kwargs)
