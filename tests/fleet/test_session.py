"""A provider that returns a fleet is all a session needs: a workflow runs on it from end to end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROVIDER = """\
import attrs
from pathlib import Path
from scalable_core.hookspecs import hookimpl
from scalable_core.types import CostEstimate, CostLine, option

SCALABLE_PLUGIN_API = 1

@attrs.frozen(kw_only=True)
class Options:
    n_workers: int = option(default=1, minimum=1, help="Number of workers.")
    min_workers: int = option(default=1, minimum=1, help="Number without which nothing is done.")
    room: int = option(default=99, minimum=0, help="Workers that the service has.")
    stuck: bool = option(default=False, help="Nothing can be removed in the end.")

@hookimpl
def target_options():
    return Options

@hookimpl
def estimate_cost(plan):
    return CostEstimate(provider="acme", lines=(CostLine(item="Compute", unit="h"),))

@hookimpl
def provision_cluster(plan, context):
    from scalable_core.cluster.fleet import FleetCluster
    from scalable_core.testing import SubprocessLauncher

    def note(call):
        with (context.workdir / "calls").open("a") as file:
            file.write(call + "\\n")

    room = {"on-demand": plan.target.options.room}
    launcher = SubprocessLauncher(context.run_dir / "service", capacity=room, on_call=note)
    if plan.target.options.stuck:
        from scalable_core.errors import ClusterError

        async def close(end=launcher.close):
            await end()
            raise ClusterError("the service does not answer", cure="look at the network")

        launcher.close = close
    return FleetCluster(plan, launcher, context, patience=1.0)
"""

MANIFEST = """\
version: 1
project: {name: study}
targets:
  acme: {provider: acme, n_workers: 2}
  scarce: {provider: acme, n_workers: 4, min_workers: 3, room: 2}
  stuck: {provider: acme, n_workers: 1, stuck: true}
components:
  small: {cpus: 1, memory: 512M, env: {SIZE: small}}
  large: {cpus: 1, memory: 512M, env: {SIZE: large}, preload_script: hello.py}
tasks:
  sow: {component: small, cache: true}
  reap: {component: large, timeout: 60s, cache: true}
"""

WORKFLOW = """\
import os
from beside import double
from scalable import ScalableSession

def sow(x):
    return double(x), os.environ["SIZE"]

def reap(pairs):
    import hello_here
    return sum(number for number, size in pairs if size == "small"), os.environ["SIZE"], hello_here.WORD

