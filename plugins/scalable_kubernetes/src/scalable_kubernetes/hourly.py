"""What a pod costs an hour: by the target's own prices, else by the lines of the plan's estimate. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scalable_core.cluster.launcher import MemberGroup
from scalable_core.types import Plan
from scalable_core.types.bill import forecast_of
from scalable_core.types.units import GIB
from scalable_kubernetes.options import KubernetesOptions
from scalable_kubernetes.pods import sized

#: The annotation of a pod with what it costs an hour, in USD; without it nobody knows.
HOURLY = "scalable-hourly"
#: How the estimates of all clouds call what the scheduler's pod costs.
_SCHEDULER = "Scheduler "


def by_prices(options: KubernetesOptions, group: MemberGroup) -> float | None:
    """Return USD an hour of a pod at the prices of its target; None when it gives none, or not all."""
    price, group = options.price, sized(group)
    if price is None or group.memory is None or group.gpus:
        return None
    usd: float = group.cpus * price.vcpu_hour + group.memory / GIB * price.gib_hour
    return usd


def by_estimate(plan: Plan) -> dict[str, float]:
    """Return USD an hour of a pod of each group, and of the scheduler, as far as the estimate has prices.

    Workers are priced as the plan wants them first: on Spot nodes where the target does. A scheduler that no
    line is about is on a node that is there anyway.
    """
    if plan.cost is None:
        return {}
    forecast = forecast_of(plan)
    hours = {name: group.worker_hours for name, group in forecast.groups.items()}
    found = {}
    for name in (*hours, None):
        lines = [
            line
            for line in plan.cost.lines
            if line.component == name
            and line.quantity is not None
            and (name is not None or line.item.startswith(_SCHEDULER))
        ]
        each = hours[name] if name is not None else forecast.wall_hours
        amounts = [line.amount for line in lines if line.amount is not None]
        if each and len(amounts) == len(lines) and (amounts or name is None):
            found[name or "scheduler"] = sum(amounts) / each
    return found


def of_pod(pod: Mapping[str, Any]) -> float | None:
    """Return USD an hour of a pod that is there, as it says itself; None when it does not."""
    said = pod["metadata"].get("annotations", {}).get(HOURLY)
    return None if said is None else float(said)
