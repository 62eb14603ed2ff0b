"""How a fleet grows and shrinks: by hand, by itself, and as far as a budget allows. Imports distributed."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from dask.utils import parse_bytes  # noqa: TID253
from distributed.deploy.cluster import Cluster  # noqa: TID253
from distributed.utils import NoOpAwaitable  # noqa: TID253

from scalable_core.cluster.adaptive import share_out
from scalable_core.cluster.autoscaler import Autoscaler
from scalable_core.cluster.crew import Crew
from scalable_core.cluster.given_up import GivenUp
from scalable_core.types import Plan, WorkerGroup


class ScalingFleet(Cluster):
    """The part of a `FleetCluster` that has to do with numbers of workers."""

    crew: Crew
    failures: GivenUp
    _plan: Plan
    _groups: Mapping[str, WorkerGroup]
    _asked: bool

    @abstractmethod
    def _start_now(self) -> None:
        """Start, unless that was done before, and wait."""

    def scale(self, n: int = 0, memory: Any = None, cores: int | None = None) -> Any:
        """Scale to a number of workers, shared over the groups in proportion to the plan.

        Args:
            n: Workers over all groups.
            memory: Or as many as hold so much memory together, at the first group's size.
            cores: Or as many as run so many calls at once, at the first group's size.
        """
        first = self._plan.groups[0]
        if memory is not None:
            n = max(n, math.ceil(parse_bytes(memory) / (first.memory or math.inf)))
        if cores is not None:
            n = max(n, math.ceil(cores / first.threads))
        self._asked = True
        self._start_now()
        self._revive()
        self.scale_groups(share_out(n, {g.name: g.maximum * n for g in self._plan.groups}))
        return NoOpAwaitable() if self.asynchronous else None

    def adapt(self, *, Adaptive: Any = Autoscaler, **kwargs: Any) -> Any:
        """Let the number of workers follow the queued work, each group that of its own component.

        Args:
            Adaptive: Another class than Scalable's own.
            **kwargs: ``minimum``, ``maximum``, ``interval`` and what else Dask's own `adapt` takes.
        """
        self._asked = True
        self._start_now()
        self._adaptive_options: dict[str, Any] = {}
        self._revive()
        return super().adapt(Adaptive=Adaptive, **kwargs)

    @property
    def workers(self) -> dict[str, str]:
        """Each worker that was asked for, whether it has arrived or not, and its group; Dask counts them."""
        return {name: group for group in self._groups for name in self.members(group)}

    def limit_workers(self, total: int) -> None:
        """Launch no more workers from now on than make so many over all groups; those that are there stay."""
        self.loop.add_callback(self.crew.limit_workers, total)

    # -- what the autoscaler asks for --------------------------------------------------------------------

    @property
    def group_threads(self) -> dict[str, int]:
        """Each group that may be scaled, and the calls that one of its workers runs at once."""
        return {n: g.threads for n, g in self._groups.items() if n not in self.failures}

    def members(self, group: str) -> tuple[str, ...]:
        """Names of the workers of a group that were asked for, whether they have arrived or not."""
        return self.crew.names(group)

    def scale_groups(self, targets: Mapping[str, int]) -> None:
        """Bring each group named to a number of workers, and leave the others."""
        self.loop.add_callback(self._scale_groups, dict(targets))

    def releasable(self, names: Sequence[str]) -> list[str]:
        """Return the names without those that can only be stopped together with others that are needed."""
        return self.crew.releasable(names)

    async def stop_workers(self, names: Sequence[str]) -> None:
        """Stop workers that hold nothing any more, or have not arrived."""
        await self.crew.release(names)

    # -- inside ------------------------------------------------------------------------------------------

    def _adapt_to_plan(self) -> None:
        plan = self._plan
        bounds = {g.name: (g.minimum, g.maximum) for g in plan.groups}
        adaptive = self.adapt(minimum=plan.minimum, maximum=plan.maximum, bounds=bounds)
        self.loop.add_callback(adaptive.adapt)

    async def _scale_groups(self, targets: Mapping[str, int]) -> None:
        here = {str(worker["name"]) for worker in self.scheduler_info["workers"].values()}
        self.crew.want_all(targets)
        surplus = [self.crew.resize(group, target, here) for group, target in targets.items()]
        leaving = self.crew.releasable([name for names in surplus for name in names])
        if not leaving:
            return
        await self.scheduler_comm.retire_workers(
            names=[name for name in leaving if name in here], remove=True, close_workers=True
        )
        await self.crew.release(leaving)

    def _revive(self) -> None:
        for name in list(self.failures):
            del self.failures[name]
            self.loop.add_callback(self._revive_group, name)

    async def _revive_group(self, name: str) -> None:
        self.crew.revive(name)
        await self.scheduler_comm.scalable_revive_group(name=name)
