"""Workers beside their driver in one instance: the same engine, with processes for members."""

from __future__ import annotations

import time

import pytest
from distributed import Client

from scalable_core.cluster.fleet import FleetCluster
from scalable_core.types import HookContext, Plan, Project, Stores, Target, WorkerGroup
from scalable_gcp.onsite import SECRETS
from scalable_gcp.options import CloudRunOptions
from scalable_gcp.single import InstanceLauncher

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture
def fleet(tmp_path, monkeypatch):
    """Three workers beside this process, which has a secret of its own."""
    monkeypatch.setenv(SECRETS, "PASSWORD")
    monkeypatch.setenv("PASSWORD", "nightingale")
    options = CloudRunOptions(region="us-central1", project_id="study-project", n_workers=3)
    plan = Plan(
        project=Project(name="study"),
        target=Target(name="gcp", provider="gcp", options=options),
        manifest="/nowhere/scalable.yaml",
        workflow="/nowhere/workflow.py",
        lock="sha256:0",
        groups=(WorkerGroup(name="model", cpus=1.0, threads=1, minimum=3, maximum=3),),
        minimum=3,
        maximum=3,
        detached=True,
        stores=Stores(records="/nowhere", artifacts="/nowhere", cache="/nowhere"),
    )
    launcher = InstanceLauncher(options)
    context = HookContext(project="study", run="run-1", run_dir=tmp_path / "run", workdir=tmp_path)
    with FleetCluster(plan, launcher, context, eager=True, driver_host="127.0.0.1") as fleet:
        yield fleet


def slow(number: int) -> int:
    """Take a moment."""
    import time

    time.sleep(0.05)
    return number


slow.__module__ = "__main__"  # it travels whole


def test_scaling_down_during_work_loses_nothing_and_a_killed_worker_is_replaced(fleet):
    """Processes are members like any other; the driver's own secrets are none of their business."""
    with Client(fleet) as client:
        client.wait_for_workers(3, timeout=120)
        futures = client.map(slow, range(60))
        fleet.scale(1)
        assert client.gather(futures) == list(range(60))
        end = time.monotonic() + 60
        while len(client.scheduler_info()["workers"]) > 1 and time.monotonic() < end:
            time.sleep(0.1)
        (before,) = [w["name"] for w in client.scheduler_info()["workers"].values()]

        def environment() -> str | None:
            import os

            return os.environ.get("PASSWORD")

        assert set(client.run(environment).values()) == {None}
        fleet.crew.launcher._processes[before].kill()
        assert client.submit(slow, 7).result(timeout=120) == 7
        (after,) = [w["name"] for w in client.scheduler_info()["workers"].values()]
        assert after != before
        assert any("Start worker" in line for line in fleet.logs(after, 200))
