"""When a failed call is tried again, and how soon. Imports distributed: import it inside functions.

Dask tries every failed call again at once, as often as ``retries`` says. Here, inside the scheduler:

* a failure that will come back (a `TypeError`) is not tried again when the retries are those of the manifest's
  task; ``retries=`` in the call itself asks for it, and keeps Dask's meaning;
* before a further attempt there is a pause that doubles each time, with jitter, in which no worker is held up;
* losing a worker is not a failure of the call: Dask counts that apart (``allowed-failures``).
"""

from __future__ import annotations

import random
from typing import Any

from distributed.diagnostics.plugin import SchedulerPlugin  # noqa: TID253
from distributed.metrics import time  # noqa: TID253

#: Seconds before the second attempt, on average.
FIRST_PAUSE = 0.5
#: Seconds before any attempt, at most.
LONGEST_PAUSE = 30.0
#: The annotation by which a call says that only transient failures are to be tried again.
TRANSIENT_ONLY = "scalable_transient_only"
#: Under this name the metadata of a call keep what its last attempt raised, until the attempt is recorded.
FAILURE = "scalable_failure"
#: A Dask resource that no worker has: a call that needs it waits.
PAUSE = "scalable:pause"
#: Exceptions that come back however often a call is tried.
PERMANENT = frozenset(
    "ArithmeticError AssertionError AttributeError FileNotFoundError ImportError IndexError KeyError "
    "LookupError ModuleNotFoundError NameError NotImplementedError OverflowError RecursionError SyntaxError "
    "TypeError UnboundLocalError UnicodeDecodeError UnicodeEncodeError ValueError ZeroDivisionError".split()
)


def error_type(exception_text: str) -> str:
    """Return the name of the class in the ``repr`` of an exception, such as ``TypeError``."""
    return exception_text.partition("(")[0].rpartition(".")[2]


class RetryPlugin(SchedulerPlugin):
    """Decides about the next attempt of a call in place of Dask's own rule."""

    name = "scalable-retry"
    idempotent = True

    def __init__(
        self, first_pause: float = FIRST_PAUSE, longest_pause: float = LONGEST_PAUSE
    ) -> None:
        self._first, self._longest = first_pause, longest_pause

    async def start(self, scheduler: Any) -> None:
        """Put the rule in place."""
        self._scheduler = scheduler
        self._dask_rule = scheduler.stimulus_task_erred
        scheduler.stimulus_task_erred = self._erred

    def _erred(self, *, key: Any, run_id: int, stimulus_id: str, **failure: Any) -> Any:
        task = self._scheduler.tasks.get(key)
        again = task is not None and task.state == "processing" and task.run_id == run_id
        again = again and task.retries > 0
        if again and self._is_permanent(task, failure):
            again, task.retries = False, 0
        if again:
            task.metadata = {**(task.metadata or {}), FAILURE: failure}
        answer = self._dask_rule(key=key, run_id=run_id, stimulus_id=stimulus_id, **failure)
        if again and task.state == "waiting":
            self._pause(task)
        return answer

    def _is_permanent(self, task: Any, failure: dict[str, Any]) -> bool:
        transient_only = (task.annotations or {}).get(TRANSIENT_ONLY, False)
        return transient_only and error_type(failure.get("exception_text") or "") in PERMANENT

    def _pause(self, task: Any) -> None:
        """Keep a call that has left its worker from the next one for a while."""
        attempt = task.metadata["scalable_attempt"] = task.metadata.get("scalable_attempt", 0) + 1
        pause = min(self._longest, self._first * 2 ** (attempt - 1)) * random.uniform(0.5, 1.5)
        task.resource_restrictions = {**(task.resource_restrictions or {}), PAUSE: 1}
        self._scheduler.loop.call_later(pause, self._resume, task)

    def _resume(self, task: Any) -> None:
        restrictions = {n: r for n, r in task.resource_restrictions.items() if n != PAUSE}
        task.resource_restrictions = restrictions or None
        if task.state == "no-worker":
            self._scheduler.transitions({task.key: "processing"}, f"retry-{time()}")
