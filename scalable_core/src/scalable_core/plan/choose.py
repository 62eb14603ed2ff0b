"""Choose among ways to do the same work: how many workers, bought how. Pure; nothing is asked of any provider.

A way is judged by two figures, its hours and its money, both at the ninetieth percentile unless the expected
ones are to do. Money that is unknown is never the least.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Literal

from attrs import evolve, frozen

from scalable_core.plan.ways import Choice, Way
from scalable_core.types import Plan, WorkerGroup

Objective = Literal["minimize cost", "minimize time", "balance"]
OBJECTIVES: tuple[Objective, ...] = ("minimize cost", "minimize time", "balance")

#: Numbers of workers that are tried first, and how often the gap where ways begin or cease to do is halved.
_STEPS = 8
_HALVINGS = 4


@frozen(kw_only=True)
class Wish:
    """What a way must keep to, and what is best among those that do.

    Attributes:
        deadline: Most hours from start to end; None for no limit.
        budget: Most USD that are paid once; None for no limit.
        objective: What the choice is the best at.
        likely: Limits hold for what is expected, not at the ninetieth percentile.
    """

    deadline: float | None = None
    budget: float | None = None
    objective: Objective
    likely: bool = False

    @property
    def limits(self) -> dict[str, float | str | None]:
        """What is asked for, by name."""
        return {
            "deadline": self.deadline,
            "budget": self.budget,
            "objective": self.objective,
            "at": "expected" if self.likely else "p90",
        }

    def hours(self, way: Way) -> float:
        """Return the hours that count."""
        forecast = way.plan.forecast
        if forecast is None:
            return math.inf
        return forecast.wall_hours if self.likely else forecast.high_wall_hours

    def usd(self, way: Way) -> float:
        """Return the money that counts; infinite when it is unknown."""
        cost = way.plan.cost
        if cost is None or cost.unpriced_compute:
            return math.inf
        usd = cost.expected if self.likely else cost.high
        return math.inf if usd is None else usd

    def excess(self, way: Way) -> float:
        """Return what is needed as a share of what is allowed, of the limit that is kept worst."""
        shares = [0.0]
        if self.deadline is not None:
            shares.append(self.hours(way) / self.deadline)
        if self.budget is not None:
            shares.append(self.usd(way) / self.budget)
        return max(shares)

    def is_met_by(self, way: Way) -> bool:
        """Return whether a way keeps to every limit."""
        in_time = self.deadline is None or self.hours(way) <= self.deadline
        return in_time and (self.budget is None or self.usd(way) <= self.budget)

    def rank(self, way: Way) -> tuple[float, ...]:
        """Return what the best way has least of."""
        hours, money = self.hours(way), self._money(way)
        if self.objective == "minimize time":
            return (hours, *money, way.workers)
        if (
            self.objective == "balance"
        ):  # the least time x money; x worker-hours where nothing is paid
            usd, worker_hours = money
            product = hours * (usd or worker_hours) if math.isfinite(usd) else math.inf
            return (product, hours * worker_hours, hours, way.workers)
        return (*money, hours, way.workers)

    def front(self, ways: Iterable[Way]) -> tuple[Way, ...]:
        """Return the ways than which none is both faster and cheaper, the fastest first."""
        found: list[Way] = []
        ordered = sorted(ways, key=lambda w: (self.hours(w), self._money(w), w.workers, w.label))
        for way in ordered:
            if not found or self._money(way) < self._money(found[-1]):
                found.append(way)
        return tuple(found)

    def _money(self, way: Way) -> tuple[float, float]:
        """What is paid, and worker-hours, by which ways compare that cost nothing, or nobody knows what."""
        return self.usd(way), way.worker_hours


def choose(ways: Sequence[Way], wish: Wish, *, most: int) -> Choice:
    """Return the best way for a wish; of equally good ones that with the fewest workers.

    Args:
        ways: At least one, with forecasts and estimates.
        wish: What was asked for.
        most: Most workers that a way may have.
    """
    front = wish.front(ways)
    fitting = [way for way in front if wish.is_met_by(way)]
    return Choice(
        limits=wish.limits,
        ways=front,
        chosen=min(fitting, key=wish.rank, default=None),
        nearest=min(front, key=lambda way: (wish.excess(way), wish.rank(way))),
        most=most,
    )


def search(
    kinds: Sequence[Way], wish: Wish, *, most: int, appraise: Callable[[Plan], Plan]
) -> Choice:
    """Return the best number of workers and way to buy them.

    Args:
        kinds: A plan for each way to buy workers, whose bounds are varied.
        wish: What was asked for.
        most: Most workers at one time.
        appraise: Gives a plan its forecast and estimate.
    """
    found: list[Way] = []
    for kind in kinds:
        tried: dict[int, Way] = {}

        def attempt(count: int, kind: Way = kind, tried: dict[int, Way] = tried) -> bool:
            if count not in tried:
                tried[count] = evolve(kind, plan=appraise(with_workers(kind.plan, count)))
            return wish.is_met_by(tried[count])

        for count in worker_counts(fewest_workers(kind.plan), most):
            attempt(count)
        # Where ways begin, or cease, to keep to the limits, the best one is often between two numbers.
        for below, above in list(pairwise(sorted(tried))):
            meets = attempt(below)
            if meets == attempt(above):
                continue
            for _ in range(_HALVINGS):
                middle = (below + above) // 2
                if middle == below:
                    break
                below, above = (middle, above) if attempt(middle) == meets else (below, middle)
        found += tried.values()
    return choose(found, wish, most=most)


def worker_counts(fewest: int, most: int) -> tuple[int, ...]:
    """Return numbers of workers from the fewest to the most: few ones all, else in equal ratios."""
    if most - fewest < _STEPS:
        return tuple(range(fewest, most + 1))
    ratio = most / fewest
    steps = range(_STEPS)
    return tuple(sorted({round(fewest * ratio ** (step / (_STEPS - 1))) for step in steps}))


def fewest_workers(plan: Plan) -> int:
    """Return the fewest workers that a plan can do with: what it keeps, or one for each group."""
    least = max(plan.minimum, 1) if plan.adaptive else len(plan.groups)
    return max(least, getattr(plan.target.options, "min_workers", 0))


def with_workers(plan: Plan, count: int) -> Plan:
    """Return a plan with at most so many workers, its groups' bounds in proportion.

    Args:
        plan: Any.
        count: At least `fewest_workers`.
    """
    if plan.adaptive:
        groups = [
            evolve(
                group,
                minimum=min(group.minimum, count),
                maximum=min(max(math.ceil(group.maximum * count / plan.maximum), 1), count),
            )
            for group in plan.groups
        ]
        return evolve(plan, groups=tuple(groups), minimum=min(plan.minimum, count), maximum=count)
    shares = _shares(plan.groups, count)
    groups = [
        evolve(group, minimum=share, maximum=share)
        for group, share in zip(plan.groups, shares, strict=True)
    ]
    return evolve(plan, groups=tuple(groups), minimum=sum(shares), maximum=sum(shares))


def _shares(groups: Sequence[WorkerGroup], count: int) -> list[int]:
    """Share workers out in proportion, each group at least one; more workers never mean fewer for a group."""
    shares = [1] * len(groups)
    for _ in range(count - len(groups)):
        poorest = max(range(len(groups)), key=lambda i: (groups[i].maximum / (shares[i] + 1), -i))
        shares[poorest] += 1
    return shares
