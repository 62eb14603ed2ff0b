"""A project whose workers on this machine have a price, and what its runs leave behind."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

#: One worker of the project costs one cent a second: 1 vCPU at 32 and 1 GiB at 4 USD an hour.
CENT_A_SECOND = 36.0 / 3600

MANIFEST = """\
version: 1
project: {name: study}
targets:
  local: {provider: local, %s, price: {vcpu_hour: 32, gib_hour: 4}}
components:
  model: {cpus: 1, memory: 1G}
tasks:
  simulate: {component: model, cache: true}
"""

#: Each call notes that it was done.
WORKFLOW = """\
import sys, time
from scalable import ScalableSession

def work(x, seconds):
    time.sleep(seconds)
    with open("calls.txt", "a") as file:
        file.write(f"{x}\\n")
    return x

with ScalableSession.from_yaml("./scalable.yaml") as client:
    count, seconds = int(sys.argv[1]), float(sys.argv[2])
    futures = client.map(work, range(count), [seconds] * count, task="simulate")
    print("sum", sum(client.gather(futures)))
"""


def user_environment() -> dict[str, str]:
    """An environment that says nothing to Scalable."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SCALABLE_")}
    return {**kept, "PYTHONUTF8": "1"}


def runs_of(project: Path) -> list[Path]:
    """The folders of the project's runs, in order."""
    return sorted(path.parent for path in (project / ".scalable" / "runs").glob("*/run.json"))


def rows_of(folder: Path, table: str) -> list[dict[str, Any]]:
    """The rows of a run's table."""
    path = folder / f"{table}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def record_of(folder: Path) -> dict[str, Any]:
    """The record of a run."""
    return json.loads((folder / "run.json").read_text())


def worker_seconds(folder: Path) -> float:
    """Seconds for which workers were there, from their comings and goings alone."""
    there: dict[str, float] = {}
    seconds = 0.0
    for row in rows_of(folder, "workers"):
        if row["event"] == "added":
            there[row["name"]] = row["time"]
        else:
            seconds += row["time"] - there.pop(row["name"])
    assert not there
    return seconds


def most_workers(folder: Path) -> int:
    """Most workers at one time."""
    now = most = 0
    for row in rows_of(folder, "workers"):
        now += 1 if row["event"] == "added" else -1
        most = max(most, now)
    return most
