"""Plans, services on this machine, and fleets for the facts about the engine."""

from __future__ import annotations

import time

import pytest
from attrs import frozen

from scalable_core.testing import Hive, HiveLauncher, SubprocessLauncher
from scalable_core.types import Event, HookContext, Plan, Project, Stores, Target, WorkerGroup


@frozen(kw_only=True)
class Options:
    """What the engine reads of a target."""

    min_workers: int = 1


def _make_plan(count=1, *, groups=None, adaptive=False, minimum=None, **options):
    groups = groups or (
        WorkerGroup(name="analysis", cpus=1.0, threads=1, minimum=0, maximum=count),
    )
    total = sum(group.maximum for group in groups)
    return Plan(
        project=Project(name="test"),
        target=Target(name="there", provider="loopback", options=Options(**options)),
        manifest="/nowhere/scalable.yaml",
        workflow="/nowhere/workflow.py",
        lock="sha256:0",
        groups=groups,
        adaptive=adaptive,
        minimum=minimum if minimum is not None else (0 if adaptive else total),
        maximum=total,
        stores=Stores(records="/nowhere", artifacts="/nowhere", cache="/nowhere"),
    )


class Sink:
    """Keeps the events of a fleet."""

    def __init__(self):
        self.events: list[Event] = []

    def emit(self, event):
        self.events.append(event)

    def texts(self, kind):
        return [event.message for event in self.events if event.kind == kind]


@pytest.fixture
def make_plan():
    """Makes a `Plan`: make_plan(12, min_workers=3)."""
    return _make_plan


@pytest.fixture
def wait_until():
    """Waits for a condition and returns its first true answer."""

    def wait_until(condition, timeout=90.0):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if answer := condition():
                return answer
            time.sleep(0.05)
        raise AssertionError("it did not come true in time")

    return wait_until


@pytest.fixture(scope="session")
def hive():
    """A process that has the members of many runs."""
    with Hive() as hive:
        yield hive


@pytest.fixture
def hive_launcher(hive, tmp_path):
    """Makes a launcher whose members are in the hive."""
    count = iter(range(99))
    return lambda **knobs: HiveLauncher(tmp_path / f"hive-{next(count)}", hive.port, **knobs)


@pytest.fixture
def subprocess_launcher(tmp_path):
    """Makes a launcher whose members are processes; none is left."""
    made = []

    def make(**knobs):
        made.append(SubprocessLauncher(tmp_path / f"processes-{len(made)}", **knobs))
        return made[-1]

    yield make
    for launcher in made:
        for name in launcher.processes:
            launcher.kill(name)


@pytest.fixture
def start(tmp_path):
    """Starts a fleet and a client; ``fleet.sink`` has its events."""
    from distributed import Client

    from scalable_core.cluster.fleet import FleetCluster

    opened = []

    def start(plan, launcher, *, workers=None, client=True, **knobs):
        sink = Sink()
        run = f"run-{tmp_path.name}-{len(opened)}"
        context = HookContext(project="test", run=run, run_dir=tmp_path / run, events=sink)
        fleet = FleetCluster(plan, launcher, context, **({"eager": True} | knobs))
        fleet.sink = sink
        opened.append(fleet)
        if not client:
            return fleet
        opened.append(user := Client(fleet))
        if workers:
            user.wait_for_workers(workers, timeout=120)
        return fleet, user

    yield start
    for thing in reversed(opened):
        thing.close()
