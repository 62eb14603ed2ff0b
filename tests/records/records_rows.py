"""Rows as the scheduler writes them."""

from __future__ import annotations

from typing import Any

#: When every run of these tests starts, in epoch seconds.
START = 1_700_000_000.0


def call(number: int, **changes: Any) -> dict[str, Any]:
    """A row of a call that was submitted at the start and ran from its number's second for one second."""
    row = {
        "key": f"simulate-{number}",
        "task": "simulate",
        "component": "model",
        "state": "done",
        "submitted": START,
        "queued": START,
        "started": START + number,
        "finished": START + number + 1,
        "worker": "model-0",
        "cpu": 0.5,
        "peak": 1000 + number,
    }
    return {name: value for name, value in {**row, **changes}.items() if value is not None}


def worker(name: str = "model-0", **changes: Any) -> dict[str, Any]:
    """A row of a worker with one thread and 4000 bytes that came at the start."""
    row = {
        "time": START,
        "event": "added",
        "name": name,
        "component": "model",
        "threads": 1,
        "memory": 4000,
    }
    return {**row, **changes}


def failure(number: int, **changes: Any) -> dict[str, Any]:
    """A row of a call whose last attempt raised."""
    row = {
        "time": START + number + 1,
        "key": f"simulate-{number}",
        "task": "simulate",
        "worker": "model-0",
        "kind": "error",
        "transient": False,
        "final": True,
        "type": "ValueError",
        "message": f"scenario {number} is empty",
    }
    return {**row, **changes}
