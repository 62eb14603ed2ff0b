"""What a fleet on Fargate costs its driver: calls, throttles, time and CPU, on the local AWS.

    python benchmarks/fargate.py [N ...] [--provision SECONDS] [--latency SECONDS]

For each N a driver of its own starts N workers on what stands already, waits until all are there, runs a few
calls and closes. Members are many in one process, so that this machine measures the driver and not them. CPU is
what the driver's process has used after its imports.

For comparison: dask-cloudprovider 2025.9.0, which starts one task a call and looks at each by itself, was
measured once against a like service, with 80 ms a call and 20 s until a task runs. It made 632 calls to 10
workers and 959 to 50, was ready after 46 and 56 s, and its process used 28 and 46 s of CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests" / "testbed"))

_FORM = "{:>5} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}"


def main() -> None:
    """Print one line for each N."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("workers", nargs="*", type=int, default=[10, 50, 100])
    words.add_argument("--provision", type=float, default=30.0, help="seconds until a task runs")
    words.add_argument("--latency", type=float, default=0.05, help="seconds that each call takes")
    words.add_argument("--driver", type=int, help=argparse.SUPPRESS)
    given = words.parse_args()
    if given.driver is not None:
        drive(given.driver)
        return
    from aws.testbed import Testbed

    with tempfile.TemporaryDirectory() as folder, Testbed(Path(folder), hive=True) as bed:
        os.environ.update(bed.environment)
        _run(1)  # makes what stands
        bed.tell("clock", {"provision": given.provision / 2, "pull": given.provision / 2})
        bed.tell("faults", [{"key": "testing", "seconds": given.latency}])
        print(_FORM.format("N", "calls", "in all", "throttled", "usable s", "closed s", "CPU s"))
        for count in given.workers:
            bed.tell("forget")
            told = _run(count)
            calls = bed.calls()
            before = [call for call in calls if call["time"] <= told["usable_at"]]
            throttled = sum(call["status"] >= 400 for call in calls)
            figures = [told["usable"], told["closed"], told["cpu"]]
            row = [count, len(before), len(calls), throttled, *(f"{f:.1f}" for f in figures)]
            print(_FORM.format(*row), flush=True)
            print("     ", dict(bed.count()), flush=True)


def _run(count: int) -> dict[str, float]:
    words = [sys.executable, __file__, "--driver", str(count)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def drive(count: int) -> None:
    """Be the driver, and say what it took."""
    import aiobotocore.session
    from distributed import Client

    from scalable_aws.fargate import FargateLauncher
    from scalable_aws.options import FargateOptions
    from scalable_core.cluster.fleet import FleetCluster
    from scalable_core.types import HookContext, Plan, Project, Stores, Target, WorkerGroup

    assert aiobotocore.session
    options = FargateOptions(region="us-east-1", image="solar:1.0")
    group = WorkerGroup(name="work", cpus=1.0, threads=1, minimum=0, maximum=count)
    plan = Plan(
        project=Project(name="benchmark"),
        target=Target(name="aws", provider="aws", cluster_type="fargate", options=options),
        manifest="/nowhere/scalable.yaml",
        workflow="/nowhere/workflow.py",
        lock="sha256:0",
        groups=(group,),
        minimum=count,
        maximum=count,
        stores=Stores(records="/nowhere", artifacts="/nowhere", cache="/nowhere"),
    )
    with tempfile.TemporaryDirectory() as folder:
        context = HookContext(project="benchmark", run=f"run-{count}", run_dir=Path(folder))
        started, cpu = time.monotonic(), time.process_time()
        fleet = FleetCluster(plan, FargateLauncher(options), context, eager=True)
        client = Client(fleet)
        client.wait_for_workers(count, timeout=300)
        usable, usable_at = time.monotonic() - started, time.time()
        assert client.gather(client.map(abs, range(-count, 0))) == list(range(count, 0, -1))
        client.close()
        fleet.close()
        told = {
            "usable": usable,
            "usable_at": usable_at,
            "closed": time.monotonic() - started - usable,
            "cpu": time.process_time() - cpu,
        }
        print(json.dumps(told))


if __name__ == "__main__":
    main()
