"""The driver of a large fleet: what it costs to start members, run calls on them, and scale back to nothing.

Members are in one other process, so that the driver is measured and not they. 1,000 real workers over TLS take
that process minutes on two cores; ``--members`` and ``--calls`` set other numbers.
"""

from __future__ import annotations

import argparse
import logging
import resource
import tempfile
import time
from pathlib import Path

from attrs import frozen
from distributed import Client, Scheduler
from measure import Figure, report

from scalable_core.cluster.fleet import FleetCluster
from scalable_core.cluster.launcher import Limits
from scalable_core.testing import Hive, HiveLauncher
from scalable_core.types import HookContext, Plan, Project, Stores, Target, WorkerGroup


@frozen(kw_only=True)
class Options:
    """A target without options."""


def make_plan(members: int) -> Plan:
    """Plan one component."""
    group = WorkerGroup(name="part", cpus=1.0, threads=1, minimum=members, maximum=members)
    return Plan(
        project=Project(name="benchmark"),
        target=Target(name="hive", provider="loopback", options=Options()),
        manifest="/nowhere/scalable.yaml",
        workflow="/nowhere/workflow.py",
        lock="",
        groups=(group,),
        minimum=members,
        maximum=members,
        stores=Stores(records="/nowhere", artifacts="/nowhere", cache="/nowhere"),
    )


def nothing(number: int) -> int:
    """Do as little as a call can."""
    return number


def count_results(dask_scheduler: Scheduler) -> int:
    """Return how many results the workers hold; runs on the scheduler."""
    return len(dask_scheduler.tasks)


def main() -> None:
    """Measure one life of a fleet."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--members", type=int, default=100)
    parser.add_argument("--calls", type=int, default=2000)
    arguments = parser.parse_args()
    logging.getLogger("distributed").setLevel(logging.ERROR)
    members, calls = arguments.members, arguments.calls
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder, Hive() as hive:
        launcher = HiveLauncher(Path(folder) / "hive", hive.port, poll_interval=2.0)
        context = HookContext(project="benchmark", run="run-fleet", run_dir=Path(folder) / "run")
        began, cpu = time.monotonic(), time.process_time()
        limits = Limits(lifetime=3600.0, join=1800.0)
        fleet = FleetCluster(make_plan(members), launcher, context, eager=True, limits=limits)
        client = Client(fleet, timeout=120)
        while len(fleet.scheduler_info["workers"]) < members:  # pushed: asking would cost more
            time.sleep(0.1)
        start, start_cpu = time.monotonic() - began, time.process_time() - cpu
        name = f"fleet of {members}"
        tell(
            name,
            {
                "launch calls": (launcher.count("launch"), "", 2 + members / 10),
                "wall until all are there": (start, "s", 10 + members),
                "driver CPU until all are there": (start_cpu, "s", 2 + members / 100),
                "polls a minute": (60 * launcher.count("poll") / start, "", 35),
            },
        )
        began, cpu = time.monotonic(), time.process_time()
        futures = client.map(nothing, range(calls))
        assert len(client.gather(futures)) == calls
        work, work_cpu = time.monotonic() - began, time.process_time() - cpu
        tell(
            name,
            {
                f"wall of {calls} calls": (work, "s", 10 + calls / 50),
                "driver CPU for a call": (1e3 * work_cpu / calls, "ms", 2),
            },
        )
        del futures
        while client.run_on_scheduler(count_results):  # what is held would be moved first, or lost
            time.sleep(0.2)
        began, cpu = time.monotonic(), time.process_time()
        fleet.scale(0)
        while len(hive.alive("run-fleet")) > 1:
            time.sleep(0.2)
        client.close()
        fleet.close()
        end, end_cpu = time.monotonic() - began, time.process_time() - cpu
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024
    tell(
        name,
        {
            "wall to scale to zero and close": (end, "s", 20 + members / 5),
            "driver CPU to scale to zero": (end_cpu, "s", 1 + members / 200),
            "driver memory": (memory, "MiB", 100 + members / 5),
        },
    )


def tell(name: str, figures: dict[str, tuple[float, str, float]]) -> None:
    """Report figures as soon as they are known: the whole takes minutes."""
    report([Figure(f"{name}: {what}", *numbers) for what, numbers in figures.items()])


if __name__ == "__main__":
    main()