if __name__ == "__main__":
    with ScalableSession.from_yaml("./scalable.yaml") as client:
        sown = client.map(sow, range(10), task="sow")
        print("RESULT", client.submit(reap, sown, task="reap").result(timeout=120))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a manifest, a workflow, a module beside it, and a provider that is installed."""
    info = tmp_path / "installed" / "acme_scalable-0.3.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-scalable\nVersion: 0.3.0\n")
    (info / "entry_points.txt").write_text("[scalable.providers]\nacme = acme_scalable\n")
    (tmp_path / "installed" / "acme_scalable.py").write_text(PROVIDER)
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "scalable.yaml").write_text(MANIFEST)
    (folder / "workflow.py").write_text(WORKFLOW)
    (folder / "beside.py").write_text("def double(x):\n    return 2 * x\n")
    (folder / "hello.py").write_text(
        "import sys, types\n"
        "sys.modules['hello_here'] = types.SimpleNamespace(WORD='preloaded')\n"
    )  # fmt: skip
    return folder


def _start(project: Path, target: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "scalable", "run", "--target", target, "--yes"],
        cwd=project,
        env={
            "PYTHONPATH": str(project.parent / "installed"),
            "PATH": "/usr/bin:/bin",
            "SCALABLE_CACHE_REMOTE": (project / "shared").as_uri(),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _run(project: Path, target: str) -> tuple[int, str, str]:
    process = _start(project, target)
    out, err = process.communicate(timeout=200)
    return process.returncode, out, err


def _ledger(run: Path) -> list[str]:
    return [json.loads(line)["what"] for line in (run / "ledger.jsonl").read_text().splitlines()]


def _processes_of(run: Path) -> list[int]:
    """Members of a run that are alive, by the folder on their command line."""
    import psutil

    service = str(run / "service")
    return [p.pid for p in psutil.process_iter(["cmdline"]) if service in str(p.info["cmdline"])]


def test_a_workflow_runs_on_a_fleet_from_end_to_end(project: Path) -> None:
    """Code travels, tasks find their component, records are whole, and nothing is left."""
    code, out, err = _run(project, "acme")

    assert code == 0, out + err
    assert "RESULT (90, 'large', 'preloaded')" in out
    (run,) = (project / ".scalable" / "runs").glob("run-*")
    record = json.loads((run / "run.json").read_text())
    assert (record["status"], record["tasks"]["done"]) == ("done", 11)
    workers = [json.loads(line) for line in (run / "workers.jsonl").read_text().splitlines()]
    assert {row["component"] for row in workers} == {"small", "large"}
    assert not any(row["event"] == "lost" for row in workers)
    cluster = json.loads((run / "cluster.json").read_text())
    assert (cluster["provider"], cluster["run"]) == ("loopback", run.name)
    lines = _ledger(run)
    assert lines.count("intend") == lines.count("gone") == 4
    assert "launch" in (project / "calls").read_text()


def test_a_run_whose_results_are_all_kept_launches_nothing(project: Path) -> None:
    """The second run calls the service not once, and its records say so."""
    assert _run(project, "acme")[0] == 0
    (project / "calls").unlink()
    (first,) = (project / ".scalable" / "runs").glob("run-*")

    code, out, err = _run(project, "acme")

    assert code == 0, out + err
    assert "RESULT (90, 'large', 'preloaded')" in out
    assert not (project / "calls").exists()
    (run,) = set((project / ".scalable" / "runs").glob("run-*")) - {first}
    record = json.loads((run / "run.json").read_text())
    assert (record["status"], record["tasks"]["cached"]) == ("done", 11)
    assert not (run / "cluster.json").exists()


def test_fewer_workers_than_the_least_end_the_run_with_one_sentence(project: Path) -> None:
    """Exit code 4: there is no capacity, and nothing is left."""
    code, out, err = _run(project, "scarce")

    assert code == 4, out + err
    assert "there are no more than 2 as on-demand" in err
    assert "Traceback" not in err
    (run,) = (project / ".scalable" / "runs").glob("run-*")
    lines = _ledger(run)
    assert lines.count("intend") == lines.count("gone")
    assert _processes_of(run) == []


def test_ctrl_c_while_members_are_launched_releases_all(project: Path) -> None:
    """130, and no process of a member outlives it."""
    process = _start(project, "acme")
    try:
        calls = project / "calls"
        end = time.monotonic() + 120
        while not (calls.exists() and calls.read_text().count("launch") >= 2):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end
            time.sleep(0.02)
        (run,) = (project / ".scalable" / "runs").glob("run-*")
        assert json.loads((run / "run.json").read_text())["status"] == "running"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()

    assert process.returncode == 130, out + err
    assert json.loads((run / "run.json").read_text())["status"] == "interrupted"
    lines = _ledger(run)
    assert 0 < lines.count("intend") == lines.count("gone")
    assert _processes_of(run) == []


@pytest.mark.parametrize("fails", [False, True])
def test_what_could_not_be_removed_is_told_whatever_else_went_wrong(
    project: Path, fails: bool
) -> None:
    """A workflow's own error does not hide that something may still cost money."""
    workflow = WORKFLOW.replace("double(x), ", "1 // (x - 3), ") if fails else WORKFLOW
    (project / "workflow.py").write_text(workflow)

    code, out, err = _run(project, "stuck")

    said = " ".join(err.split())
    assert code != 0, out + err
    (run,) = (project / ".scalable" / "runs").iterdir()
    assert f"what run {run.name} has started could not be removed: the service does not" in said
    assert f"look at the network; then: scalable down {run.name}" in said
    assert ("ZeroDivisionError" in said) is fails
