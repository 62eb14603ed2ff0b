"""A real Kubernetes for all tests here, a namespace for each, and fleets in it that leave nothing behind."""

from __future__ import annotations

import sys
import time
import uuid
from pathlib import Path

import pytest

from scalable_core.types import HookContext, Plan, Project, Stores, Target, WorkerGroup
from scalable_kubernetes.options import KubernetesOptions

sys.path.insert(0, str(Path(__file__).parent.parent / "testbed" / "kubernetes"))

from kube_cluster import KubernetesCluster, find_programs
from kube_registry import Registry

#: The second node is small, and is taken away by a test.
NODES = {"n1": {"cpu": "64", "memory": "256Gi"}, "n2": {"cpu": "4", "memory": "8Gi"}}


@pytest.fixture(scope="session")
def kubernetes(tmp_path_factory):
    """The cluster; tests are skipped where its programs are not."""
    programs = find_programs()
    if isinstance(programs, str):
        pytest.skip(programs)
    with KubernetesCluster(tmp_path_factory.mktemp("kubernetes"), programs, NODES) as cluster:
        yield cluster


@pytest.fixture
def namespace(kubernetes):
    """A namespace of its own."""
    return kubernetes.make_namespace(f"t-{uuid.uuid4().hex[:8]}")


class Sink:
    """Keeps the events of a fleet."""

    def __init__(self):
        self.events = []

    def emit(self, event):
        self.events.append(event)

    def texts(self, kind):
        return [event.message for event in self.events if event.kind == kind]


@pytest.fixture
def make_plan(kubernetes, namespace):
    """Makes a `Plan` for the namespace: make_plan(2, spot=True)."""

    def make_plan(count=1, *, groups=None, user="admin", name="test", **options):
        one = WorkerGroup(
            name="analysis", cpus=1.0, memory=2**30, threads=1, minimum=0, maximum=count,
            image="python:3",
        )  # fmt: skip
        groups = groups or (one,)
        adaptive = options.get("adaptive")
        config = str(kubernetes.kubeconfig(user))
        options = KubernetesOptions(namespace=namespace, kubeconfig=config, **options)
        total = adaptive.maximum if adaptive else sum(group.maximum for group in groups)
        return Plan(
            project=Project(name=name),
            target=Target(name="there", provider="kubernetes", options=options),
            manifest="/nowhere/scalable.yaml",
            workflow="/nowhere/workflow.py",
            lock="sha256:0",
            groups=groups,
            adaptive=adaptive is not None,
            minimum=adaptive.minimum if adaptive else total,
            maximum=total,
            stores=Stores(records="/nowhere", artifacts="/nowhere", cache="/nowhere"),
        )

    return make_plan


@pytest.fixture
def make_context(tmp_path):
    """Makes the `HookContext` of a run, whose events are in ``events.texts(kind)``."""

    def make_context(**more):
        run = f"run-20260101-000000-calm-heron-{uuid.uuid4().hex[:4]}"
        given = {"data": {"eager": True}, **more}
        return HookContext(
            project="test",
            run=run,
            run_dir=tmp_path / run,
            workdir=tmp_path,
            events=Sink(),
            **given,
        )

    return make_context


@pytest.fixture
def start(make_context):
    """Starts a fleet and a client; ``fleet.sink`` has its events."""
    from distributed import Client

    from scalable_kubernetes.provision import provision, start_fleet

    opened = []

    def start(plan, *, workers=None, access=None, **more):
        context = make_context(**more)
        if access is None:
            fleet = provision(plan, context)
        else:
            fleet = start_fleet(plan, context, plan.target.options, access, {})
        fleet.sink = context.events
        opened.append(fleet)
        opened.append(user := Client(fleet))
        if workers:
            user.wait_for_workers(workers, timeout=120)
        return fleet, user

    yield start
    for thing in reversed(opened):
        thing.close()


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
def image():
    """The name of an image in a registry of this machine that has it under every name."""
    with Registry() as name:
        yield name
