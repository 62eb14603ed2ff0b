"""What a fleet on Kubernetes costs its driver: time, requests and CPU, against a plain loop over the same pods.

    python benchmarks/kubernetes_fleet.py [N ...] [--processes] [--ways fleet loop]

The API server, the scheduler and the controllers are real and on this machine; nodes are stand-ins. For each N
a driver of its own starts N workers in an empty namespace, waits for the first result and for all workers, and
closes. Workers are many in one process, so that this machine measures the driver and not them; with
``--processes`` each is a process of its own. CPU is what the driver has used after its imports.

The plain loop makes the same pods one after the other with the official client's own model classes, and then
asks for each pod by its name until it runs, as scripts do.

Taken once, on two cores that were not idle; requests are what another machine will count too.

    workers   way     first s   all s   requests until all   CPU s
          2   fleet       3.6     3.6                   23     0.2
          2   loop        1.8     1.8                   28     0.5
         20   fleet       3.9     3.9                   42     0.3
         20   loop        3.4     3.9                  156     0.6
        100   fleet       4.2    10.5                  146     0.8
        100   loop        3.7    10.3                 1198     3.2

Each pod is one request; the rest of a fleet's does not grow with the number of its workers, because one
watch follows all of them. dask-kubernetes 2026.3.0 could not be driven beside it: its custom resources are
accepted by Kubernetes 1.20, whose API server as it was built here ends on the first object of such a kind.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests" / "testbed" / "kubernetes"))

_FORM = "{:>5} {:>6} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}"
_HEAD = ("N", "way", "first s", "all s", "closed s", "requests", "in all", "CPU s")


def main() -> None:
    """Print one line for each N and way."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("workers", nargs="*", type=int, default=[2, 20, 100])
    words.add_argument("--processes", action="store_true", help="each worker is a process")
    words.add_argument("--ways", nargs="*", default=["fleet", "loop"])
    words.add_argument("--driver", nargs=5, help=argparse.SUPPRESS)
    given = words.parse_args()
    if given.driver is not None:
        way, count, namespace, config, processes = given.driver
        drive(way, int(count), namespace, config, processes == "True")
        return
    from kube_cluster import KubernetesCluster, find_programs

    programs = find_programs()
    if isinstance(programs, str):
        raise SystemExit(programs)
    nodes = {"n1": {"cpu": "400", "memory": "1024Gi"}}
    print(_FORM.format(*_HEAD))
    with (
        tempfile.TemporaryDirectory() as folder,
        KubernetesCluster(Path(folder), programs, nodes) as cluster,
    ):
        config = cluster.kubeconfig()
        for count in given.workers:
            for way in given.ways:
                namespace = cluster.make_namespace(f"b-{uuid.uuid4().hex[:8]}")
                told = _run(way, count, namespace, config, given.processes)
                print(_FORM.format(count, way, *told), flush=True)


def _run(way: str, count: int, namespace: str, config: Path, processes: bool) -> list[str]:
    words = [way, count, namespace, config, processes]
    done = subprocess.run(
        [sys.executable, __file__, "--driver", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=600,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    told = json.loads(done.stdout.splitlines()[-1])
    times = [f"{told[name]:.1f}" for name in ("first", "all", "closed")]
    return [*times, str(told["before"]), str(told["requests"]), f"{told['cpu']:.1f}"]


def drive(way: str, count: int, namespace: str, config: str, processes: bool) -> None:
    """Be the driver, and say what it took."""
    import kubernetes.client
    from distributed import Client

    from scalable_core.cluster.fleet import FleetCluster
    from scalable_core.types import HookContext, Plan, Project, Stores, Target, WorkerGroup
    from scalable_kubernetes.access import find_access
    from scalable_kubernetes.launcher import KubernetesLauncher
    from scalable_kubernetes.options import KubernetesOptions

    assert kubernetes.client
    logging.getLogger("distributed").setLevel(logging.ERROR)
    more = {} if processes else {"annotations": {"testbed/in-process": "yes"}}
    options = KubernetesOptions(namespace=namespace, kubeconfig=config, **more)
    group = WorkerGroup(
        name="work", cpus=1.0, memory=2**30, threads=1, minimum=0, maximum=count, image="python:3"
    )
    plan = Plan(
        project=Project(name="benchmark"),
        target=Target(name="there", provider="kubernetes", options=options),
        manifest="/nowhere/scalable.yaml",
        workflow="/nowhere/workflow.py",
        lock="sha256:0",
        groups=(group,),
        minimum=count,
        maximum=count,
        stores=Stores(records="/nowhere", artifacts="/nowhere", cache="/nowhere"),
    )
    with tempfile.TemporaryDirectory() as folder:
        launcher: Any = KubernetesLauncher
        launcher = _loop(launcher) if way == "loop" else launcher
        launcher = launcher(options, find_access(config, None, Path(folder)))
        context = HookContext(project="benchmark", run=f"run-{count}", run_dir=Path(folder))
        started, cpu = time.monotonic(), time.process_time()
        fleet = FleetCluster(plan, launcher, context, eager=True)
        client = Client(fleet)
        assert client.submit(abs, -1).result(timeout=300) == 1
        first = time.monotonic() - started
        client.wait_for_workers(count, timeout=300)
        everybody, before = time.monotonic() - started, launcher.api.requests
        assert client.gather(client.map(abs, range(-count, 0))) == list(range(count, 0, -1))
        began = time.monotonic()
        client.close()
        fleet.close()
        told = {
            "first": first,
            "all": everybody,
            "closed": time.monotonic() - began,
            "before": before,
            "requests": launcher.api.requests,
            "cpu": time.process_time() - cpu,
        }
        print(json.dumps(told))


def _loop(launcher: Any) -> Any:
    """Return a launcher that makes pods one by one and asks for each by its name."""
    from kubernetes.client import CoreV1Api

    from scalable_core.cluster.launcher import LaunchResult, Member
    from scalable_kubernetes.observe import observe
    from scalable_kubernetes.pods import pod

    class Loop(launcher):  # type: ignore[misc]
        _made: tuple[str, ...] = ()

        async def launch(self, group: Any, names: Sequence[str], offer: Any) -> LaunchResult:
            def make() -> None:
                core = CoreV1Api(self.api.client().client)
                for name in names:
                    self.api.requests += 1
                    body = pod(self._order, group, name, spot=False)
                    core.create_namespaced_pod(self.region, body)
                    self._made += (name,)

            await self.api.call(make)
            return LaunchResult(launched={name: name for name in names})

        async def poll(self) -> Sequence[Member]:
            def ask() -> list[Member]:
                core = CoreV1Api(self.api.client().client)
                self.api.requests += len(self._made)
                found = [core.read_namespaced_pod(name, self.region) for name in self._made]
                plain = [self.api.client().client.sanitize_for_serialization(p) for p in found]
                return [observe(each, now=time.time(), patience=300.0) for each in plain]

            return await self.api.call(ask)  # type: ignore[no-any-return]

    return Loop


if __name__ == "__main__":
    main()
