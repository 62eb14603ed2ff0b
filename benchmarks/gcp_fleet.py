"""The local Google Cloud: how fleets start, and direct against relay for small calls, dependencies, results.

``--members`` says how many workers the fleets have whose start is measured.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

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


def start(testbed: Testbed, folder: Path, transport: str, members: int) -> tuple[Any, float, int]:
    """Start a fleet; return it with the seconds and the requests until all of its workers are there."""
    from scalable_gcp.cloud_run import CloudRunLauncher

    plan = make_plan(members, transport)
    launcher = CloudRunLauncher(plan.target.options)
    run = f"run-{transport}-{members}"
    context = HookContext(project="benchmark", run=run, run_dir=folder / run)
    began = time.monotonic()
    fleet = FleetCluster(plan, launcher, context, eager=True)
    with Client(fleet, timeout=60) as client:
        client.wait_for_workers(members, timeout=240)
        return fleet, time.monotonic() - began, launcher.cloud.calls


def starts(testbed: Testbed, folder: Path, members: int) -> list[Figure]:
    """Measure how a fleet of many starts; its members share a process, so that it is the driver that counts."""
    fleet, seconds, calls = start(testbed, folder, "vpc", members)
    fleet.close()
    return [
        Figure(f"wall until {members} are there", seconds, "s", 60),
        Figure(f"requests until {members} are there", calls, "", 60),
    ]


def carries(testbed: Testbed, folder: Path, transport: str) -> list[Figure]:
    """Measure what two workers exchange, and what the driver gets from them; medians of three."""
    fleet, _, _ = start(testbed, folder, transport, 2)
    taken: dict[str, list[float]] = {"tasks": [], "dependency": [], "gather": []}
    with Client(fleet, timeout=60) as client:
        one, two = list(client.scheduler_info()["workers"])[:2]
        for turn in range(4):
            began = time.monotonic()
            client.gather(client.map(abs, range(turn * 1000, turn * 1000 + 1000)))
            taken["tasks"].append(1000 / (time.monotonic() - began))
            data = client.submit(bytes, SIZE + turn, workers=[one])
            client.submit(len, data, workers=[one]).result()
            began = time.monotonic()
            client.submit(len, data, workers=[two], key=f"there-{turn}").result()
            taken["dependency"].append(SIZE / 2**20 / (time.monotonic() - began))
            began = time.monotonic()
            data.result()
            taken["gather"].append(SIZE / 2**20 / (time.monotonic() - began))
    fleet.close()
    tasks, dependency, gather = (statistics.median(times[1:]) for times in taken.values())
    return [
        Figure(f"{transport}: small calls a second", tasks, "/s", 1e9),
        Figure(f"{transport}: dependency", dependency, "MiB/s", 1e9),
        Figure(f"{transport}: gather", gather, "MiB/s", 1e9),
    ]


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--members", type=int, nargs="*", default=[10, 50])
    arguments = parser.parse_args()
    logging.getLogger("distributed").setLevel(logging.ERROR)
    figures = []
    for hive in (True, False):
        with tempfile.TemporaryDirectory() as name, Testbed(Path(name), hive=hive) as testbed:
            os.environ.update(testbed.environment)
            folder = Path(name)
            if hive:
                for members in arguments.members:
                    figures += starts(testbed, folder, members)
            else:
                for transport in ("vpc", "relay"):
                    figures += carries(testbed, folder, transport)
    report(figures)


if __name__ == "__main__":
    main()
