"""A run with a budget ends in time, loses nothing that was paid for, and goes on later."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from paid_project import (
    CENT_A_SECOND,
    MANIFEST,
    most_workers,
    record_of,
    rows_of,
    runs_of,
    user_environment,
    worker_seconds,
)

#: Runs the workflow beside it with a budget, with less patience than a user needs.
DRIVE = """
import json, sys
from scalable_core.plugins import PluginHost
from scalable_core.session import governor
from scalable_core.session.driver import run_workflow
from scalable_core.session.planning import load, make_plan

governor.PATIENCE = 1.0
host = PluginHost()
plan = make_plan(load("scalable.yaml", target="local", host=host), host=host)
outcome = run_workflow(plan, host=host, budget=float(sys.argv[1]))
print(json.dumps([repr(outcome.error), [record.status for record in outcome.records]]))
"""


def drive(project: Path, budget: float) -> tuple[str, list[str]]:
    """Run the project's workflow; return the error and the status of each session."""
    done = subprocess.run(
        [sys.executable, "-c", DRIVE, str(budget)],
        cwd=project, env=user_environment(), capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    error, status = json.loads(done.stdout.splitlines()[-1])
    return error, status


def test_a_run_stops_at_its_budget_and_the_next_does_only_the_rest(project: Path, scalable) -> None:
    """It ends by itself with 75 below the budget, leaves no process, and every finished call is kept."""
    stopped = scalable("run", "--yes", "--budget", "0.22", "--", "40", "0.4")

    assert stopped.returncode == 75, stopped.stderr
    assert stopped.stdout == ""
    (folder,) = runs_of(project)
    record = record_of(folder)
    cost, done = record["cost"], record["tasks"]["done"]
    assert record["status"] == "stopped"
    assert 0 < cost["spent"] <= 0.22
    assert 0 < done < 40 == record["tasks"]["total"]
    assert (record["tasks"]["failed"], cost["kept"], cost["left"]) == (0, done, 40 - done)
    assert not [r["pid"] for r in rows_of(folder, "workers") if psutil.pid_exists(r.get("pid", -1))]
    assert not rows_of(folder, "failures")
    assert "Traceback" not in stopped.stderr
    *_, verdict, reached, kept, resume = stopped.stderr.splitlines()
    assert verdict.startswith(
        f"stopped by the budget, everything released: {done} of 40 tasks done"
    )
    assert reached.startswith("! budget reached: spent $0.")
    assert " of $0.22; finishing would cost about $0." in reached
    assert kept == f"  kept {done} results, released 2 workers"
    words = resume.removeprefix("  resume: scalable ").split()
    assert words[:3] == ["run", "--target", "local"]
    calls = (project / "calls.txt").read_text().split()
    assert len(calls) == done

    resumed = scalable(*words[:-2], "--yes", "--budget", "20")

    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout == f"sum {sum(range(40))}\n"
    assert sorted(map(int, (project / "calls.txt").read_text().split())) == list(range(40))
    rest = record_of(runs_of(project)[1])
    assert rest["resumed"] == record["run"]
    assert rest["tasks"] == {"total": 40 - done, "done": 40 - done, "failed": 0, "cached": done}
    assert rest["cost"]["budget"] == 20


def test_what_is_written_down_is_worker_seconds_times_price(project: Path, scalable) -> None:
    """A second of a worker is a cent; rows, record and report agree with the seconds of workers.jsonl."""
    assert scalable("run", "--yes", "--", "8", "0.1").returncode == 0

    (folder,) = runs_of(project)
    rows = rows_of(folder, "cost")
    spent = sum(row["amount"] for row in rows)
    assert rows[0]["item"] == "estimate"
    assert {(row["item"], row["component"], row["price"]) for row in rows[1:]} == {
        ("workers", "model", 36.0)
    }
    assert spent == pytest.approx(worker_seconds(folder) * CENT_A_SECOND, rel=1e-6)
    assert spent == pytest.approx(rows[-1]["spent"]) == record_of(folder)["cost"]["spent"]
    report = json.loads(scalable("report", "--format", "json").stdout)
    assert report["summary"]["cost"]["spent"] == pytest.approx(spent)
    assert report["summary"]["cost"]["worker_hours"] * 3600 == pytest.approx(worker_seconds(folder))


def test_a_killed_run_says_what_it_had_spent(project: Path, scalable) -> None:
    """What was written before the kill can be read, a torn last line or not, and is counted as spent."""
    process = subprocess.Popen(
        [sys.executable, "-m", "scalable", "run", "--yes", "--", "400", "0.2"],
        cwd=project, env=user_environment(), start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not any(rows_of(folder, "cost")[2:] for folder in runs_of(project)):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.1)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=60)
    psutil.wait_procs(children, timeout=60)
    (folder,) = runs_of(project)
    spent = sum(row["amount"] for row in rows_of(folder, "cost"))
    with (folder / "cost.jsonl").open("a") as file:
        file.write('{"time":1.0,"item":"wor')

    report = json.loads(scalable("report", "--format", "json").stdout)

    assert report["run"]["status"] == "interrupted"
    assert report["summary"]["cost"]["spent"] == pytest.approx(spent)
    assert spent > 0
    assert not [child for child in children if child.is_running()]


