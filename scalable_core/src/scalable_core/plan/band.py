"""How sure a forecast is, judged by how wrong the project's earlier ones were.

The band of a forecast comes from a simulation. Each earlier run on the same target that did all of its work
says how much it really cost, as a part of what was expected: its ratio. With `LEAST` ratios or more the band is
drawn towards their tenth and ninetieth percentile, the more the more of them there are: n ratios weigh n, the
simulation weighs `LEAST`. What is expected stays as it is, and stays inside its band.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve

from scalable_core.types import Forecast, History

#: Fewest ratios that say something, and what the simulation weighs beside them.
LEAST = 3
#: Ratios that count, the newest.
MOST = 10


def past_ratios(history: History, target: str) -> list[float]:
    """Return the ratios of a target's newest runs."""
    ratios = [run.ratio for run in history.runs() if run.target == target and run.ratio is not None]
    return ratios[:MOST]


def with_past_errors(forecast: Forecast, ratios: Sequence[float]) -> Forecast:
    """Return a forecast with its band widened or narrowed by earlier errors; as it is when few are known."""
    if len(ratios) < LEAST:
        return forecast
    ordered = sorted(ratios)
    low, high = _quantile(ordered, 0.1), _quantile(ordered, 0.9)
    weight = len(ratios) / (len(ratios) + LEAST)

    def draw(value: float, expected: float, ratio: float) -> float:
        return (1 - weight) * value + weight * ratio * expected

    wall = forecast.wall_hours
    groups = {
        name: evolve(
            group,
            low=min(draw(group.low, group.worker_hours, low), group.worker_hours),
            high=max(draw(group.high, group.worker_hours, high), group.worker_hours),
        )
        for name, group in forecast.groups.items()
    }
    return evolve(
        forecast,
        basis=f"{forecast.basis}; band from {len(ratios)} past runs",
        low_wall_hours=min(draw(forecast.low_wall_hours, wall, low), wall),
        high_wall_hours=max(draw(forecast.high_wall_hours, wall, high), wall),
        groups=groups,
    )


def _quantile(ordered: Sequence[float], part: float) -> float:
    place = part * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
