"""A fleet is held to a budget as workers of this machine are, its scheduler and its minimums included."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from paid_project import record_of, rows_of, runs_of, user_environment

PROVIDER = """\
import json
import os
import attrs
from scalable_core.hookspecs import hookimpl
from scalable_core.types import PriceSnapshot, ServiceProfile, option
from scalable_core.types.bill import billed_wall, billed_workers, forecast_of, priced, total
from scalable_core.types.prices import Price

SCALABLE_PLUGIN_API = 1
WORKER = Price(usd=36.0, low=36.0, high=36.0, as_of="2026-11-01", source="acme")
SPOT = 30.0
SCHEDULER = Price(usd=3.6, low=3.6, high=3.6, as_of="2026-11-01", source="acme")

@attrs.frozen(kw_only=True)
class Options:
    n_workers: int = option(default=1, minimum=1, help="Number of workers.")

@hookimpl
def target_options():
    return Options

@hookimpl
def service_profile():
    return ServiceProfile(boot=8.0, boot_high=16.0, billed_minimum=4.0, billed_step=1.0)

@hookimpl
def price_snapshot():
    return PriceSnapshot(provider="acme", id="acme-2026-11", rows=2, origin="bundled")

@hookimpl
def estimate_cost(plan):
    forecast = forecast_of(plan)
    lines = [priced("Instances", "h", billed_workers(forecast, g).hours, WORKER, component=g.name)
             for g in plan.groups]
    lines.append(priced("Scheduler", "h", billed_wall(forecast), SCHEDULER))
    return total("acme", "list prices", lines)

@hookimpl
def provision_cluster(plan, context):
    from scalable_core.cluster.fleet import FleetCluster
    from scalable_core.cluster.launcher import Offer
    from scalable_core.testing import SubprocessLauncher

    class Telling(FleetCluster):
        async def _end(self):
            await super()._end()
            (context.run_dir / "paid.json").write_text(json.dumps([
                {"since": w.since, "until": w.until, "price": w.price} for w in self.paid_workers()]))

    offers = (Offer(name="spot", capacity="spot", hourly=SPOT),)
    delay = float(os.environ.get("ACME_DELAY", "0"))
    launcher = SubprocessLauncher(context.run_dir / "service", offers=offers, delay=delay)
    return Telling(plan, launcher, context)
"""

MANIFEST = """\
version: 1
project: {name: study}
targets:
  acme: {provider: acme, n_workers: 2}
  crowd: {provider: acme, n_workers: 20}
components:
  model: {cpus: 1, memory: 512M}
tasks:
  simulate: {component: model, cache: true}
"""

WORKFLOW = """\
import time
from scalable import ScalableSession

def simulate(x):
    time.sleep(0.5)
    return x

if __name__ == "__main__":
    with ScalableSession.from_yaml("./scalable.yaml") as client:
        print("sum", sum(client.gather(client.map(simulate, range(120), task="simulate"))))
"""


@pytest.fixture
def fleet_environment(project: Path) -> dict[str, str]:
    """A project on a fleet of processes, each a cent a second and billed for 4 s at least."""
    installed = project / "installed"
    info = installed / "acme_scalable-0.3.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-scalable\nVersion: 0.3.0\n")
    (info / "entry_points.txt").write_text("[scalable.providers]\nacme = acme_scalable\n")
    (installed / "acme_scalable.py").write_text(PROVIDER)
    (project / "scalable.yaml").write_text(MANIFEST)
    (project / "workflow.py").write_text(WORKFLOW)
    shared = (project / "shared").as_uri()
    return {
        **user_environment(),
        "PYTHONPATH": str(installed),
        "SCALABLE_CACHE_REMOTE": shared,
    }


@pytest.mark.parametrize("shared", [True, False], ids=["shared", "alone"])
def test_a_fleet_is_stopped_by_its_budget(
    shared: bool, project: Path, fleet_environment: dict[str, str]
) -> None:
    """75, all that was done is kept, by its workers or by this process, and the service has nothing left."""
    if not shared:
        del fleet_environment["SCALABLE_CACHE_REMOTE"]
    done = subprocess.run(
        [sys.executable, "-m", "scalable", "run", "--target", "acme", "--yes", "--budget", "0.60"],
        cwd=project, env=fleet_environment, capture_output=True, text=True, timeout=180,
    )  # fmt: skip

    assert done.returncode == 75, done.stdout + done.stderr
    (folder,) = runs_of(project)
    record = record_of(folder)
    cost = record["cost"]
    assert 0 < cost["spent"] <= 0.60
    assert 0 < cost["kept"] == record["tasks"]["done"] == 120 - cost["left"] < 120
    assert cost["snapshot"] == "acme-2026-11"
    rows = rows_of(folder, "cost")
    assert {row["item"] for row in rows} == {"estimate", "workers", "shared"}
    assert sum(row["amount"] for row in rows) == pytest.approx(cost["spent"])
    ledger = [row["what"] for row in rows_of(folder, "ledger")]
    assert ledger.count("intend") == ledger.count("gone") == 4  # three members and a folder


def test_a_fleet_launches_no_more_than_its_budget_pays_and_pays_what_each_launch_cost(
    project: Path, fleet_environment: dict[str, str]
) -> None:
    """Twenty are wanted and a few can be paid; each is paid from its launch, at the price of spot."""
    done = subprocess.run(
        [sys.executable, "-m", "scalable", "run", "--target", "crowd", "--yes", "--budget", "0.60"],
        cwd=project, env=fleet_environment, capture_output=True, text=True, timeout=180,
    )  # fmt: skip

    assert done.returncode == 75, done.stdout + done.stderr
    (folder,) = runs_of(project)
    launches = json.loads((folder / "paid.json").read_text())
    # Thirteen seconds are for the boot and the release: 0.60 USD pay that for four of 0.01 USD/s, not for five.
    assert 1 <= len(launches) <= 4
    seconds = [max(math.ceil(each["until"] - each["since"]), 4) for each in launches]
    rows = [row for row in rows_of(folder, "cost") if row["item"] == "workers"]
    assert {row["price"] for row in rows} == {each["price"] for each in launches} == {30.0}
    assert sum(row["seconds"] for row in rows) == sum(seconds)
    assert sum(row["amount"] for row in rows) == pytest.approx(sum(seconds) * 30.0 / 3600)


def test_a_fleet_whose_scheduler_does_not_come_costs_no_more_than_the_budget(
    project: Path, fleet_environment: dict[str, str]
) -> None:
    """What is paid for while it boots counts too: the start is given up in time, and nothing is left."""
    done = subprocess.run(
        [sys.executable, "-m", "scalable", "run", "--target", "acme", "--yes", "--budget", "0.30"],
        cwd=project, env={**fleet_environment, "ACME_DELAY": "600"},
        capture_output=True, text=True, timeout=180,
    )  # fmt: skip

    assert done.returncode == 75, done.stdout + done.stderr
    assert "finishing would cost (the cluster was not there yet)" in done.stderr
    (folder,) = runs_of(project)
    record = record_of(folder)
    assert record["status"] == "stopped"
    assert 0 < record["cost"]["spent"] <= 0.30
    ledger = [row["what"] for row in rows_of(folder, "ledger")]
    assert ledger.count("intend") == ledger.count("gone") > 0
