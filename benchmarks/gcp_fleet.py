"""Direct against relay on the local Google Cloud: small calls, a dependency, results to the driver.

``--members`` sets how many workers; also told are the calls of the driver and the wall until all are there.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import time
from pathlib import Path

from distributed import Client
from measure import Figure, report

from scalable_core.cluster.fleet import FleetCluster
from scalable_core.types import HookContext, Plan, Project, Stores, Target, WorkerGroup

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "testbed"))

from gcp.testbed import Testbed

SIZE = 64 * 2**20


def make_plan(members: int, transport: str) -> Plan:
    """Plan one component."""
    from scalable_gcp.options import CloudRunOptions

    options = CloudRunOptions(
        region="us-central1", image="python:3.12", n_workers=members, transport=transport
    )
    group = WorkerGroup(name="part", cpus=1.0, threads=1, minimum=members, maximum=members)
    return Plan(
        project=Project(name="benchmark"),
        target=Target(name="gcp", provider="gcp", options=options),
        manifest="/nowhere/scalable.yaml",
        workflow="/nowhere/workflow.py",
        lock="",
        groups=(group,),
        minimum=members,
        maximum=members,
        stores=Stores(records="/nowhere", artifacts="/nowhere", cache="/nowhere"),
    )


def measure(testbed: Testbed, folder: Path, transport: str, members: int) -> list[Figure]:
    """Measure one life of a fleet."""
    from scalable_gcp.cloud_run import CloudRunLauncher

    plan = make_plan(members, transport)
    launcher = CloudRunLauncher(plan.target.options)
    context = HookContext(project="benchmark", run=f"run-{transport}", run_dir=folder / transport)
    began = time.monotonic()
    fleet = FleetCluster(plan, launcher, context, eager=True)
    with Client(fleet, timeout=60) as client:
        client.wait_for_workers(members, timeout=120)
        start, calls = time.monotonic() - began, launcher.cloud.calls
        one, two = list(client.scheduler_info()["workers"])[:2]
        began = time.monotonic()
        client.gather(client.map(abs, range(1000)))
        tasks = 1000 / (time.monotonic() - began)
        data = client.submit(bytes, SIZE, workers=[one])
        client.submit(len, data, workers=[one]).result()
        began = time.monotonic()
        client.submit(len, data, workers=[two], key="there").result()
        dependency = SIZE / 2**20 / (time.monotonic() - began)
        began = time.monotonic()
        data.result()
        gather = SIZE / 2**20 / (time.monotonic() - began)
    fleet.close()
    return [
        Figure(f"{transport}: wall until {members} are there", start, "s", 60),
        Figure(f"{transport}: requests until {members} are there", calls, "", 60),
        Figure(f"{transport}: small calls a second", tasks, "/s", 1e9),
        Figure(f"{transport}: dependency", dependency, "MiB/s", 1e9),
        Figure(f"{transport}: gather", gather, "MiB/s", 1e9),
    ]


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--members", type=int, default=2)
    arguments = parser.parse_args()
    logging.getLogger("distributed").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder, Testbed(Path(folder)) as testbed:
        os.environ.update(testbed.environment)
        figures = []
        for transport in ("vpc", "relay"):
            figures += measure(testbed, Path(folder), transport, arguments.members)
        report(figures)


if __name__ == "__main__":
    main()
