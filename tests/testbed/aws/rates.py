"""The rates at which AWS takes calls, as it has published them; who is faster is refused."""

from __future__ import annotations

import json
import threading
import time

#: Action to how many at once, and how many a second after that; an account's own, in one region. From "Request
#: throttling for the Amazon ECS API", and of EC2's the buckets of calls that change something.
RATES = {
    "RunTask": (20, 20),
    "StopTask": (100, 40),
    "DescribeTasks": (100, 20),
    "ListTasks": (100, 20),
    "RegisterTaskDefinition": (20, 1),
    "DeregisterTaskDefinition": (20, 1),
    "DescribeTaskDefinition": (50, 20),
    "ListAccountSettings": (50, 20),
    "CreateCluster": (20, 1),
    "DeleteCluster": (20, 1),
    "DescribeClusters": (50, 20),
    "CreateSecurityGroup": (50, 5),
    "DeleteSecurityGroup": (50, 5),
    "DescribeNetworkInterfaces": (100, 20),
}
#: Tasks on Fargate that may start at once, and how many a second after that.
LAUNCHES = (100, 20)


class Throttle:
    """Token buckets, all full at first.

    Attributes:
        refused: Calls that came too soon, so far.
    """

    def __init__(self) -> None:
        self.refused = 0
        self._lock = threading.Lock()
        self._buckets: dict[str, tuple[float, float]] = {}

    def refuses(self, action: str, parameters: str) -> bool:
        """Return whether a call comes too soon; one that does not is counted."""
        with self._lock:
            now = time.monotonic()
            right = action not in RATES or self._take(action, RATES[action], 1, now)
            if right and action == "RunTask":
                count = int(json.loads(parameters).get("count", 1))
                right = self._take("tasks", LAUNCHES, count, now)
            self.refused += not right
            return not right

    def _take(self, name: str, rate: tuple[float, float], count: int, now: float) -> bool:
        level, since = self._buckets.get(name, (float(rate[0]), now))
        level = min(rate[0], level + (now - since) * rate[1])
        enough = level >= count
        self._buckets[name] = level - count * enough, now
        return enough
