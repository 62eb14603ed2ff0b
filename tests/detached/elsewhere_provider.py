"""A provider whose members are processes that know nothing of the folder of who started them.

What the service has is below the folder that ``ELSEWHERE`` names: one folder for each run, in which its driver
works and keeps what its workers need. Each process there is a member, and who looks for members looks there.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import attrs
import psutil

from scalable_core.hookspecs import hookimpl
from scalable_core.types import (
    ClusterRecord,
    CostEstimate,
    CostLine,
    ReleaseReport,
    Resource,
    option,
)

SCALABLE_PLUGIN_API = 1
#: What of this machine a container has too.
_KNOWN = ("PATH", "HOME", "PYTHONPATH", "PYTHONUTF8", "LANG", "OMP_NUM_THREADS")


@attrs.frozen(kw_only=True)
class Options:
    """Of a target."""

    n_workers: int = option(default=2, minimum=1, help="Number of workers.")
    max_lifetime: float = option(default=600.0, quantity="duration", help="The hard limit.")
    idle_timeout: float = option(default=300.0, quantity="duration", help="Without work.")


@hookimpl
def target_options():
    """Describe a target."""
    return Options


@hookimpl
def estimate_cost(plan):
    """Know no price."""
    return CostEstimate(provider="elsewhere", lines=(CostLine(item="Compute", unit="h"),))


@hookimpl
def provision_cluster(plan, context):
    """Start workers as processes; for a detached run, the scheduler in this one."""
    from scalable_core.cluster.fleet import FleetCluster
    from scalable_core.testing import SubprocessLauncher

    launcher = SubprocessLauncher(context.run_dir / "service")
    launcher.provider = "elsewhere"
    host = "127.0.0.1" if plan.detached else None
    return FleetCluster(plan, launcher, context, driver_host=host, patience=1.0)


@hookimpl
def start_driver(plan, bundle, context):
    """Start the driver in a folder of its own, with what a container would have."""
    home = Path(os.environ["ELSEWHERE"]) / context.run
    home.mkdir(parents=True)
    cloud = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    known = {name: os.environ[name] for name in _KNOWN if name in os.environ}
    with (home / "output").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *bundle.command],
            cwd=home,
            env={**known, **cloud, **context.secrets()},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    return ClusterRecord(
        provider="elsewhere",
        run=context.run,
        project=plan.project.name,
        target=plan.target.name,
        created="",
        resources=(Resource(kind="process", id=str(process.pid), run=context.run),),
    )


@hookimpl
def find_resources(target, run, context):
    """Look for processes in the folders of the service."""
    home = Path(os.environ["ELSEWHERE"])
    found = []
    for process in psutil.process_iter():
        try:
            place = Path(process.cwd())
            if place.is_relative_to(home) and process.status() != psutil.STATUS_ZOMBIE:
                owner = place.relative_to(home).parts[0]
                if run in (None, owner):
                    found.append(Resource(kind="process", id=str(process.pid), run=owner))
        except (psutil.Error, OSError):
            continue
    return tuple(found)


@hookimpl
def release_cluster(record, context):
    """End all processes of a run, the driver first."""
    left = find_resources(None, record.run, context)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for each in left:
            try:
                os.kill(int(each.id), number)
            except ProcessLookupError:
                pass
        end = time.monotonic() + 30
        while (left := find_resources(None, record.run, context)) and time.monotonic() < end:
            time.sleep(0.2)
    return ReleaseReport(provider="elsewhere", released=record.resources, remaining=left)
