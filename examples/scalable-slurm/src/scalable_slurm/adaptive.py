"""How many workers each group should have, from what is to be done. Imports distributed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from distributed.deploy import Adaptive


class GroupAdaptive(Adaptive):
    """Lets each group of a cluster follow the queued work of its component, within the bounds of all.

    Dask's own counts workers without asking which calls they can run. It is started, stopped and set up alike.
    """

    def __init__(self, cluster: Any, **kwargs: Any) -> None:
        super().__init__(cluster, **kwargs)
        self._idle: Counter[str] = Counter()

    async def adapt(self) -> None:
        """Look once at the scheduler, and ask for workers or give some up."""
        targets = self._targets()
        room = self.maximum - len(self.cluster.worker_spec)
        for group, target in targets.items():
            more = int(min(target - len(self.cluster.members(group)), room))
            if more > 0:
                self.cluster.grow(group, more)
                room -= more
        await self._retire(targets)

    def _targets(self) -> dict[str, int]:
        groups = self.cluster.groups
        demand = self._demand()
        wanted = {}
        for name, group in groups.items():
            workers = math.ceil(demand[name] / group.threads)
            wanted[name] = min(max(workers, group.minimum), group.maximum)
        missing = self.minimum - sum(wanted.values())
        wanted[next(iter(groups))] += max(0, missing)
        return wanted if sum(wanted.values()) <= self.maximum else share(int(self.maximum), wanted)

    def _demand(self) -> Counter[str]:
        """Calls that wait or run, by component; those that name none count for the first."""
        scheduler, groups = self.cluster.scheduler, self.cluster.groups
        resources = {next(iter(group.resource)): name for name, group in groups.items()}
        first = next(iter(groups))
        tasks: Counter[str] = Counter()
        for task in [*scheduler.unrunnable, *scheduler.queued]:
            named = set(task.resource_restrictions or ()) & set(resources)
            tasks[resources[named.pop()] if named else first] += 1
        for worker in scheduler.workers.values():
            named = set(worker.resources) & set(resources)
            tasks[resources[named.pop()] if named else first] += len(worker.processing)
        return tasks

    async def _retire(self, targets: Mapping[str, int]) -> None:
        """Give up what a group has too many of, once it has been idle for several looks."""
        there = {str(w.name): w for w in self.cluster.scheduler.workers.values()}
        spare: list[str] = []
        for group, target in targets.items():
            members = self.cluster.members(group)
            free = [n for n in members if n not in there or not there[n].processing]
            free.sort(key=lambda name: name in there)  # those that have not arrived go first
            spare += free[: max(0, len(members) - target)]
        self._idle = Counter({name: self._idle[name] + 1 for name in spare})
        leaving = [name for name in spare if self._idle[name] >= self.wait_count]
        if not leaving:
            return
        retired = await self.cluster.scheduler.retire_workers(
            names=[name for name in leaving if name in there], remove=True, close_workers=True
        )
        emptied = {str(worker["name"]) for worker in retired.values()}
        self.cluster.drop([n for n in leaving if n in emptied or n not in there])


def share(total: int, weights: Mapping[str, float]) -> dict[str, int]:
    """Share workers out in proportion to weights, and no more than its weight to anyone."""
    shares = dict.fromkeys(weights, 0)
    for _ in range(total):
        short = [name for name in shares if shares[name] < weights[name]]
        if not short:
            break
        name = min(short, key=lambda name: shares[name] / weights[name])
        shares[name] += 1
    return shares
