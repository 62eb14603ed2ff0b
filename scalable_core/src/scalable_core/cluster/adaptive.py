"""How many workers each group should have, decided from what is to be done. Pure; no Dask, no clock.

An `AdaptivePolicy` is asked at regular intervals. It wants more workers at once, and gives one up only after
it has been idle for several asks in a row. A busy worker is given up in one case: another group has work and
no worker at all, the total allows none, and waiting has not helped.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from attrs import frozen


@frozen(kw_only=True)
class WorkerLoad:
    """One worker that has arrived.

    Attributes:
        name: Its name in the cluster.
        tasks: Calls that are assigned to it, running or waiting.
        running: Seconds that its longest running call has run.
        nbytes: Bytes of results that it holds.
    """

    name: str
    tasks: int = 0
    running: float = 0.0
    nbytes: int = 0


@frozen(kw_only=True)
class GroupLoad:
    """One group and what it has to do.

    Attributes:
        name: The component's name.
        threads: Calls that one of its workers runs at once.
        minimum: Fewest workers of the group.
        maximum: Most workers of the group; may be infinite.
        tasks: Calls that want a thread, running or waiting.
        occupancy: Seconds of work in these calls, as far as it is known.
        planned: Names of the workers that were asked for, in order.
        workers: Those that have arrived.
    """

    name: str
    threads: int
    minimum: int = 0
    maximum: float = math.inf
    tasks: int = 0
    occupancy: float = 0.0
    planned: tuple[str, ...] = ()
    workers: tuple[WorkerLoad, ...] = ()


@frozen(kw_only=True)
class Decision:
    """What to change now.

    Attributes:
        grow: Group to the number of workers that it shall have.
        retire: Names of workers to give up, whatever they hold moved elsewhere first.
    """

    grow: Mapping[str, int]
    retire: tuple[str, ...] = ()


class AdaptivePolicy:
    """Decides about all groups together, and remembers who was idle for how long.

    Args:
        minimum: Fewest workers over all groups.
        maximum: Most workers over all groups; may be infinite.
        wait_count: Asks in a row for which a worker must be idle before it is given up.
        target_duration: Seconds in which the known work should be done; more work asks for more workers.
        patience: Asks for which a group without any worker waits before a busy one is taken from another group.
    """

    def __init__(
        self,
        *,
        minimum: int = 0,
        maximum: float = math.inf,
        wait_count: int = 3,
        target_duration: float = 5.0,
        patience: int = 20,
    ) -> None:
        self.minimum = minimum
        self.maximum = maximum
        self.wait_count = wait_count
        self.target_duration = target_duration
        self.patience = patience
        self._idle: Counter[str] = Counter()
        self._starved: Counter[str] = Counter()

    def decide(self, groups: Sequence[GroupLoad]) -> Decision:
        """Return what to change, given the state of every group."""
        targets = self.targets(groups)
        retire = _keep_last_holder(groups, self._long_idle(groups, targets))
        left = {g.name: [name for name in g.planned if name not in retire] for g in groups}
        sizes = {name: len(names) for name, names in left.items()}
        grow: dict[str, int] = {}
        while sum(sizes.values()) < self.maximum:
            small = [name for name, size in sizes.items() if size < targets[name]]
            if not small:
                break
            name = min(small, key=lambda name: sizes[name] / targets[name])
            sizes[name] = grow[name] = sizes[name] + 1
        starved = [name for name, size in sizes.items() if targets[name] and not size]
        return Decision(grow=grow, retire=(*retire, *self._make_room(groups, left, starved)))

    def targets(self, groups: Sequence[GroupLoad]) -> dict[str, int]:
        """Return how many workers each group should have, within all bounds."""
        wanted = {g.name: self._wanted(g) for g in groups}
        if sum(wanted.values()) > self.maximum:
            first = {g.name: max(g.minimum, min(1, wanted[g.name])) for g in groups}
            return share_out(int(self.maximum), wanted, first=first)
        for _ in range(self.minimum - sum(wanted.values())):
            open_groups = [g for g in groups if wanted[g.name] < g.maximum]
            if open_groups:
                wanted[min(open_groups, key=lambda g: wanted[g.name]).name] += 1
        return wanted

    def _wanted(self, group: GroupLoad) -> int:
        threads = min(group.tasks, math.ceil(group.occupancy / self.target_duration))
        threads = max(threads, min(group.tasks, 1))
        return int(min(max(math.ceil(threads / group.threads), group.minimum), group.maximum))

    def _long_idle(self, groups: Sequence[GroupLoad], targets: Mapping[str, int]) -> list[str]:
        idle = [name for g in groups for name in _dispensable(g, targets[g.name])]
        self._idle = Counter({name: self._idle[name] + 1 for name in idle})
        return [name for name in idle if self._idle[name] >= self.wait_count]

    def _make_room(
        self, groups: Sequence[GroupLoad], left: Mapping[str, list[str]], starved: Sequence[str]
    ) -> tuple[str, ...]:
        """One worker of a group that has several, for a group that has waited for its first too long."""
        self._starved = Counter({name: self._starved[name] + 1 for name in starved})
        if not any(count >= self.patience for count in self._starved.values()):
            return ()
        self._starved.clear()
        givers = [
            worker
            for group in groups
            if len(left[group.name]) > max(group.minimum, 1)
            for worker in group.workers
            if worker.name in left[group.name]
        ]
        return (min(givers, key=lambda worker: worker.running).name,) if givers else ()


def share_out(
    total: int, weights: Mapping[str, float], *, first: Mapping[str, int] | None = None
) -> dict[str, int]:
    """Share a number of workers out in proportion to weights, and no more than its weight to anyone.

    Args:
        total: How many there are.
        weights: Name to how many are wanted.
        first: Name to how many come before any sharing, largest weight first while they last.
    """
    shares = dict.fromkeys(weights, 0)
    for name in sorted(first or (), key=lambda name: -weights[name]):
        shares[name] = min((first or {})[name], total - sum(shares.values()))
    for _ in range(total - sum(shares.values())):
        hungry = [name for name, weight in weights.items() if shares[name] < weight]
        if not hungry:
            break
        shares[min(hungry, key=lambda name: shares[name] / weights[name])] += 1
    return shares


def _dispensable(group: GroupLoad, target: int) -> list[str]:
    """Workers beyond the target that do nothing: those that have not arrived, then those that hold least."""
    arrived = {worker.name for worker in group.workers}
    absent = [name for name in reversed(group.planned) if name not in arrived]
    idle = sorted((w for w in group.workers if not w.tasks), key=lambda w: w.nbytes)
    names = [*absent, *(w.name for w in idle if w.name in group.planned)]
    return names[: max(0, len(group.planned) - target)]


def _keep_last_holder(groups: Sequence[GroupLoad], retire: list[str]) -> list[str]:
    """Keep the fullest worker if otherwise none would be left to hold the results."""
    workers = [worker for group in groups for worker in group.workers]
    fullest = max(workers, key=lambda w: w.nbytes, default=None)
    if fullest is None or not fullest.nbytes or any(w.name not in retire for w in workers):
        return retire
    return [name for name in retire if name != fullest.name]
