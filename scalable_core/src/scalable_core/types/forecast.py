"""How long a run will take and how many workers it will have: what an estimate prices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from attrs import frozen


@frozen(kw_only=True)
class GroupForecast:
    """The workers of one group over a whole run.

    Attributes:
        worker_hours: Hours that its workers are there, all together.
        low: Worker-hours at the tenth percentile.
        high: Worker-hours at the ninetieth percentile.
        workers: Most of its workers at one time.
    """

    worker_hours: float
    low: float
    high: float
    workers: int


@frozen(kw_only=True)
class Forecast:
    """How long a run will take, how many workers it will have, how much it will write.

    Attributes:
        basis: What it rests on, such as ``2 h as asked`` or ``history: 3 runs on aws``.
        wall_hours: Hours from start to end.
        low_wall_hours: Hours at the tenth percentile.
        high_wall_hours: Hours at the ninetieth percentile.
        output_bytes: What is stored; None when unknown.
        download_bytes: What comes to the caller's own machine; None when unknown.
        groups: One for each worker group of the plan, by its name.
        known: It rests on earlier runs or on what the manifest expects, so a run can prove it wrong.
    """

    basis: str
    wall_hours: float
    low_wall_hours: float
    high_wall_hours: float
    output_bytes: int | None = None
    download_bytes: int | None = None
    groups: Mapping[str, GroupForecast]
    known: bool = False


@frozen(kw_only=True)
class ServiceProfile:
    """How a service behaves that runs workers, as far as it decides how long they are there.

    Attributes:
        boot: Seconds from the request for a worker to its first call; the usual.
        boot_high: The same at the ninetieth percentile.
        interruptions: How often the service takes one worker away, for each hour that it is there.
        billed_minimum: Seconds that each launch is billed for at least.
        billed_step: Seconds that each launch is rounded up to a multiple of; 0 does not round.
    """

    boot: float = 60.0
    boot_high: float = 120.0
    interruptions: float = 0.0
    billed_minimum: float = 0.0
    billed_step: float = 0.0


@frozen(kw_only=True)
class PastTask:
    """The calls of one task in an earlier run.

    Attributes:
        task: The task's name, or the function's.
        component: Where they ran; None when any component would do.
        calls: How many there were, those from the cache included.
        attempts: How many more were needed because some failed and were tried again.
        measured: How many durations are known.
        mean, p10, p50, p90, longest: Seconds of a call that was computed.
        nbytes: Bytes of all results that were computed; None when unknown.
    """

    task: str
    component: str | None = None
    calls: int
    attempts: int = 0
    measured: int
    mean: float
    p10: float
    p50: float
    p90: float
    longest: float
    nbytes: int | None = None


@frozen(kw_only=True)
class PastRun:
    """An earlier run that ended well.

    Attributes:
        run: Its id.
        target: Where it ran.
        ratio: What it cost, divided by what it was expected to cost; None where the two cannot be compared.
    """

    run: str
    target: str
    ratio: float | None = None


@runtime_checkable
class History(Protocol):
    """The earlier runs of a project."""

    def runs(self) -> Sequence[PastRun]:
        """Return the runs that ended well, newest first, at most a bounded number."""

    def tasks(self, run: PastRun) -> Sequence[PastTask]:
        """Return what a run computed, in the order in which it began to; empty when nothing is known."""

    def stored(self, run: PastRun) -> int | None:
        """Return the bytes of the artifacts that a run stored; None when it stored none."""


class NoHistory:
    """A `History` of a project that has never run."""

    def runs(self) -> Sequence[PastRun]:
        """Return nothing."""
        return ()

    def tasks(self, run: PastRun) -> Sequence[PastTask]:
        """Return nothing."""
        return ()

    def stored(self, run: PastRun) -> int | None:
        """Return None."""
        return None
