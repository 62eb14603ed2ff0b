"""The `slurm` provider against a Slurm whose daemons run on this machine."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from workbench import EXAMPLES, Run, environment

TARGET = """
  campus:
    provider: slurm
    queue: debug
    interface: lo
    walltime: 30m
    poll: 1s
    price: {core_hour: 0.03}
    worker_mem: 700M
"""

MANIFEST = f"""\
version: 1
project: {{name: study}}
targets:{TARGET}
    SIZE
components:
  big: {{cpus: 2, env: {{HELD: "${{KEY:-none}}"}}}}
  small: {{cpus: 1}}
tasks:
  heavy: {{component: big}}
  light: {{component: small}}
"""

WORKFLOW = """\
import os, time
from scalable import ScalableSession

def where(call, seconds=0.0):
    from distributed import get_worker
    time.sleep(seconds)
    return get_worker().name, os.environ["SLURM_JOB_NAME"], os.environ.get("HELD")

def main():
    with ScalableSession.from_yaml("scalable.yaml") as client:
BODY

if __name__ == "__main__":
    main()
"""


@pytest.fixture
def squeue(slurm: dict[str, str]) -> Iterator[Callable[[str], list[str]]]:
    """Return a column of the queue; whatever a test leaves there is cancelled after it."""
    environ = {**os.environ, **slurm}

    def ask(column: str) -> list[str]:
        # Without those that are over, and whose nodes Slurm still tidies up.
        command = ["squeue", "--noheader", "--states=PENDING,RUNNING", f"--format={column}"]
        return subprocess.run(
            command, env=environ, capture_output=True, text=True, check=True
        ).stdout.split()

    yield ask
    for job in ask("%i"):
        subprocess.run(["scancel", job], env=environ, check=False)


def write(folder: Path, body: str, size: str = "n_workers: 2") -> None:
    (folder / "scalable.yaml").write_text(MANIFEST.replace("SIZE", size))
    lines = "\n".join(f"        {line}" for line in body.splitlines())
    (folder / "workflow.py").write_text(WORKFLOW.replace("BODY", lines))


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "nothing has happened for two minutes"
        time.sleep(0.1)


def start(folder: Path, plugins: Path, slurm: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [Path(sys.executable).with_name("scalable"), "run", "--target", "campus", "--yes"],
        cwd=folder,
        env=environment(plugins, **slurm),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def record(folder: Path) -> dict[str, object]:
    (path,) = (folder / ".scalable" / "runs").glob("*/run.json")
    return json.loads(path.read_text())


def events(folder: Path, kind: str) -> list[str]:
    (path,) = (folder / ".scalable" / "runs").glob("*/events.jsonl")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [row["message"] for row in rows if row["kind"] == kind]


def test_the_solar_example_survives_the_loss_of_a_job(
    tmp_path: Path, plugins: Path, slurm: dict[str, str], squeue
) -> None:
    """Four jobs compute all 640 scenarios although one is cancelled under way, and the queue is empty then."""
    pytest.importorskip("pvlib", reason="needs examples/solar/requirements.txt")
    folder = tmp_path / "solar"
    ignored = shutil.ignore_patterns("results", ".scalable")
    shutil.copytree(EXAMPLES / "solar", folder, ignore=ignored)
    manifest = folder / "scalable.yaml"
    there = manifest.read_text()
    assert "targets:\n" in there
    manifest.write_text(there.replace("targets:\n", f"targets:{TARGET}    n_workers: 4\n"))

    process = start(folder, plugins, slurm)
    wait_for(lambda: squeue("%T") == ["RUNNING"] * 4, process)
    rows = folder / ".scalable" / "runs"
    wait_for(lambda: sum(p.stat().st_size for p in rows.glob("*/tasks.jsonl")), process)
    lost = squeue("%i")[0]
    subprocess.run(["scancel", lost], env={**os.environ, **slurm}, check=True)
    said, _ = process.communicate(timeout=240)

    assert process.returncode == 0, said
    table = list(csv.DictReader((folder / "results" / "yields.csv").open()))
    assert len(table) == 640
    assert record(folder)["tasks"]["done"] == 640
    assert record(folder)["workers"]["lost"] >= 1
    assert squeue("%i") == []


def test_calls_run_on_jobs_of_their_component_with_its_environment(
    tmp_path: Path, scalable: Run, slurm: dict[str, str], squeue
) -> None:
    """Each call finds its component's workers; a secret gets there, and into no file that the run writes."""
    body = (
        "heavy = client.gather(client.map(where, range(6), task='heavy'))\n"
        "light = client.gather(client.map(where, range(6), tag='small'))\n"
        "import json; print('SAID', json.dumps([heavy, light]))"
    )
    write(tmp_path, body)
    said = scalable("run", "--yes", **slurm, KEY="hush-7391").stdout
    heavy, light = json.loads(said.partition("SAID ")[2].splitlines()[0])
    run = record(tmp_path)["run"]
    assert {tuple(each) for each in heavy} == {("big-0", run, "hush-7391")}
    assert {tuple(each) for each in light} == {("small-0", run, None)}
    kept = [path for path in (tmp_path / ".scalable").rglob("*") if path.is_file()]
    assert [path for path in kept if b"hush-7391" in path.read_bytes()] == []
    assert squeue("%i") == []


