"""What a run will cost is said before anything is spent, and the user is asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROVIDER = """\
from pathlib import Path

import attrs
from scalable_core.errors import ClusterError
from scalable_core.hookspecs import hookimpl
from scalable_core.types import CostEstimate, CostLine, ServiceProfile

SCALABLE_PLUGIN_API = 1
PRICE = {price}

@attrs.frozen(kw_only=True)
class Options:
    region: str = "us-east-1"
    n_workers: int = 10

@hookimpl
def target_options():
    return Options

@hookimpl
def service_profile():
    return ServiceProfile(boot=0.0, boot_high=0.0)

@hookimpl
def estimate_cost(plan):
    (group,) = plan.groups
    known = plan.forecast.groups[group.name]
    hours = known.worker_hours * group.cpus
    amount = None if PRICE is None else hours * PRICE
    note = f"{{known.workers}} workers x {{group.cpus:g}} vCPU x {{plan.forecast.wall_hours:g}} h"
    line = CostLine(item="Compute", component=group.name, quantity=hours, unit="vCPU-h",
                    unit_price=PRICE, amount=amount, note=note)
    kept = plan.forecast.output_bytes
    store = () if kept is None else (CostLine(
        item="Storage", quantity=kept / 2**30, unit="GB-month", unit_price=0.02,
        amount=kept / 2**30 * 0.02, monthly=True),)
    scale = None if PRICE is None else group.cpus * PRICE
    return CostEstimate(
        provider="acme", expected=amount, as_of="2026-11-20", basis="list prices",
        low=scale and known.low * scale, high=scale and known.high * scale,
        monthly=store[0].amount if store else None, lines=(line, *store))

@hookimpl
def provision_cluster(plan):
    Path("provisioned").touch()
    raise ClusterError("the door is shut")
"""


@pytest.fixture
def acme(project: Path):
    """Make a provider with one price the only target's; return the environment that it needs."""

    def write(price: float | None = 0.04048, expect: str = "") -> dict[str, str]:
        info = project / "acme_scalable-0.3.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            "Metadata-Version: 2.1\nName: acme-scalable\nVersion: 0.3.0\n"
        )
        (info / "entry_points.txt").write_text("[scalable.providers]\nacme = acme_scalable\n")
        (project / "acme_scalable.py").write_text(PROVIDER.format(price=price))
        manifest = (project / "scalable.yaml").read_text()
        target = "  local: {provider: local, max_workers: 2, processes: false}"
        manifest = manifest.replace(target, "  acme: {provider: acme}")
        manifest = manifest.replace("cpus: 1,", "cpus: 4,")
        manifest = manifest.replace("{component: model}", f"{{component: model{expect}}}")
        (project / "scalable.yaml").write_text(manifest)
        return {"PYTHONPATH": str(project)}

    return write


def on_a_terminal(project: Path, env: dict[str, str], typed: str) -> tuple[int, str]:
    """Run on a terminal of its own and answer the question; return the exit code and what was written."""
    master, slave = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "scalable", "run"],
        cwd=project, env=env, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    written, answered = b"", False
    while True:
        try:
            piece = os.read(master, 4096)
        except OSError:  # the last process has closed it
            break
        if not piece:
            break
        written += piece
        if b"[y/N]" in written and not answered:
            answered = True
            os.write(master, typed.encode())
    os.close(master)
    return process.wait(timeout=120), written.decode().replace("\r\n", "\n")


def test_an_estimate_for_the_hours_asked(acme, scalable) -> None:
    """10 workers x 4 vCPU x 2 h x 0.04048 = 3.2384; 50 GB x 0.02 = 1.00 a month."""
    done = scalable("plan", "--hours", "2", "--output-size", "50GB", "--dry-run", **acme())

    assert done.returncode == 0, done.stderr
    assert done.stdout.partition("Cost Estimate")[2].partition("\n\n")[0] == (
        " for target 'acme':\n"
        "  Compute: $3.24 (10 workers x 4 vCPU x 2h x $0.04048/vCPU-h)\n"
        "  Storage: $1.00/month (50 GB-month x $0.02/GB-month)\n"
        "  Total:   ~$3.24 one-time + $1.00/month (storage)\n"
        "  Prices:  list, snapshot 2026-11-20, us-east-1, offline\n"
        "  Basis:   2 h as asked; 2h00m from start to end"
    )


def test_an_estimate_for_programs(acme, scalable) -> None:
    """Amounts are numbers; what is not priced is named."""
    done = scalable("plan", "--hours", "2", "--output-size", "50GB", "--json", **acme())

    document = json.loads(done.stdout)
    cost = document["cost"]
    assert cost["expected"] == cost["low"] == cost["high"] == pytest.approx(3.2384)
    assert (cost["currency"], cost["monthly"], cost["as_of"]) == ("USD", 1.0, "2026-11-20")
    assert (cost["unpriced"], cost["basis"]) == ([], "list prices")
    assert cost["lines"][0]["unit"] == "vCPU-h"
    assert document["forecast"]["groups"]["model"]["worker_hours"] == 20
    assert document["forecast"]["output_bytes"] == 50 * 2**30


