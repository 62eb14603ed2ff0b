"""The scheduler of a fleet in a member of its own, and what ends it when nobody needs it any more.

Imports distributed: import it inside functions. Runs from the travelling code, in an image without our own.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distributed import Status  # noqa: TID253

from scalable_core.cluster.exchange import Exchange
from scalable_core.cluster.scheduler import GroupScheduler
from scalable_core.member.boot import MARK
from scalable_core.member.environment import offer

#: Seconds between looks whether anybody drives the fleet.
LOOK_EVERY = 1.0


class FleetScheduler(GroupScheduler):
    """A `GroupScheduler` with what a fleet needs besides, whether in a member or in the driver's process.

    * ``scalable_code`` gives the code of the run to workers that start;
    * ``scalable_claim`` gives a starting worker one of several names that no other has;
    * ``scalable_driver`` is how the driver says that it is there;
    * ``scalable_dial`` dials a worker, which thereby learns whether others can reach it;
    * ``scalable_relay`` is the line of a worker that cannot be reached (see `scalable_core.cluster.relay`);
    * ``scalable_tunnel`` carries connections to the dashboard over the run's own TLS.

    When no client is there and the driver has said nothing for ``no_driver`` seconds, or ``lifetime`` is over,
    the scheduler closes, and the workers with it.

    Args:
        code: The code of the run, a zip.
        limits: Seconds by name: ``lifetime``, ``idle``, ``no_driver``; 0 for no limit.
        environment: Path of the zip of packages that members without an image get; None for none.
        relay: Port and ports of the relay, and how patiently workers are dialled; None for no relay.
        **kwargs: As of Dask's own scheduler.
    """

    def __init__(
        self,
        *,
        code: bytes,
        limits: Mapping[str, float],
        environment: str | None = None,
        relay: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(idle_timeout=limits.get("idle") or None, **kwargs)
        self._code, self._limits = code, limits
        self._environment = environment
        self._exchange = Exchange(kwargs.get("host") or "", relay)
        self._claimed: dict[str, float] = {}
        self._born = self._driven = time.monotonic()
        self.ended: str | None = None
        self.handlers.update(
            scalable_code=self.give_code,
            scalable_take_code=self.know_code,
            scalable_claim=self.claim,
            scalable_driver=self.hear_driver,
            scalable_dial=self._exchange.dial,
            scalable_relay=self._exchange.serve,
            scalable_tunnel=self.tunnel,
            scalable_fail_group=self.hear_failure,
            scalable_revive_group=self.revive_group,
        )

    async def start_unsafe(self) -> Any:
        """Start, and give members their packages on the same port."""
        started = await super().start_unsafe()
        if self._environment is not None:
            offer(self, self._environment)
        return started

    def give_code(self) -> bytes:
        """Return the zip of the run's code."""
        return self._code

    def know_code(self, data: bytes) -> str:
        """Answer a driver that brings the code once more: it is here."""
        return "known"

    def claim(self, names: list[str]) -> str | None:
        """Give one of some names to a worker that is starting; None when all are taken.

        A name is free again once its worker is gone, and when its worker has not come in two minutes.
        """
        now = time.monotonic()
        taken = {str(worker.name) for worker in self.workers.values()}
        for name in names:
            if name not in taken and now - self._claimed.get(name, -1e9) > 120:
                self._claimed[name] = now
                return name
        return None

    def hear_driver(self) -> list[str]:
        """Note that the driver is there, and tell it in a sentence each what it has not heard yet."""
        self._driven = time.monotonic()
        return self._exchange.news()

    async def tunnel(self, comm: Any) -> None:
        """Carry a connection to the dashboard, which listens here alone."""
        from scalable_core.member.carry import carry

        port = self.identity()["services"].get("dashboard")
        if port is None:
            await comm.close()
            return
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await carry(comm, reader, writer)

    def hear_failure(
        self, name: str, message: str, cure: str | None, scarce: bool, last: bool
    ) -> None:
        """End the calls of a group that can have no workers; see `GroupScheduler.fail_group`."""
        from scalable_core.errors import ClusterError, NoCapacityError

        error = (NoCapacityError if scarce else ClusterError)(message, cure=cure)
        self.fail_group(name, error, last=last)

    async def remove_worker(self, address: str, **kwargs: Any) -> Any:
        """Remove a worker, whose name is free then."""
        worker = self.workers.get(self.coerce_address(address))
        if worker is not None:
            self._claimed.pop(str(worker.name), None)
        return await super().remove_worker(address, **kwargs)

    async def watch(self) -> None:
        """Close when a limit is reached; ends with the scheduler."""
        while self.status not in (Status.closing, Status.closed):
            self.ended = self.ended or self._over()
            if self.ended:
                await self.close(reason=self.ended)
                return
            await asyncio.sleep(LOOK_EVERY)
        self.ended = (
            self.ended or f"nothing to do for {self._limits.get('idle', 0):g} s, or told to"
        )

    def _over(self) -> str | None:
        now = time.monotonic()
        if set(self.clients) - {"fire-and-forget"}:
            self._driven = now
        lifetime, no_driver = self._limits.get("lifetime"), self._limits.get("no_driver")
        if lifetime and now - self._born > lifetime:
            return f"the fleet's lifetime of {lifetime:g} s is over"
        if no_driver and now - self._driven > no_driver:
            return f"nobody has driven the fleet for {no_driver:g} s"
        return None


def serve_scheduler(
    run: Mapping[str, Any], security: Any, code: str, environment: str | None
) -> None:
    """Be the scheduler until a limit, a client or SIGTERM ends it; then end this process.

    Args:
        run: The run's document.
        security: The run's TLS.
        code: Path of the zip.
        environment: Path of the zip of packages; None for none.
    """
    import importlib.util

    dashboard = importlib.util.find_spec("bokeh") is not None

    async def serve() -> str:
        scheduler = await FleetScheduler(
            code=Path(code).read_bytes(),
            limits=run["limits"],
            environment=environment,
            protocol="tls://",
            host=run["listen"],
            port=run["port"],
            security=security,
            dashboard=dashboard,
            dashboard_address="127.0.0.1:0",
            relay=run.get("relay"),
            **run.get("scheduler", {}),
        )
        told = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, told.set)
        ends = [
            asyncio.ensure_future(end)
            for end in (scheduler.watch(), scheduler.finished(), told.wait())
        ]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        await scheduler.close()
        return scheduler.ended or "told to end"

    reason = asyncio.run(serve())
    sys.stdout.write(f"{MARK}{json.dumps({'ended': reason})}\n")
    sys.stdout.flush()
    os._exit(0)