def test_a_budget_that_cannot_be_kept_is_refused(project: Path, scalable) -> None:
    """On a cluster without prices nobody can say what is spent: exit code 2, unless that is allowed."""
    manifest = (project / "scalable.yaml").read_text()
    other = "  far: {provider: kubernetes, image: 'python:3.11'}\ncomponents:"
    (project / "scalable.yaml").write_text(manifest.replace("components:", other))

    refused = scalable("run", "--target", "far", "--yes", "--budget", "5", "--dry-run")
    allowed = scalable("run", "--target", "far", "--budget", "5", "--allow-unpriced", "--dry-run")

    assert refused.returncode == 2
    assert "no price is known for Compute, Memory" in refused.stderr
    assert "--allow-unpriced" in refused.stderr
    assert allowed.returncode == 0, allowed.stderr


@pytest.mark.parametrize(("budget", "most"), [("0.11", 2), ("50", 6)])
def test_an_adaptive_run_grows_as_far_as_its_budget_allows(
    budget: str, most: int, project: Path, scalable
) -> None:
    """A worker must be able to boot and to end: 4 s at a cent a second, so 0.11 USD pay for two of six."""
    text = "processes: false, adaptive: {minimum: 0, maximum: 6}"
    (project / "scalable.yaml").write_text(MANIFEST % text)
    calls = ("60", "0.2") if most == 6 else ("60", "0.6")

    done = scalable("run", "--yes", "--budget", budget, "--", *calls)

    (folder,) = runs_of(project)
    assert done.returncode == (0 if most == 6 else 75), done.stderr
    assert most_workers(folder) == most
    assert record_of(folder)["cost"]["spent"] <= float(budget)


def test_a_budget_for_nothing_at_all_starts_nothing(project: Path, scalable) -> None:
    """What does not pay for one worker ends the run before any is there."""
    done = scalable("run", "--yes", "--budget", "0.001", "--", "4", "0.1")

    (folder,) = runs_of(project)
    assert done.returncode == 75, done.stderr
    assert not rows_of(folder, "workers")
    assert record_of(folder)["cost"]["spent"] == 0


def test_a_budget_below_the_estimate_is_said_before_the_start(project: Path, scalable) -> None:
    """72 USD are expected for an hour; where nobody can be asked the answer must have been given."""
    asked = scalable("run", "--budget", "1", "--", "1", "0")
    agreed = scalable("run", "--yes", "--budget", "1", "--", "1", "0")

    assert asked.returncode == 2
    assert "Expected $72.00. Budget $1.00." in asked.stderr
    assert not asked.stdout
    assert agreed.returncode == 0, agreed.stderr
    assert "the budget is below what the run is expected to cost" in agreed.stderr


def test_a_workflow_that_hides_the_stop_is_stopped_all_the_same(project: Path) -> None:
    """Calls that it submits later end with the same reason, and the run is not taken for done."""
    (project / "workflow.py").write_text(
        "import time\n"
        "from scalable import ScalableSession\n"
        "with ScalableSession.from_yaml() as client:\n"
        "    futures = client.map(time.sleep, [0.2 + i / 1e6 for i in range(90)], task='simulate')\n"
        "    client.gather(futures, errors='skip')\n"
        "    late = client.submit(time.sleep, 0.25)\n"
        "    open('late', 'w').write(repr(late.exception(timeout=60)))\n"
    )
    (project / "scalable.yaml").write_text(MANIFEST % "max_workers: 2, processes: false")
    error, status = drive(project, 0.11)

    assert error.startswith("BudgetReachedError('budget reached: spent $0.")
    assert status == ["stopped"]
    assert (project / "late").read_text().startswith("BudgetReachedError('budget reached")


