"""What the rest of a run will take, from the calls that are known and those that have ended. Pure."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from typing import Any

from scalable_core.records.summary import quantile
from scalable_core.types import HourlyRates, Plan, TaskCounts

#: Durations of one task that are remembered, the newest.
_REMEMBERED = 500


class Outlook:
    """Remembers how long calls took and where they ran.

    Args:
        plan: The run's plan.
        rates: What it pays.
    """

    def __init__(self, plan: Plan, rates: HourlyRates) -> None:
        self._plan, self._rates = plan, rates
        self._seconds: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_REMEMBERED))
        self._component: dict[str, str] = {
            name: task.component for name, task in plan.tasks.items() if task.component
        }

    def hear(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take rows of ``tasks.jsonl``."""
        for row in rows:
            if row["state"] == "done" and row.get("started") is not None:
                self._seconds[row["task"]].append(max(row["finished"] - row["started"], 0.0))
            if row.get("component"):
                self._component.setdefault(row["task"], row["component"])

    def typical(self, task: str) -> float | None:
        """Return seconds that nine of ten calls of a task do not exceed; None when none has ended."""
        seconds = self._seconds.get(task)
        return quantile(sorted(seconds), 0.9) if seconds else None

    def slowest(self) -> float:
        """Return the typical seconds of the slowest task; 0 when no call has ended."""
        return max((self.typical(task) or 0.0 for task in list(self._seconds)), default=0.0)

    def until_idle(self, running: Mapping[str, float]) -> float:
        """Return seconds until the calls that run now will have ended, as far as that is known.

        Args:
            running: Task to the seconds that its latest call has run.
        """
        return max(
            (max((self.typical(task) or 0.0) - since, 0.0) for task, since in running.items()),
            default=0.0,
        )

    def rest(self, calls: Mapping[str, int], workers: Mapping[str, int]) -> float | None:
        """Return USD that calls will cost which have not ended; None when no call has ended yet.

        Workers of a plan that does not adapt are all there until its last call ends.

        Args:
            calls: Task to its calls.
            workers: Group to the workers that are there.
        """
        hours: dict[str, float] = defaultdict(float)
        known = [seconds for durations in self._seconds.values() for seconds in durations]
        for task, count in calls.items():
            if count <= 0:
                continue
            measured = self._seconds.get(task) or known
            if not measured:
                return None
            group = self._group(task)
            mean = sum(measured) / len(measured)
            hours[group] += count * mean / self._plan.group(group).threads / 3600
        there = {
            group.name: workers.get(group.name) or max(1, min(group.maximum, self._plan.maximum))
            for group in self._plan.groups
        }
        wall = max((hours[name] / there[name] for name in hours), default=0.0)
        rates = self._rates.workers
        if self._plan.adaptive:
            paid = sum(rates.get(name, 0.0) * hours[name] for name in hours)
        else:
            paid = sum(rates.get(name, 0.0) * count * wall for name, count in there.items())
        return paid + self._rates.shared * wall

    def another_run(self, calls: Mapping[str, int], *, boot: float) -> float | None:
        """Return USD that a run of its own will cost which does these calls; None when no call has ended yet.

        Args:
            calls: Task to its calls.
            boot: Seconds that its workers are paid for besides.
        """
        count = sum(calls.values())
        workers = {
            group.name: max(1, min(group.maximum, self._plan.maximum, count))
            for group in self._plan.groups
        }
        rest = self.rest(calls, workers)
        if rest is None:
            return None
        rates = self._rates
        hourly = sum(rates.workers.get(name, 0.0) * workers[name] for name in workers)
        return rest + (hourly + rates.shared) * boot / 3600 + rates.once

    def _group(self, task: str) -> str:
        named = self._component.get(task)
        names = [group.name for group in self._plan.groups]
        return named if named in names else names[0]


def open_calls(tasks: Mapping[str, TaskCounts]) -> dict[str, int]:
    """Return how many calls of each task have not ended."""
    counts = {name: c.total - c.done - c.failed for name, c in tasks.items()}
    return {name: count for name, count in counts.items() if count > 0}
