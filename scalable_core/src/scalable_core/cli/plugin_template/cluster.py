"""The cluster of an `acme` target. Imports distributed: import it inside functions."""

from __future__ import annotations

import logging
from typing import Any

from distributed import Nanny, Scheduler, SpecCluster

from scalable_core.types import HookContext, Plan, WorkerGroup, reveal

SCHEDULER = {
    "protocol": "tcp://",
    "host": "127.0.0.1",
    "dashboard": False,
    "dashboard_address": "127.0.0.1:0",
}


def start_cluster(plan: Plan, context: HookContext) -> SpecCluster:
    """Start a scheduler, and the workers of each group; each knows its component, so that calls find it."""
    workers = {
        f"{group.name}-{number}": worker_spec(group)
        for group in plan.groups
        for number in range(group.maximum)
    }
    return SpecCluster(
        name=context.run,
        workers=workers,
        worker=worker_spec(plan.groups[0]),
        scheduler={"cls": Scheduler, "options": SCHEDULER},
        silence_logs=logging.ERROR,
    )


def worker_spec(group: WorkerGroup) -> dict[str, Any]:
    """Return how one worker of a group is started. Secrets are revealed here, into its environment alone."""
    options = {
        "nthreads": group.threads,
        "memory_limit": group.memory,
        "resources": group.resource,
        "env": reveal(group.env),
        "silence_logs": logging.ERROR,
    }
    return {"cls": Nanny, "options": options}
