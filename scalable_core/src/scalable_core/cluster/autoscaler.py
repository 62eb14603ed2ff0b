"""Carries out what `adaptive` decides, on any cluster of groups.

Imports distributed: import it inside functions.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from distributed.deploy.adaptive import Adaptive  # noqa: TID253

from scalable_core.cluster.adaptive import AdaptivePolicy, GroupLoad, WorkerLoad


class GroupedCluster(Protocol):
    """What an `Autoscaler` needs besides a `distributed.deploy.Cluster` with a `GroupScheduler`."""

    @property
    def group_threads(self) -> Mapping[str, int]:
        """Each group that may be scaled, in order, and the calls that one of its workers runs at once."""

    def members(self, group: str) -> tuple[str, ...]:
        """Names of the workers of a group that were asked for, whether they have arrived or not."""

    def scale_groups(self, targets: Mapping[str, int]) -> None:
        """Ask for workers until each group named has so many."""

    async def stop_workers(self, names: Sequence[str]) -> None:
        """Stop workers that hold nothing any more, or have not arrived."""


class Autoscaler(Adaptive):
    """Lets each group of a cluster follow the queued work of its component.

    It is started, stopped and looked at like Dask's own `distributed.deploy.Adaptive`. A worker is stopped only
    after the scheduler has moved what it alone holds to another one; where that fails, it stays.

    Args:
        cluster: A `distributed.deploy.Cluster` that is a `GroupedCluster` too.
        minimum: Fewest workers over all groups.
        maximum: Most workers over all groups.
        bounds: Group to its own fewest and most workers; without it only the total counts.
        interval: Time between looks at the scheduler, as Dask writes it.
        wait_count: Looks in a row at which a worker must be idle before it is given up.
        target_duration: Time in which the known work should be done.
    """

    def __init__(
        self,
        cluster: Any,
        *,
        minimum: int = 0,
        maximum: float = math.inf,
        bounds: Mapping[str, tuple[int, float]] | None = None,
        interval: str | float = "500ms",
        wait_count: int = 10,
        target_duration: str | float | None = None,
    ) -> None:
        super().__init__(
            cluster,
            interval=interval,
            minimum=minimum,
            maximum=maximum,
            wait_count=wait_count,
            target_duration=target_duration,
        )
        self._adapting = False
        self.bounds = bounds or {}
        self.policy = AdaptivePolicy(
            minimum=minimum,
            maximum=maximum,
            wait_count=wait_count,
            target_duration=self.target_duration,
        )

    async def adapt(self) -> None:
        """Look once at the scheduler and change what is to be changed."""
        if self._adapting:
            return
        self._adapting = True
        try:
            groups = await self._look()
            decision = self.policy.decide(groups)
            if decision.grow:
                self.cluster.scale_groups(decision.grow)
            releasable = getattr(self.cluster, "releasable", tuple)
            retire = releasable(decision.retire)
            if retire:
                arrived = {worker.name for group in groups for worker in group.workers}
                await self._retire(retire, arrived)
        finally:
            self._adapting = False

    async def _look(self) -> list[GroupLoad]:
        threads = self.cluster.group_threads
        demand = await self.scheduler.group_demand(default=next(iter(threads), ""))
        return [self._load(name, threads[name], demand.get(name, {})) for name in threads]

    def _load(self, name: str, threads: int, demand: Mapping[str, Any]) -> GroupLoad:
        minimum, maximum = self.bounds.get(name, (0, math.inf))
        return GroupLoad(
            name=name,
            threads=threads,
            minimum=minimum,
            maximum=maximum,
            tasks=demand.get("tasks", 0),
            occupancy=demand.get("occupancy", 0.0),
            planned=self.cluster.members(name),
            workers=tuple(WorkerLoad(**worker) for worker in demand.get("workers", ())),
        )

    async def _retire(self, names: Sequence[str], arrived: Collection[str]) -> None:
        retired = await self.scheduler.retire_workers(
            names=[name for name in names if name in arrived], remove=True, close_workers=True
        )
        emptied = {str(worker["name"]) for worker in retired.values()}
        await self.cluster.stop_workers([n for n in names if n in emptied or n not in arrived])
