"""How a run ends before its work is done: nothing new starts, what runs may end, the rest is told why.

Imports distributed: import it inside functions.
"""

from __future__ import annotations

from typing import Any

from distributed import Status  # noqa: TID253
from distributed.diagnostics.plugin import SchedulerPlugin  # noqa: TID253
from distributed.metrics import time  # noqa: TID253

#: What is set on a scheduler whose calls have been told to end; they have not failed.
STOPPED = "scalable_stopped"
#: States of calls that can be ended; those that wait for them follow.
_OPEN = ("processing", "queued", "no-worker")


class DrainPlugin(SchedulerPlugin):
    """Lets a client end all calls of a scheduler, in two steps.

    * ``scalable_hold``: no worker starts a call any more, those that come later included;
    * ``scalable_stop``: every call that has not ended, now and from now on, ends with an exception.
    """

    name = "scalable-drain"
    idempotent = True

    def __init__(self) -> None:
        self._held = False
        self._exception: Any = None
        self._text = ""

    async def start(self, scheduler: Any) -> None:
        """Offer the two steps to clients."""
        self._scheduler = scheduler
        scheduler.handlers["scalable_hold"] = self.hold
        scheduler.handlers["scalable_stop"] = self.stop

    def hold(self) -> None:
        """Let no worker start another call."""
        self._held = True
        for worker in list(self._scheduler.workers.values()):
            self._hold(worker)

    def stop(self, exception: Any, text: str) -> None:
        """End every call that has not ended.

        Args:
            exception: What its future raises, pickled by the client.
            text: The same as text.
        """
        self.hold()
        self._exception, self._text = exception, text
        setattr(self._scheduler, STOPPED, True)
        self._end_calls()

    def add_worker(self, scheduler: Any, worker: str) -> None:
        """Hold a worker that comes late."""
        if self._held:
            self._hold(scheduler.workers[worker])

    def update_graph(self, scheduler: Any, **kwargs: Any) -> None:
        """End calls that come late, once the scheduler has taken them in."""
        if self._exception is not None:
            scheduler.loop.add_callback(self._end_calls)

    def _hold(self, worker: Any) -> None:
        # As Dask does when it retires a worker: both sides at once, so that no call slips in between.
        stimulus = f"drain-{time()}"
        self._scheduler.handle_worker_status_change(Status.closing_gracefully, worker, stimulus)
        message = {
            "op": "worker-status-change",
            "status": Status.closing_gracefully.name,
            "stimulus_id": stimulus,
        }
        self._scheduler.stream_comms[worker.address].send(message)

    def _end_calls(self) -> None:
        for task in list(self._scheduler.tasks.values()):
            if task.state not in _OPEN:
                continue
            stimulus = f"drain-{time()}"
            recommendations = self._scheduler.transition(
                task.key,
                "erred",
                stimulus_id=stimulus,
                exception=self._exception,
                exception_text=self._text,
                cause=task.key,
            )
            self._scheduler.transitions(recommendations, stimulus)


def count_running(dask_worker: Any) -> int:
    """Return how many calls run on a worker; runs there."""
    state = dask_worker.state
    return len(state.executing) + len(state.long_running)
