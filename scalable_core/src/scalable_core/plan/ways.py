"""Ways to do the same work, side by side, as records and as documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from scalable_core.types import Plan, to_data

COMPARISON_SCHEMA = "scalable.plan-comparison/1"
CHOICE_SCHEMA = "scalable.plan-choice/1"


@frozen(kw_only=True)
class Way:
    """One way to do the work.

    Attributes:
        target: The target's name in the manifest.
        label: How it is bought, such as ``spot, arm64``, or its region; empty when there is nothing to say.
        plan: With its forecast and estimate.
        interruptions: How often the service takes one worker away, for each hour that it is there.
    """

    target: str
    label: str
    plan: Plan
    interruptions: float = 0.0

    @property
    def workers(self) -> int:
        """Most workers at one time."""
        return self.plan.maximum

    @property
    def worker_hours(self) -> float:
        """Hours of all workers together."""
        groups = self.plan.forecast.groups.values() if self.plan.forecast else ()
        return sum(group.worker_hours for group in groups)

    @property
    def lost_workers(self) -> float:
        """How many workers the service is expected to take away."""
        return self.interruptions * self.worker_hours


@frozen(kw_only=True)
class NoWay:
    """A target that cannot be planned for, and why."""

    target: str
    error: Exception


@frozen(kw_only=True)
class Comparison:
    """Ways to do the same work.

    Attributes:
        ways: The cheapest first; those whose cost is unknown last.
        current: The one that `scalable run` would take; None when there is none.
        failed: The targets that cannot be planned for.
    """

    ways: tuple[Way, ...]
    current: Way | None
    failed: tuple[NoWay, ...] = ()


@frozen(kw_only=True)
class Choice:
    """The ways that come into question, and the best of those that do.

    Attributes:
        limits: What was asked for, by name: deadline (hours), budget (USD), objective, and at which figures
            they hold (``p90`` or ``expected``).
        ways: Those than which none is both faster and cheaper, the fastest first.
        chosen: The best that keeps to every limit; None when none does.
        nearest: The one that comes nearest to the limits.
        most: Most workers that a way may have.
    """

    limits: Mapping[str, Any]
    ways: tuple[Way, ...]
    chosen: Way | None
    nearest: Way
    most: int

    @property
    def wants_workers(self) -> bool:
        """Whether it is the deadline that none keeps to, and more workers have not been tried."""
        deadline, forecast = self.limits["deadline"], self.nearest.plan.forecast
        if self.chosen is not None or deadline is None or forecast is None:
            return False
        likely = self.limits["at"] == "expected"
        hours = forecast.wall_hours if likely else forecast.high_wall_hours
        return self.nearest.workers == self.most and hours > deadline


def comparison_document(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as plain data."""
    return {
        "schema": COMPARISON_SCHEMA,
        "project": comparison.ways[0].plan.project.name,
        "current": _place(comparison.current, comparison.ways),
        "ways": [_way(way) for way in comparison.ways],
        "failed": [
            {
                "target": no.target,
                "message": getattr(no.error, "message", None) or str(no.error),
                "cure": getattr(no.error, "cure", None),
            }
            for no in comparison.failed
        ],
    }


def choice_document(choice: Choice) -> dict[str, Any]:
    """Return a choice as plain data."""
    return {
        "schema": CHOICE_SCHEMA,
        "project": choice.nearest.plan.project.name,
        **choice.limits,
        "most_workers": choice.most,
        "chosen": _place(choice.chosen, choice.ways),
        "nearest": _place(choice.nearest, choice.ways),
        "ways": [_way(way) for way in choice.ways],
    }


def _place(way: Way | None, ways: tuple[Way, ...]) -> int | None:
    return next((place for place, other in enumerate(ways) if other is way), None)


def _way(way: Way) -> dict[str, Any]:
    plan, forecast, cost = way.plan, way.plan.forecast, way.plan.cost
    hours = None
    if forecast is not None:
        hours = {
            "expected": forecast.wall_hours,
            "low": forecast.low_wall_hours,
            "high": forecast.high_wall_hours,
        }
    names = ("currency", "expected", "low", "high", "monthly", "basis", "as_of")
    return {
        "target": way.target,
        "provider": plan.target.provider,
        "label": way.label,
        "workers": way.workers,
        "worker_hours": way.worker_hours,
        "lost_workers": way.lost_workers,
        "changes": to_data(plan.changes),
        "hours": hours,
        "cost": cost and {**{n: getattr(cost, n) for n in names}, "unpriced": list(cost.unpriced)},
    }
