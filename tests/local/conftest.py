"""Plans and clusters for the facts about the local provider."""

from __future__ import annotations

import time

import pytest

from scalable_core.types import Event, HookContext, Plan, Project, Stores, Target, WorkerGroup
from scalable_local import plugin
from scalable_local.options import LocalOptions


def _group(name="analysis", **facts):
    return WorkerGroup(
        name=name, **({"cpus": 1.0, "threads": 1, "minimum": 1, "maximum": 1} | facts)
    )


def _make_plan(*groups, adaptive=None, **options):
    groups = groups or (_group(),)
    total = adaptive.maximum if adaptive else sum(g.maximum for g in groups)
    return Plan(
        project=Project(name="test"),
        target=Target(
            name="local",
            provider="local",
            options=LocalOptions(**({"dashboard": False, "adaptive": adaptive} | options)),
        ),
        manifest="/nowhere/scalable.yaml",
        workflow="/nowhere/workflow.py",
        lock="sha256:0",
        groups=groups,
        adaptive=adaptive is not None,
        minimum=adaptive.minimum if adaptive else total,
        maximum=total,
        stores=Stores(records="/nowhere", artifacts="/nowhere", cache="/nowhere"),
    )


def _wait_until(condition, timeout=60.0):
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if answer := condition():
            return answer
        time.sleep(0.05)
    raise AssertionError("it did not come true in time")


class Sink:
    """Keeps the events of a cluster."""

    def __init__(self):
        self.events: list[Event] = []

    def emit(self, event):
        self.events.append(event)

    def texts(self, kind):
        return [event.message for event in self.events if event.kind == kind]


@pytest.fixture
def group():
    """Makes a `WorkerGroup`: group("model", cpus=2.0)."""
    return _group


@pytest.fixture
def make_plan():
    """Makes a `Plan` for local of groups and options of the target."""
    return _make_plan


@pytest.fixture
def wait_until():
    """Waits for a condition and returns its first true answer."""
    return _wait_until


@pytest.fixture
def start(tmp_path):
    """Starts a cluster as the plugin host does, with a client; ``cluster.sink`` has its events."""
    from distributed import Client

    opened = []

    def start(plan, *, workers=True):
        sink = Sink()
        context = HookContext(project="test", run="run-test", run_dir=tmp_path, events=sink)
        cluster = plugin.provision_cluster(plan, context)
        cluster.sink = sink
        opened.append(cluster)
        opened.append(client := Client(cluster))
        if workers:
            cluster.request_workers()
            if not plan.adaptive:
                client.wait_for_workers(plan.maximum, timeout=120)
        return cluster, client

    yield start
    for thing in reversed(opened):
        thing.close()


@pytest.fixture
def meet(tmp_path):
    """A call that ends once ``count`` calls of it run at one time; meet(number, count)."""
    folder = str(tmp_path)

    def meet(number, count):
        import pathlib
        import time

        (pathlib.Path(folder) / f"here-{number}").touch()
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if len(list(pathlib.Path(folder).glob("here-*"))) >= count:
                return True
            time.sleep(0.02)
        return False

    return meet
