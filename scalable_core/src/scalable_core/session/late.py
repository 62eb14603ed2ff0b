"""A Dask client of a cluster that starts when it is first needed.

Until then nothing is asked for: futures that are finished from the store need no scheduler. The first call that
needs one starts cluster and workers together, in the background. It does not wait: as with any Dask client its
future is pending, and what is sent meanwhile is held back until the scheduler is there and knows what the
session has to tell it. Imports distributed: import it inside functions.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from distributed import Client  # noqa: TID253
from distributed.client import _set_global_client  # noqa: TID253
from distributed.utils import sync  # noqa: TID253

from scalable_core.errors import ClusterError, ScalableError


class LateScheduler:
    """Stands for the scheduler until it is there: what it is asked waits for that, and so brings it about.

    Args:
        client: Connects.
    """

    #: Shown by Dask where the scheduler's address would be.
    address = "not started: the first call that needs it starts it"

    def __init__(self, client: LateClient) -> None:
        self._client = client

    def __bool__(self) -> bool:
        """Dask looks at it before it asks for what it only wants to show."""
        return False

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        async def ask(**kwargs: Any) -> Any:
            await self._client.connected()
            return await getattr(self._client.scheduler, operation)(**kwargs)

        return ask


class LateClient(Client):
    """A `distributed.Client` that connects at once to a cluster that is started, and to others when needed.

    A cluster that may wait says so with an attribute ``is_started``, which is False while nothing has been
    asked for. `submit`, `map`, `compute` and `persist` never block; what needs an answer of the scheduler waits
    until it is there. When the cluster cannot be started, all futures end with the reason, and later calls
    raise it.

    Args:
        cluster: The cluster.
        **kwargs: As in Dask.
    """

    def __init__(self, cluster: Any, **kwargs: Any) -> None:
        self._is_late = not getattr(cluster, "is_started", True)
        self._is_open = not self._is_late
        self._held: list[Any] = []
        self._ready = asyncio.Event()
        self._error: BaseException | None = None
        self._attach: Callable[[], None] = lambda: None
        self._beginning = threading.Lock()
        self._ending = False
        self._why: ScalableError | None = None
        self._thread: threading.Thread | None = None
        self._joining: asyncio.Task[Any] | None = None
        self.scheduler: Any
        self.status: str
        super().__init__(cluster, **kwargs)

    @property
    def is_connected(self) -> bool:
        """Whether the scheduler is there and knows what the session has told it."""
        return self._is_open and self.status == "running"

    def when_connected(self, attach: Callable[[], None]) -> None:
        """Have something done once the scheduler is there, before it gets any call; now, if it is there."""
        if self._is_open:
            attach()
        else:
            self._attach = attach

    def request_workers(self) -> None:
        """Ask the cluster for its workers now; later calls do nothing. Returns at once.

        Raises:
            ScalableError: The cluster could not be started, in an earlier call.
        """
        if self._error is not None:
            raise self._error
        request = getattr(self.cluster, "request_workers", None)
        if request is not None:
            request()
        self._connect_soon()

    async def connected(self) -> None:
        """Wait until the scheduler is there.

        Raises:
            ScalableError: The cluster cannot be started.
        """
        self._connect_soon()
        await self._ready.wait()
        if self._error is not None:
            raise self._error

    def stop_connecting(self, why: ScalableError | None = None) -> None:
        """Give up what has begun, if it is not done, and begin nothing any more.

        Args:
            why: The error of what waits; that the run has ended, when nothing is given.
        """
        with self._beginning:
            self._ending = True
            self._why = why or self._why
        if self._thread is not None and self._thread is not threading.current_thread():
            if not self._is_open:
                self.loop.add_callback(self._call_off)
            self._thread.join()

    def start(self, **kwargs: Any) -> None:
        """Connect, or get ready to connect later."""
        if not self._is_late:
            super().start(**kwargs)
            return
        self._loop_runner.start()
        if self._set_as_default:
            _set_global_client(self)
        self.scheduler = LateScheduler(self)

    def close(self, *args: Any, **kwargs: Any) -> Any:
        """Close, as `distributed.Client.close` does."""
        self.stop_connecting()
        if self._is_late and self.status == "newly-created":
            self.scheduler = None
            self.status = "connecting"  # what is newly created Dask does not close
        return super().close(*args, **kwargs)

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
        if not self._is_open:
            self.sync(self.connected)
        return super().wait_for_workers(*args, **kwargs)

    async def _reconnect(self) -> None:
        """End what waits with the reason, when the cluster knows why its scheduler is gone for good."""
        explain = getattr(self.cluster, "explain_loss", None)
        error = explain and await explain()
        if not error:
            await super()._reconnect()
            return
        waiting = [state for state in self.futures.values() if state.status == "pending"]
        self.futures.clear()  # or closing would cancel them
        for state in waiting:
            state.set_error(error, None)
        await self._close(fast=True)

    # -- connecting --------------------------------------------------------------------------------------

    def _connect_soon(self) -> None:
        with self._beginning:
            if self._is_open or self._ending or self._thread is not None:
                return
            self._thread = threading.Thread(
                target=self._connect, name="scalable-connect", daemon=True
            )
            self._thread.start()

    def _connect(self) -> None:
        try:
            sync(self.loop, self._join)
            self._attach()
        except Exception as error:
            self.loop.add_callback(self._give_up, error)
        else:
            self.loop.add_callback(self._let_through)

    async def _join(self) -> None:
        self._joining = asyncio.current_task()
        try:
            await self.cluster
            self.scheduler = self.rpc(self.cluster.scheduler_address)
            await self._start()
        except asyncio.CancelledError:
            raise self._why or ClusterError("the run ended before its cluster was there") from None
        finally:
            self._joining = None

    def _call_off(self) -> None:
        if self._joining is not None:
            self._joining.cancel()

    def _give_up(self, error: Exception) -> None:
        self._error = error
        self._held.clear()
        for state in list(self.futures.values()):
            if state.status == "pending":
                state.set_error(error, None)
        self._ready.set()

    def _let_through(self) -> None:
        self._is_open = True
        for message in self._held:
            self._send_to_scheduler_safe(message)
        self._held.clear()
        self._ready.set()

    def _send_to_scheduler_safe(self, message: Any) -> None:
        """Hold back what the scheduler shall not get before it knows what the session has to tell it."""
        if self._is_open or self.status in ("closing", "closed"):
            super()._send_to_scheduler_safe(message)
        else:
            self._held.append(message)
