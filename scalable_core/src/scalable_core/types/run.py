"""What happened: runs and events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from attrs import frozen

RUN_SCHEMA = "scalable.run/1"

RunStatus = Literal["running", "done", "failed", "interrupted", "stopped"]


@frozen(kw_only=True)
class RunRecord:
    """One run, as `run.json` holds it.

    Attributes:
        run: ``run-<date>-<time>-<two words>-<4 hex>``.
        status: ``running`` until the session closes; a reader that finds the process gone says interrupted;
            ``stopped`` by its budget.
        started: ISO time in UTC.
        ended: ISO time in UTC.
        error: Type and first line of what ended it, when it failed.
        tasks: Counts of calls by end: ``done``, ``failed``, ``cached``.
        pid: The driver's process, on ``host``.
        workflow: The file that was run; None for a session of a process of its own.
        arguments: What the workflow was given.
        resumed: The run that this one goes on with.
        cost: What it cost; None where nothing is billed, or nobody can say.
        detached: Its driver does not need the process that started it.
    """

    run: str
    project: str
    target: str
    provider: str
    status: RunStatus
    started: str
    ended: str | None = None
    lock: str
    error: str | None = None
    tasks: Mapping[str, int] = {}
    workers: Mapping[str, int] = {}
    host: str = ""
    pid: int = 0
    version: str = ""
    workflow: str | None = None
    arguments: tuple[str, ...] = ()
    resumed: str | None = None
    cost: RunCost | None = None
    detached: bool = False


@frozen(kw_only=True)
class RunCost:
    """What a run cost, beside what it was expected to cost. Amounts in USD.

    Attributes:
        estimate: Expected before the start; None when nothing had a price.
        spent: Launch prices times worker seconds, and what lives as long as the run.
        budget: What it was allowed to cost; None for no limit.
        rest: At a stop by the budget: what the calls that were left would cost; None when nobody can say.
        left: At a stop by the budget: calls that had not ended, or whose results are not kept.
        kept: At a stop by the budget: calls whose results the next run takes from the cache.
        snapshot: Id of the prices.
        comparable: The estimate rested on what was known and the run did all of the work that it was for, so
            that the difference is the estimate's error.
    """

    estimate: float | None = None
    spent: float
    budget: float | None = None
    rest: float | None = None
    left: int | None = None
    kept: int | None = None
    snapshot: str | None = None
    comparable: bool = False


@frozen(kw_only=True)
class CostRow:
    """One line of ``cost.jsonl``: what has been paid for since the line before of the same thing.

    Attributes:
        time: Seconds since the epoch.
        item: ``estimate`` (what the run starts from; pays nothing), ``workers``, ``shared`` (what lives as
            long as the run) or ``once`` (such as egress; as estimated).
        component: The workers' group.
        seconds: Paid seconds, of all workers of the group together.
        price: USD for one of them for an hour.
        amount: USD.
        spent: USD over the whole run so far, this line included.
        projected: USD over the whole run as far as its calls are known; None when that is too early to say.
        estimate: USD; with ``estimate`` only, as are the next two.
        budget: USD.
        snapshot: Id of the prices.
    """

    time: float
    item: Literal["estimate", "workers", "shared", "once"]
    component: str | None = None
    seconds: float | None = None
    price: float | None = None
    amount: float = 0.0
    spent: float = 0.0
    projected: float | None = None
    estimate: float | None = None
    budget: float | None = None
    snapshot: str | None = None


@frozen(kw_only=True)
class Event:
    """One thing that happened in a run.

    Attributes:
        time: Seconds since the epoch, UTC.
        kind: Such as ``cluster.ready`` or ``worker.lost``.
        message: One sentence for people.
        data: Plain data for programs.
    """

    time: float
    kind: str
    message: str = ""
    data: Mapping[str, Any] = {}


@frozen(kw_only=True)
class TaskRow:
    """One line of ``tasks.jsonl``: one attempt of a call, when it ended. Times are epoch seconds.

    Attributes:
        key: The call's key; its attempts share it.
        task: The task's name, or the function's for calls without one.
        component: Where it ran; None when any component would do.
        state: ``done``, ``failed`` (the last attempt), ``retried`` (failed, tried again), ``lost`` (its worker
            went away) or ``cached`` (the result was there already).
        submitted: When the scheduler heard of it.
        queued: When it was given to a worker.
        started: When it began to run.
        finished: When it ended.
        worker: The worker's name.
        nbytes: Bytes of the result in memory.
        cpu: CPU seconds of its own thread.
        peak: Bytes: the most that its worker process held while it ran, other calls of that worker included.
        attempt: 1 for the first.
        source: For ``cached``: the run that made the result, when it is known.
    """

    key: str
    task: str
    component: str | None = None
    state: Literal["done", "failed", "retried", "lost", "cached"]
    submitted: float | None = None
    queued: float | None = None
    started: float | None = None
    finished: float
    worker: str | None = None
    nbytes: int | None = None
    cpu: float | None = None
    peak: int | None = None
    attempt: int = 1
    source: str | None = None


@frozen(kw_only=True)
class WorkerRow:
    """One line of ``workers.jsonl``: a worker that came or went.

    Attributes:
        time: Seconds since the epoch.
        event: ``added``, ``removed`` (on purpose) or ``lost``.
        name: The worker's name; a replacement has the same.
        component: Its group.
        threads: Calls it runs at once.
        memory: Bytes it may use; None without a limit.
        host: Where it is.
        pid: Its process.
    """

    time: float
    event: Literal["added", "removed", "lost"]
    name: str
    component: str | None = None
    threads: int = 0
    memory: int | None = None
    host: str | None = None
    pid: int | None = None


@frozen(kw_only=True)
class ResourceRow:
    """One line of ``resources.jsonl``: how busy the cluster is, every few seconds.

    Attributes:
        time: Seconds since the epoch.
        workers: How many are there.
        threads: Calls that they can run at once.
        queued: Calls that wait.
        running: Calls that run.
        cpu: Worker name to percent of one CPU.
        memory: Worker name to bytes.
    """

    time: float
    workers: int
    threads: int
    queued: int
    running: int
    cpu: Mapping[str, float] = {}
    memory: Mapping[str, int] = {}


@frozen(kw_only=True)
class CacheRow:
    """One line of ``cache.jsonl``: what the cache did for a call.

    Attributes:
        time: Seconds since the epoch.
        event: ``hit``, ``miss``, ``uncacheable``, ``damaged``, ``failed`` (not written).
        key: The cache key.
        task: The task's or function's name.
        seconds: For a hit what the result took when it was made.
        nbytes: Bytes in the store.
        detail: One sentence, such as the part that cannot be computed.
    """

    time: float
    event: Literal["hit", "miss", "uncacheable", "damaged", "failed"]
    key: str | None = None
    task: str
    seconds: float | None = None
    nbytes: int | None = None
    detail: str = ""


@frozen(kw_only=True)
class FailureRow:
    """One line of ``failures.jsonl``: one attempt that failed or was lost.

    Attributes:
        time: Seconds since the epoch.
        key: The call's key.
        task: The task's or function's name.
        worker: The worker's name.
        attempt: 1 for the first.
        kind: ``error`` (the call raised), ``timeout``, ``memory`` (its worker was killed), ``worker-lost``.
        transient: Trying again may help.
        final: No attempt follows.
        type: The exception's type.
        message: Its first 500 characters.
        log: The last lines of its traceback.
        peak: Bytes the worker held at last, as far as it is known.
        limit: Bytes the worker may hold.
    """

    time: float
    key: str
    task: str
    worker: str | None = None
    attempt: int = 1
    kind: Literal["error", "timeout", "memory", "worker-lost"]
    transient: bool
    final: bool
    type: str
    message: str = ""
    log: tuple[str, ...] = ()
    peak: int | None = None
    limit: int | None = None


@frozen(kw_only=True)
class TaskCounts:
    """How far the calls of one kind are: how many there are, and how many ended which way."""

    total: int = 0
    done: int = 0
    failed: int = 0


@frozen(kw_only=True)
class Progress:
    """How far a run is.

    Attributes:
        tasks: By task name, or by function name for calls without a task.
        workers: Workers that are there now.
        added: Workers that came, over the whole run.
        lost: Workers that went before the run was over.
        spent: USD so far; None where nothing is billed, or nobody can say.
        projected: USD over the whole run, as far as its calls are known; None when that is too early to say.
        budget: USD that the run may cost; None for no limit.
    """

    tasks: Mapping[str, TaskCounts] = {}
    workers: int = 0
    added: int = 0
    lost: int = 0
    spent: float | None = None
    projected: float | None = None
    budget: float | None = None
