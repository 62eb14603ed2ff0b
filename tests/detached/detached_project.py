"""The project of the tests of detached runs, and ways to look at its runs from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

MANIFEST = """\
version: 1
project: {name: study}
targets:
  local: {provider: local, max_workers: 2}
components:
  model: {cpus: 1, memory: 256M}
tasks:
  simulate: {component: model, cache: true}
"""

#: So many calls, each of which leaves a line when it has been computed; from some on they wait for a gate.
WORKFLOW = """\
import sys, time
from pathlib import Path
from scalable import ScalableSession, cacheable

calls, free, marks = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])

@cacheable
def square(x, free, marks):
    while x >= free and not Path(marks + ".gate").exists():
        time.sleep(0.05)
    with open(marks, "a") as file:
        file.write(f"{x}\\n")
    return x * x

with ScalableSession.from_yaml("./scalable.yaml") as client:
    futures = client.map(square, range(calls), free=free, marks=str(marks), task="simulate")
    total = sum(client.gather(futures))
    client.store_artifact("total.json", total)
print("total", total)
Path("seen.txt").write_text("ok")
"""


def environment(**more: str) -> dict[str, str]:
    """Return an environment that says nothing to Scalable but what ``more`` says."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SCALABLE_")}
    return {**kept, "PYTHONUTF8": "1", "COLUMNS": "150", **more}


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a command line and leave it alone."""
    return subprocess.Popen(
        [sys.executable, "-m", "scalable", *arguments],
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def record_of(folder: Path, run: str) -> dict[str, Any]:
    """Return what a run's folder says of the run."""
    record: dict[str, Any] = json.loads((folder / ".scalable/runs" / run / "run.json").read_text())
    return record


def await_that(true: Callable[[], Any], what: str) -> None:
    """Wait until something holds."""
    end = time.monotonic() + 90
    while not true():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.1)


def await_end(folder: Path, run: str) -> dict[str, Any]:
    """Wait for the end of a run, and return its record."""
    await_that(lambda: record_of(folder, run).get("ended"), f"the end of {run}")
    return record_of(folder, run)


def computed(marks: Path) -> list[int]:
    """Return which calls were computed, in order; one that was computed twice is there twice."""
    return sorted(map(int, marks.read_text().split())) if marks.exists() else []


def open_gate(marks: Path) -> None:
    """Let the calls go on that wait."""
    marks.with_name(f"{marks.name}.gate").touch()


def processes(folder: Path) -> list[psutil.Process]:
    """Return what is alive with its current folder below a folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(folder) and process.pid != os.getpid():
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found
