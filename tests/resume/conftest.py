"""A project whose calls leave marks, run by real driver processes that can be killed."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from scalable_core.cache import CacheEvent, Store

MANIFEST = """\
version: 1
project: {name: study}
targets:
  local: {provider: local, max_workers: 2, processes: PROCESSES}
components:
  model: {cpus: 1, memory: 256M}
tasks:
  step: {component: model, cache: true, retries: 3}
"""

WORKFLOW = """\
import os, sys, time
from scalable import ScalableSession

def step(i, marks):
    descriptor = os.open(marks, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{i} {os.getpid()}\\n".encode())
    os.close(descriptor)
    time.sleep(0.03)
    return {"i": i, "square": i * i} if i % 2 else f"{i}," * (i * 300)

if __name__ == "__main__":
    count = int(sys.argv[1])
    with ScalableSession.from_yaml("./scalable.yaml") as client:
        results = client.gather(client.map(step, range(count), marks="marks", task="step"))
    for i, result in enumerate(results):
        assert result == ({"i": i, "square": i * i} if i % 2 else f"{i}," * (i * 300)), i
    print("right", len(results))
"""


class Project:
    """A folder with a manifest and a workflow, its drivers, and what they have left."""

    def __init__(self, folder: Path, *, processes: bool = True) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "scalable.yaml").write_text(MANIFEST.replace("PROCESSES", str(processes).lower()))
        (folder / "workflow.py").write_text(WORKFLOW)
        self._drivers: list[subprocess.Popen[str]] = []

    def drive(self, count: int, **env: str) -> subprocess.Popen[str]:
        """Start a run of ``count`` calls."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith("SCALABLE_")}
        driver = subprocess.Popen(
            [sys.executable, "-m", "scalable", "run", "--", str(count)],
            cwd=self.folder,
            env={**clean, "PYTHONUTF8": "1", **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._drivers.append(driver)
        return driver

    def finish(self, driver: subprocess.Popen[str], count: int) -> str:
        """Wait for a run that ends well; return what it said."""
        said, _ = driver.communicate(timeout=240)
        assert driver.returncode == 0, said
        assert f"right {count}\n" in said
        return said

    def kill(self, driver: subprocess.Popen[str]) -> None:
        """Kill a driver, and wait until its workers have noticed."""
        family = []
        with contextlib.suppress(psutil.NoSuchProcess):  # it may have come to its end
            family = psutil.Process(driver.pid).children(recursive=True)
        driver.kill()
        driver.communicate(timeout=60)
        _, alive = psutil.wait_procs(family, timeout=120)
        assert alive == []

    def marks(self) -> list[tuple[int, int]]:
        """Return number and process id of every call that was started, in order."""
        path = self.folder / "marks"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(int(line.split()[0]), int(line.split()[1])) for line in lines]

    def started(self) -> Counter[int]:
        """Return how often each call was started."""
        return Counter(number for number, _ in self.marks())

    def kept(self) -> set[int]:
        """Return the calls whose results are kept; each is read and must be whole."""
        events: list[CacheEvent] = []
        store = Store(self.folder / ".scalable" / "cache", report=events.append)
        numbers = set()
        for known in store.entries():
            entry = store.get(known.key)
            assert entry is not None
            number = next(int(text) for name, _, text in entry.parts if name == "argument i")
            wanted = (
                {"i": number, "square": number**2} if number % 2 else f"{number}," * (number * 300)
            )
            assert entry.value == wanted
            numbers.add(number)
        assert events == []
        return numbers

    def wait_for_marks(self, count: int, driver: subprocess.Popen[str]) -> None:
        """Wait until so many calls were started, or the driver has ended."""
        deadline = time.monotonic() + 120
        while len(self.marks()) < count and driver.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def close(self) -> None:
        """Kill what still runs."""
        for driver in self._drivers:
            if driver.poll() is None:
                driver.kill()
            driver.communicate()


@pytest.fixture
def make_project(tmp_path: Path) -> Iterator[Callable[..., Project]]:
    """Makes projects in folders of their own."""
    projects: list[Project] = []

    def make(name: str = "study", *, processes: bool = True) -> Project:
        projects.append(Project(tmp_path / name, processes=processes))
        return projects[-1]

    yield make
    for project in projects:
        project.close()