def test_a_dry_run_prints_the_same_estimate(acme, scalable) -> None:
    """With nothing known it is for one hour: 10 x 4 x 1 x 0.04048 = 1.62."""
    env = acme()
    planned, ran = scalable("plan", **env), scalable("run", "--dry-run", **env)

    estimate = planned.stdout.partition("Cost Estimate")[2].partition("\n\n")[0]
    assert "~$1.62 one-time" in estimate
    assert "1 h assumed: no history" in estimate
    assert estimate in ran.stdout


def test_what_the_manifest_expects_has_a_band(acme, scalable) -> None:
    """400 calls of 36 s on 40 threads are 6 minutes; nobody knows that exactly."""
    done = scalable("plan", **acme(expect=", expect: {count: 400, duration: 36s, output: 1G}"))

    assert "(p10-p90 $" in done.stdout
    assert "$8.00/month (storage)" in done.stdout
    assert "expect of simulate; " in done.stdout


def test_the_next_run_is_estimated_from_the_last(project: Path, scalable) -> None:
    """What a run has recorded is the basis of the next plan, on another target too."""
    assert scalable("plan", "--json").stdout.count("no history") == 1
    assert scalable("run", "-q").returncode == 0

    forecast = json.loads(scalable("plan", "--json").stdout)["forecast"]
    assert forecast["basis"] == "history: 1 run on local"

    manifest = (project / "scalable.yaml").read_text()
    other = manifest.replace("  local:", "  other: {provider: local}\n  local:")
    (project / "scalable.yaml").write_text(other)
    forecast = json.loads(scalable("plan", "--target", "other", "--json").stdout)["forecast"]
    assert forecast["basis"] == "history: 1 run on local, none on other"


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--hours", "0"], "must be above 0"),
        (["--hours", "nan"], "must be at least 0"),
        (["--hours", "soon"], "'soon' is not a duration"),
        (["--output-size", "50"], "write for example 50G"),
        (["--output-size", "much"], "'much' is not a size"),
    ],
)
def test_what_is_no_time_or_size_is_a_sentence(
    option: list[str], said: str, project: Path, scalable
) -> None:
    """Exit code 2, and how to write it."""
    done = scalable("plan", *option)

    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.parametrize("price", [0.04048, None], ids=["priced", "unknown"])
@pytest.mark.parametrize("more", [[], ["--json"], ["-q"]], ids=" ".join)
def test_without_a_terminal_and_without_yes_nothing_is_spent(
    price: float | None, more: list[str], acme, scalable, project: Path
) -> None:
    """Exit code 2 instead of a question that nobody reads; the amount and the cure are said."""
    done = scalable("run", *more, **acme(price))

    assert done.returncode == 2
    assert ("Expected $1.62" if price else "Cost unknown: 1 line not priced") in done.stderr
    assert "--yes" in done.stderr
    assert not (project / "provisioned").exists()
    assert not (project / ".scalable" / "runs").exists()


def test_yes_is_an_answer(acme, scalable, project: Path) -> None:
    """The provider is asked for a cluster; that it has none is another matter."""
    done = scalable("run", "--yes", **acme())

    assert done.returncode == 3
    assert (project / "provisioned").exists()


@pytest.mark.parametrize(("typed", "goes_on"), [("y\n", True), ("\n", False), ("\x04", False)])
def test_on_a_terminal_the_user_is_asked(
    typed: str, goes_on: bool, acme, project: Path, user_environment: dict[str, str]
) -> None:
    """The amount stands in the question; only a yes goes on, and all else has created nothing."""
    code, written = on_a_terminal(project, {**user_environment, "TERM": "dumb", **acme()}, typed)

    assert "About to start 10 workers on acme. Expected $1.62" in written
    assert "Proceed? [y/N]" in written
    assert code == (3 if goes_on else 130)
    assert (project / "provisioned").exists() == goes_on


def test_a_plan_with_a_hundred_runs_of_history_stays_light(project: Path, scalable) -> None:
    """It imports no distributed, opens no socket, and is made from the newest runs."""
    spread = {"count": 10, "p10": 1.0, "p50": 2.0, "p90": 3.0, "largest": 4.0, "total": 20.0}
    task = {
        "task": "simulate", "component": "model", "calls": 10, "retried": 0, "duration": spread,
        "result": None,
    }  # fmt: skip
    for number in range(100):
        folder = project / ".scalable" / "runs" / f"run-20261124-{number:06d}-calm-otter-0000"
        folder.mkdir(parents=True)
        record = {"schema": "scalable.run/1", "status": "done", "target": "local"}
        (folder / "run.json").write_text(json.dumps(record))
        (folder / "summary.json").write_text(json.dumps({"tasks": [task]}))
    code = (
        "import socket, sys\n"
        "def refuse(*arguments, **more): raise AssertionError('a socket')\n"
        "socket.socket = refuse\n"
        "from scalable_core.cli.app import run\n"
        "code = run(['plan', '--dry-run', '--json'])\n"
        "heavy = {'distributed', 'dask', 'numpy', 'pandas'} & set(sys.modules)\n"
        "sys.exit(code or ' '.join(heavy) or 0)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project, capture_output=True, text=True, timeout=120
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["forecast"]["basis"] == "history: 5 runs on local"
