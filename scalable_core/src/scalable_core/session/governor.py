"""Watches what a run spends while it lasts, and ends it in time when its budget is reached."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import evolve

from scalable_core.errors import BudgetReachedError
from scalable_core.session.meter import Meter
from scalable_core.session.outlook import Outlook, open_calls
from scalable_core.types import (
    CostRow,
    HourlyRates,
    Plan,
    Progress,
    RunCost,
    ServiceProfile,
    TaskCounts,
    to_data,
)
from scalable_core.types.units import format_usd

if TYPE_CHECKING:
    from distributed import Client

#: Seconds between rows, when no worker comes or goes.
INTERVAL = 5.0
#: Seconds that running calls have to end, once the budget is reached.
GRACE = 600.0
#: Seconds from one look at what is spent until the next has been answered.
LOOK = 1.5
#: Seconds that it takes to release everything, where a boot does not take less.
RELEASE = 5.0
#: Seconds that a workflow has to end, once its calls have; then its cluster is closed all the same.
PATIENCE = 30.0

Rows = Mapping[str, Sequence[Mapping[str, Any]]]


class Governor:
    """Counts what a run spends, writes it to ``cost.jsonl``, and stops the run at its budget.

    It works with any Dask cluster. What a cluster may have besides makes it more exact:

    * ``limit_workers(total)``: it asks for no more workers than that, over all groups, from now on;
    * ``paid_workers()``: all its launches so far as `PaidWorker` records, where a worker is paid for before it
      arrives, after it has left, or at another price than the estimate's;
    * ``paid_since``: epoch seconds from which its scheduler is paid for; None as long as it is not.

    Args:
        plan: The run's plan.
        run: The run's id.
        rates: What it pays.
        profile: How the service bills and boots.
        client: Of a scheduler that has a `RunPlugin` and a `DrainPlugin`.
        write: Appends rows to a table of the run.
        say: Takes kind, message and data of an event.
        progress: Looks how far the run is; asked a last time before the cluster is closed from here.
        is_kept: Whether the result of a call is taken from the cache by the next run.
        keep_done: Keeps the results that are done and that no worker can have kept.
        budget: USD; None for no limit.
        elsewhere: USD that other sessions of the same run have spent.
        snapshot: Id of the prices.

    Attributes:
        error: Why the run has been stopped; None as long as it has not.
    """

    def __init__(
        self,
        plan: Plan,
        run: str,
        *,
        rates: HourlyRates,
        profile: ServiceProfile,
        client: Client,
        write: Callable[[str, Sequence[Mapping[str, Any]]], None],
        say: Callable[..., None],
        progress: Callable[[], Progress],
        is_kept: Callable[[str], bool],
        keep_done: Callable[[], None],
        budget: float | None = None,
        elsewhere: Callable[[], float] = lambda: 0.0,
        snapshot: str | None = None,
    ) -> None:
        self.error: BudgetReachedError | None = None
        self._plan, self._run, self._rates, self._profile = plan, run, rates, profile
        self._release = min(RELEASE, profile.boot)
        self._boot = max(profile.boot, profile.billed_minimum)
        self._client, self._cluster = client, client.cluster
        self._write, self._say, self._progress = write, say, progress
        self._is_kept, self._keep_done = is_kept, keep_done
        self._budget, self._elsewhere, self._snapshot = budget, elsewhere, snapshot
        self._lock = threading.RLock()
        self._closed = threading.Event()
        self._drain: threading.Thread | None = None
        now = time.time()
        self._meter = Meter(rates, profile, started=now)
        self._ask_cluster()
        self._outlook = Outlook(plan, rates)
        self._projected: float | None = None
        self._written = 0.0
        self._limit: int | None = None
        self._counted = self._heard = False
        self._done: dict[str, str] = {}
        self._left: Counter[str] = Counter()
        self._rest: float | None = None
        self._estimate = None if plan.cost is None else plan.cost.expected
        self._forecast_is_known = plan.forecast is not None and plan.forecast.known
        first = CostRow(
            time=now, item="estimate", estimate=self._estimate, budget=budget, snapshot=snapshot
        )
        self._append([first])
        if budget is not None:
            self._limit_growth()
            threading.Thread(
                target=self._watch_start, name="scalable-start-governor", daemon=True
            ).start()

    @property
    def spent(self) -> float:
        """USD so far."""
        with self._lock:
            return self._meter.spent if self._counted else self._meter.total(time.time())

    def hear(self, rows: Rows, moment: float) -> None:
        """Take the rows that have come until a moment, count, and stop the run when it is time.

        Args:
            rows: By table, as ``scalable_rows`` of the scheduler gives them.
            moment: Epoch seconds.
        """
        with self._lock:
            self._heard = True
            changed = self._hear(rows)
            self._count(moment, write=changed)
        if self._budget is not None and self._drain is None:
            self._limit_growth()
            if self._is_reached():
                self._drain = threading.Thread(
                    target=self._stop, name="scalable-governor", daemon=True
                )
                self._drain.start()

    def look(self, progress: Progress) -> Progress:
        """Return how far a run is with ``spent``, ``projected`` and ``budget``."""
        with self._lock:
            rest = self._outlook.rest(open_calls(progress.tasks), self._meter.workers)
            spent = self.spent
            if rest is not None:
                self._projected = spent + rest + self._rates.once
            elif self._estimate is not None and self._forecast_is_known:
                self._projected = max(spent, self._estimate)
            projected = self._projected
        return evolve(progress, spent=spent, projected=projected, budget=self._budget)

    def finish(self, *, at_once: bool = False) -> None:
        """Let a stop that has begun come to its end; then nothing is stopped any more.

        Args:
            at_once: Wait for no call that runs.
        """
        if at_once:
            self._closed.set()
        if self._drain is not None and self._drain is not threading.current_thread():
            while self._drain.is_alive() and self.error is None:
                self._drain.join(timeout=0.1)
        self._closed.set()

    def reason(self, error: BaseException | None, progress: Progress) -> BaseException | None:
        """Return why the run ended, which is the budget when calls were not done because of it.

        Args:
            error: What ended the workflow; it may have made something of its own of the calls' errors.
            progress: How far the run came.
        """
        if self.error is None or isinstance(error, KeyboardInterrupt):
            return error
        return self.error if open_calls(progress.tasks) or not self._heard else error

    def close(self, moment: float, rows: Sequence[Mapping[str, Any]]) -> None:
        """Count to the end.

        Args:
            moment: Epoch seconds at which everything was released.
            rows: Of ``workers.jsonl``: the workers that were there until then.
        """
        with self._lock:
            self._hear({"workers": rows})
            self._projected = None
            self._append(self._meter.count(moment, last=True))
            self._counted = True

    def result(self, *, comparable: bool) -> RunCost:
        """Return what the run has cost.

        Args:
            comparable: The run did all of the work that its estimate was for.
        """
        stopped = self.error is not None
        return RunCost(
            estimate=self._estimate,
            spent=self._meter.spent,
            budget=self._budget,
            rest=self._rest,
            left=sum(self._left.values()) if stopped and self._heard else None,
            kept=sum(map(self._is_kept, self._done)) if stopped else None,
            snapshot=self._snapshot,
            comparable=comparable and self._forecast_is_known and bool(self._estimate),
        )

    # -- counting ----------------------------------------------------------------------------------------

    def _hear(self, rows: Rows) -> bool:
        tasks = rows.get("tasks", ())
        self._outlook.hear(tasks)
        if self._budget is not None:
            self._done.update((row["key"], row["task"]) for row in tasks if row["state"] == "done")
        changed = self._meter.hear(rows.get("workers", ()))
        self._ask_cluster()
        return changed

    def _ask_cluster(self) -> None:
        tell = getattr(self._cluster, "paid_workers", None)
        if tell is not None:
            self._meter.told(tell())
        if hasattr(self._cluster, "paid_since"):
            self._meter.begin(self._cluster.paid_since)

    def _count(self, moment: float, *, write: bool) -> None:
        if not write and moment < self._written + INTERVAL:
            return
        self._append(self._meter.count(moment))
        self._written = moment

    def _append(self, rows: Sequence[CostRow]) -> None:
        written = ({**to_data(row), "projected": self._projected} for row in rows)
        self._write("cost", [{k: v for k, v in row.items() if v is not None} for row in written])

    # -- the limit ---------------------------------------------------------------------------------------

    def _money_left(self, moment: float) -> float:
        """USD that may still be spent, what is paid once taken off."""
        assert self._budget is not None
        with self._lock:
            spent = self._meter.total(moment)
        return self._budget - self._elsewhere() - spent - self._rates.once

    def _boots(self) -> float:
        """USD that the workers will cost at least that are asked for and have not arrived."""
        if hasattr(self._cluster, "paid_workers"):
            return 0.0  # they are paid for already
        absent = len(getattr(self._cluster, "plan", ())) - sum(self._meter.workers.values())
        return max(absent, 0) * max(self._rates.workers.values(), default=0.0) * self._boot / 3600

    def _is_reached(self) -> bool:
        """Whether what is left is just enough to end: the calls that run, or all that are known."""
        look = self._ask()
        if look is None:
            return False
        calls, running = open_calls(look[0]), look[1]
        with self._lock:
            workers, shared = self._meter.hourly, self._rates.shared
            drain = (workers + shared) * min(self._outlook.until_idle(running), GRACE) / 3600
            rest = self._outlook.rest(calls, self._meter.workers)
            need = drain if rest is None else min(drain, rest)
            need += (workers + shared) * (LOOK + self._release) / 3600 + self._boots()
        if calls and not workers and self._limit == 0:
            return True
        return self._money_left(time.time()) <= need

    def _limit_growth(self) -> None:
        """Let the cluster ask for no more workers than can be paid until each has done one call."""
        service = self._profile
        with self._lock:
            seconds = max(service.billed_minimum, service.boot + self._outlook.slowest())
        seconds += self._release
        dearest = max(self._rates.workers.values(), default=0.0)
        if not dearest:
            return
        payable = (self._money_left(time.time()) * 3600 / seconds - self._rates.shared) / dearest
        limit = max(0, min(math.floor(payable), self._plan.maximum))
        if limit != self._limit:
            self._limit = limit
            self._limit_workers(limit)

    def _limit_workers(self, total: int) -> None:
        limit = getattr(self._cluster, "limit_workers", None)
        if limit is not None:
            limit(total)

    def _ask(self) -> tuple[Mapping[str, TaskCounts], Mapping[str, float]] | None:
        """Return how far the calls are, and task to the seconds that its latest call has run."""
        try:
            known = self._client.sync(self._client.scheduler.scalable_progress)
        except Exception:
            return None  # the scheduler is just closing
        tasks = {name: TaskCounts(**counts) for name, counts in known["tasks"].items()}
        return tasks, known["running"]

    # -- the end -----------------------------------------------------------------------------------------

    def _watch_start(self) -> None:
        """Give up a cluster that has cost the budget before its scheduler was there."""
        while not self._client.is_connected and not self._closed.wait(0.5):
            with self._lock:
                self._ask_cluster()
                hourly = self._meter.hourly + self._rates.shared
            if self._money_left(time.time()) <= hourly * (LOOK + self._release) / 3600:
                text = f"spent {format_usd(self.spent)} of {format_usd(self._budget or 0.0)}"
                self.error = BudgetReachedError(
                    f"budget reached: {text} before the cluster was there; no call has run",
                    cure="give a larger budget, or find out what its start waits for: scalable doctor",
                )
                self._client.stop_connecting(self.error)
                return

    def _stop(self) -> None:
        """Hold, let the running calls end, end the others, and see to it that everything is released."""
        try:
            self._hold_and_wait()
            with contextlib.suppress(Exception):  # what is not kept is counted as left
                self._keep_done()
            self._end_calls()
        except Exception:
            if not self._closed.is_set():
                raise
        if not self._closed.wait(PATIENCE):
            self._say("budget.released", "the workflow goes on; its workers are released")
            self._progress()
            self._cluster.close()

    def _hold_and_wait(self) -> None:
        workers = sum(self._meter.workers.values())
        text = (
            f"budget reached: spent {format_usd(self.spent)} of {format_usd(self._budget or 0.0)}"
        )
        self._say("budget.reached", f"{text}; no call starts any more, those that run may end")
        self._limit_workers(0)
        self._client.sync(self._client.scheduler.scalable_hold)
        deadline = time.monotonic() + GRACE
        idle = 0
        # Twice: word that a call has ended, or that none may start, can still be under way at the first look.
        while workers and idle < 2 and time.monotonic() < deadline and not self._closed.is_set():
            with self._lock:
                hourly = self._meter.hourly + self._rates.shared
            if self._money_left(time.time()) <= hourly * self._release / 3600:
                return
            idle = 0 if self._running() else idle + 1
            self._closed.wait(0.2)

    def _running(self) -> int:
        """How many calls run, as the workers themselves say."""
        from distributed import Client

        from scalable_core.member.drain import count_running

        try:
            counts = self._client.sync(
                Client._run, self._client, count_running, on_error="ignore", callback_timeout=10
            )
        except TimeoutError:
            return 1  # a worker is too busy to answer, so something runs on it
        return sum(counts.values())

    def _end_calls(self) -> None:
        from distributed.protocol.pickle import dumps

        look = self._ask()
        calls = open_calls(look[0]) if look is not None else {}
        with self._lock:
            # What is done and not kept has to be done again by a run that goes on with this one.
            again = Counter(t for key, t in self._done.items() if not self._is_kept(key))
            self._left = again + Counter(calls)
            self._rest = self._outlook.another_run(self._left, boot=self._boot + self._release)
            if self._rest is None and self._forecast_is_known and self._estimate is not None:
                self._rest = max(self._estimate - self.spent, 0.0) or None
            error = self._error()
        self.error = error
        self._client.sync(
            self._client.scheduler.scalable_stop, exception=dumps(error), text=repr(error)
        )

    def _error(self) -> BudgetReachedError:
        left = sum(self._left.values())
        rest = (
            "nobody can say what" if self._rest is None else f"about {format_usd(self._rest)} more"
        )
        return BudgetReachedError(
            f"budget reached: spent {format_usd(self.spent)} of {format_usd(self._budget or 0.0)}; "
            f"finishing would cost {rest} ({left} call{'s' * (left != 1)} left)",
            cure=f"resume: scalable run --resume {self._run} --budget B",
        )
