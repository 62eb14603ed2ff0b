"""What happened: runs and events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from attrs import frozen

RUN_SCHEMA = "scalable.run/1"

RunStatus = Literal["running", "done", "failed", "interrupted"]


@frozen(kw_only=True)
class RunRecord:
    """One run, as `run.json` holds it.

    Attributes:
        run: ``run-<date>-<time>-<two words>-<4 hex>``.
        status: ``running`` until the session closes; a reader that finds the process gone says interrupted.
        started: ISO time in UTC.
        ended: ISO time in UTC.
        error: Type and first line of what ended it, when it failed.
        tasks: Counts of calls by end: ``done``, ``failed``, ``cached``.
        pid: The driver's process, on ``host``.
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
    """

    tasks: Mapping[str, TaskCounts] = {}
    workers: int = 0
    added: int = 0
    lost: int = 0