def test_a_workflow_that_goes_on_does_not_keep_its_workers(project: Path) -> None:
    """It has its own things to do after the stop; the cluster is closed meanwhile."""
    (project / "workflow.py").write_text(
        "import time\n"
        "from scalable import ScalableSession\n"
        "with ScalableSession.from_yaml() as client:\n"
        "    futures = client.map(time.sleep, [0.2 + i / 1e6 for i in range(90)], task='simulate')\n"
        "    client.gather(futures, errors='skip')\n"
        "    deadline = time.monotonic() + 60\n"
        "    while client.cluster.status.name != 'closed' and time.monotonic() < deadline:\n"
        "        time.sleep(0.1)\n"
        "    open('seen', 'w').write(client.cluster.status.name)\n"
    )
    (project / "scalable.yaml").write_text(MANIFEST % "max_workers: 2, processes: false")
    error, status = drive(project, 0.11)

    assert (project / "seen").read_text() == "closed"
    assert (status, error.partition("(")[0]) == (["stopped"], "BudgetReachedError")


def test_a_cluster_that_is_paid_before_its_workers_arrive_is_counted_from_then(
    project: Path,
) -> None:
    """It tells of two launches at a dollar a second each since before the start: no call starts any more."""
    (project / "workflow.py").write_text(
        "import time\n"
        "from scalable import ScalableSession\n"
        "from scalable_core.types import PaidWorker\n"
        "from scalable_local.cluster import LocalCluster\n"
        "since = time.time() - 10\n"
        "LocalCluster.paid_workers = lambda self: [\n"
        "    PaidWorker(name=n, component='model', since=since, price=3600.0) for n in 'ab']\n"
        "with ScalableSession.from_yaml() as client:\n"
        "    client.gather(client.map(time.sleep, [0.1, 0.2], task='simulate'))\n"
    )
    (project / "scalable.yaml").write_text(MANIFEST % "max_workers: 2, processes: false")
    error, status = drive(project, 15.0)

    (folder,) = runs_of(project)
    assert (status, error.partition(";")[0][:44]) == (
        ["stopped"], "BudgetReachedError('budget reached: spent $2",
    )  # fmt: skip
    assert record_of(folder)["tasks"]["done"] == 0
    assert record_of(folder)["cost"]["spent"] >= 20.0


def test_sessions_of_one_workflow_share_the_budget(project: Path) -> None:
    """The second has what the first has left, and both together stay below."""
    (project / "scalable.yaml").write_text(MANIFEST % "max_workers: 1")
    (project / "workflow.py").write_text(
        "import time\n"
        "from scalable import ScalableSession\n"
        "for number in range(2):\n"
        "    with ScalableSession.from_yaml() as client:\n"
        "        client.submit(time.sleep, 2 + 60 * number).result()\n"
    )
    error, status = drive(project, 0.07)

    first, second = runs_of(project)
    assert status == ["done", "stopped"]
    assert error.startswith("BudgetReachedError('budget reached")
    spent = [record_of(folder)["cost"]["spent"] for folder in (first, second)]
    assert spent[0] >= 0.02
    assert sum(spent) <= 0.07


def test_a_session_in_python_may_have_a_budget(project: Path) -> None:
    """`start(budget=)` ends calls with the error that says how to go on, without a command line."""
    (project / "scalable.yaml").write_text(MANIFEST % "max_workers: 2, processes: false")
    code = (
        "import time\n"
        "from scalable import BudgetReachedError, ScalableSession\n"
        "session = ScalableSession.from_yaml()\n"
        "client = session.start(budget=0.11)\n"
        "futures = client.map(time.sleep, [0.2 + i / 1e6 for i in range(90)], task='simulate')\n"
        "try:\n"
        "    client.gather(futures)\n"
        "except BudgetReachedError as error:\n"
        "    print(error)\n"
        "    session.close(error)\n"
        "print(session.record.status, session.spent <= 0.11)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project, env=user_environment(), capture_output=True, text=True, timeout=180,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    error, cure, end = done.stdout.splitlines()
    assert error.startswith("budget reached: spent $0.")
    assert f"scalable run --resume {runs_of(project)[0].name}" in cure
    assert end == "stopped True"
