"""What a fleet on Fargate costs its driver: calls, throttles, time and CPU, on the local AWS.

    python benchmarks/fargate.py [N ...] [--provision SECONDS] [--latency SECONDS] [--peer PYTHON]

For each N a driver of its own starts N workers on what stands already, waits until all are there, runs a few
calls and closes. Members are many in one process, so that this machine measures the driver and not them. CPU is
what the driver's process has used after its imports. The service takes calls at the rates that AWS has
published, and refuses those that come faster.

dask-cloudprovider's cluster of the same size is measured beside it, up to 100 workers, where there is one:
``--peer`` names an interpreter that has it, and is this one when it is left out.
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

_FORM = "{:<18} {:>5} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}"
#: Workers above which the other cluster is not measured: it takes minutes for as many.
_PEER_MOST = 100
_PEER = "dask-cloudprovider"


def main() -> None:
    """Print one line for each N, of ours and of the other cluster."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("workers", nargs="*", type=int, default=[10, 50, 100, 500])
    words.add_argument("--provision", type=float, default=20.0, help="seconds until a task runs")
    words.add_argument("--latency", type=float, default=0.05, help="seconds that each call takes")
    words.add_argument("--peer", default=sys.executable, help=f"a Python that has {_PEER}")
    words.add_argument("--calls", action="store_true", help="say which calls")
    words.add_argument("--driver", type=int, help=argparse.SUPPRESS)
    given = words.parse_args()
    if given.driver is not None:
        drive(given.driver)
        return
    from aws.testbed import Testbed

    ours = [sys.executable, __file__, "--driver"]
    theirs = [given.peer, str(Path(__file__).with_name("fargate_peer.py"))]
    compared = _has_peer(given.peer)
    if compared:
        os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"  # it attaches some
    else:
        print(
            f"not compared: have a Python with it (pip install '{_PEER}[aws]'), and name it with --peer"
        )
    with tempfile.TemporaryDirectory() as folder, Testbed(Path(folder), hive=True) as bed:
        os.environ.update(bed.environment)
        if compared:  # as AWS has it in all accounts
            bed.client("ecs").put_account_setting(name="taskLongArnFormat", value="enabled")
        _run([*ours, "1"])  # makes what stands
        bed.tell("clock", {"provision": given.provision / 2, "pull": given.provision / 2})
        bed.tell("faults", [{"key": "testing", "seconds": given.latency}])
        names = ("cluster", "N", "calls", "in all", "throttled", "usable s", "closed s", "CPU s")
        print(_FORM.format(*names))
        for count in given.workers:
            rows = [("Scalable", [*ours, str(count)])]
            if compared and count <= _PEER_MOST:
                rows.append((_PEER, [*theirs, str(count)]))
            for name, command in rows:
                bed.tell("forget")
                bed.tell("rates", True)
                _print(name, count, _run(command), bed.calls(), bed.get("rates"))
                if given.calls:
                    print("     ", dict(bed.count()), flush=True)


def _has_peer(python: str) -> bool:
    return not subprocess.run(
        [python, "-c", "import dask_cloudprovider.aws"], capture_output=True, check=False
    ).returncode


def _print(
    name: str, count: int, told: dict[str, float], calls: list[dict], throttled: int
) -> None:
    before = [call for call in calls if call["time"] <= told["usable_at"]]
    figures = [f"{told[key]:.1f}" for key in ("usable", "closed", "cpu")]
    print(_FORM.format(name, count, len(before), len(calls), throttled, *figures), flush=True)


def _run(words: list[str]) -> dict[str, float]:
    done = subprocess.run(words, capture_output=True, text=True, timeout=1200, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[:4000])
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    return json.loads(lines[-1])  # type: ignore[no-any-return]


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