def test_a_lost_job_is_replaced_and_the_run_says_how_it_ended(
    tmp_path: Path, plugins: Path, slurm: dict[str, str], squeue
) -> None:
    """With its only worker cancelled, a component gets another one, and the call is done there."""
    write(tmp_path, "print('SAID', client.submit(where, 1, 6.0, task='light').result()[0])")
    process = start(tmp_path, plugins, slurm)
    logs = tmp_path / ".scalable" / "runs"
    wait_for(lambda: any("Registered" in p.read_text() for p in logs.glob("*/slurm/s*")), process)
    named = dict(zip(squeue("%o"), squeue("%i"), strict=True))
    (job,) = {p.stem.rpartition("-")[2] for p in logs.glob("*/slurm/small-0-*.log")}
    assert job in named.values()
    subprocess.run(["scancel", job], env={**os.environ, **slurm}, check=True)
    said, _ = process.communicate(timeout=200)
    assert process.returncode == 0, said
    assert "SAID small-0" in said
    assert [m for m in events(tmp_path, "worker.lost") if f"job {job} ended: CANCELLED" in m]


def test_workers_follow_the_work_of_each_component(
    tmp_path: Path, scalable: Run, slurm: dict[str, str], squeue
) -> None:
    """One worker at a time in all: the idle one of a component makes room for that of another."""
    body = (
        "print('FIRST', client.submit(where, 1, task='heavy').result()[0])\n"
        "print('SECOND', client.submit(where, 2, task='light').result()[0])"
    )
    write(tmp_path, body, "adaptive: {minimum: 0, maximum: 2}")
    manifest = tmp_path / "scalable.yaml"
    manifest.write_text(manifest.read_text().replace("maximum: 2", "maximum: 1"))
    said = scalable("run", "--yes", **slurm).stdout
    assert "FIRST big-0" in said
    assert "SECOND small-0" in said
    assert squeue("%i") == []


def test_what_a_killed_run_leaves_is_found_and_cancelled(
    tmp_path: Path, plugins: Path, scalable: Run, slurm: dict[str, str], squeue
) -> None:
    """After `kill -9` `status` shows the jobs, `logs` what they wrote, and `down` empties the queue."""
    write(tmp_path, "client.submit(where, 1, 300.0, task='heavy').result()")
    process = start(tmp_path, plugins, slurm)
    wait_for(lambda: squeue("%T") == ["RUNNING"] * 2, process)
    logs = tmp_path / ".scalable" / "runs"
    wait_for(lambda: any("Registered" in p.read_text() for p in logs.glob("*/slurm/b*")), process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    jobs = sorted(squeue("%i"))

    found = json.loads(scalable("status", "--json", "--target", "campus", **slurm).stdout)
    (run,) = found["runs"]
    ids = {each["id"] for each in run["resources"]}
    assert ids  # a worker without a scheduler ends by itself, sooner or later
    assert ids <= set(jobs)
    written = scalable("logs", run["run"], "--worker", "big-0", **slurm).stdout
    assert "Registered to" in written
    scalable("down", run["run"], "--yes", **slurm)
    assert squeue("%i") == []


def test_a_job_that_cannot_run_is_refused_before_the_run(
    tmp_path: Path, scalable: Run, slurm: dict[str, str], squeue
) -> None:
    """Slurm is asked whether it takes the jobs, and what it says reaches the user."""
    write(tmp_path, "client.submit(where, 1).result()", "n_workers: 1\n    account: nobody")
    manifest = tmp_path / "scalable.yaml"
    manifest.write_text(manifest.read_text().replace("queue: debug", "queue: nights"))
    said = scalable("run", "--yes", exit_code=3, **slurm)
    assert "invalid partition" in (said.stdout + said.stderr).lower()
    assert "E9103" in said.stdout + said.stderr


def test_a_job_that_never_becomes_a_worker_ends_the_run_with_its_words(
    tmp_path: Path, scalable: Run, slurm: dict[str, str], squeue
) -> None:
    """After three more attempts the run ends, and says what the job wrote."""
    wrong = "n_workers: 1\n    prologue: ['echo no such module: proj; exit 3']"
    write(tmp_path, "client.submit(where, 1, task='light').result()", wrong)
    said = scalable("run", "--yes", exit_code=3, **slurm)
    assert "no such module: proj" in said.stdout + said.stderr
    assert squeue("%i") == []
