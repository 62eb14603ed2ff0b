"""A workflow file runs as __main__, and its functions reach worker processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

MANIFEST = """\
version: 1
project: {name: study}
targets:
  local: {provider: local, max_workers: 2, processes: %s}
  other: {provider: local, max_workers: 1, processes: false}
components:
  analysis: {cpus: 1, memory: 512M}
tasks:
  run_analysis: {component: analysis}
"""

#: Runs the workflow of a manifest as the command line does, and prints how it ended as JSON.
DRIVE = """
import json, sys
from pathlib import Path
from scalable_core.plugins import PluginHost
from scalable_core.session.driver import run_workflow
from scalable_core.session.planning import load, make_plan

class Sink:
    events = []
    def emit(self, event):
        self.events.append([event.kind, event.message])

host = PluginHost()
manifest = load(sys.argv[1], target=sys.argv[2], host=host)
outcome = run_workflow(make_plan(manifest, host=host), host=host, arguments=sys.argv[3:], sink=Sink())
print(json.dumps({
    "status": [record.status for record in outcome.records],
    "error": None if outcome.error is None else repr(outcome.error),
    "events": Sink.events,
}))
"""

WORKFLOW = """\
import os
import sys
from dataclasses import dataclass

from helper import double
from scalable import ScalableSession

OFFSET = 100

@dataclass
class Result:
    value: int
    pid: int

def analyse(x):
    return Result(double(x) + OFFSET, os.getpid())

session = ScalableSession.from_yaml("./scalable.yaml", target="local")
with session as client:
    results = client.gather([client.submit(analyse, i, task="run_analysis") for i in range(8)])
assert all(isinstance(result, Result) for result in results)
print([result.value for result in results], os.getpid() in {r.pid for r in results}, sys.argv[1:], flush=True)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a manifest for processes, a workflow without a main guard, and a helper module."""
    (tmp_path / "scalable.yaml").write_text(MANIFEST % "true")
    (tmp_path / "helper.py").write_text("def double(x):\n    return 2 * x\n")
    (tmp_path / "workflow.py").write_text(WORKFLOW)
    return tmp_path


def drive(
    project: Path, *arguments: str, target: str = "local", cwd: Path | None = None
) -> tuple[str, dict[str, object]]:
    """Run the workflow and return what it printed and how it ended."""
    done = subprocess.run(
        [sys.executable, "-c", DRIVE, str(project / "scalable.yaml"), target, *arguments],
        capture_output=True,
        text=True,
        cwd=cwd or project,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    *printed, outcome = done.stdout.splitlines()
    return "\n".join(printed), json.loads(outcome)


def test_functions_and_classes_of_the_workflow_reach_processes(project: Path) -> None:
    """Without a main guard, with a helper beside it, and results of its own class."""
    printed, outcome = drive(project, "--years", "3")

    assert printed == f"{[2 * i + 100 for i in range(8)]} False ['--years', '3']"
    assert outcome["status"] == ["done"]


def test_the_command_line_target_wins_and_says_so(project: Path) -> None:
    """The workflow names 'local', the run uses 'other', and nothing in the workflow changes."""
    printed, outcome = drive(project, target="other")

    assert printed.startswith("[100, 102")
    assert " True " in printed
    assert [
        "target.chosen",
        "target 'other' of the command line is used, not 'local'",
    ] in outcome["events"]  # type: ignore[operator]


def test_a_workflow_runs_from_any_folder(
    project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """``./scalable.yaml`` in the workflow is the manifest beside it."""
    _, outcome = drive(project, cwd=tmp_path_factory.mktemp("elsewhere"))

    assert outcome["status"] == ["done"]


def test_a_workflow_that_raises_is_a_failed_run(project: Path) -> None:
    """The error is handed over as the workflow raised it."""
    (project / "workflow.py").write_text(
        WORKFLOW.replace("assert all", "raise ValueError('bad scenario')\nassert all").replace(
            "with session as client:", "client = session.start()\nif True:"
        )
    )
    _, outcome = drive(project)

    assert (outcome["status"], outcome["error"]) == (["failed"], "ValueError('bad scenario')")


def test_a_plain_python_run_works_without_a_guard_and_records_its_failure(project: Path) -> None:
    """``python workflow.py`` needs no command line of ours."""
    (project / "workflow.py").write_text(
        WORKFLOW + "client = ScalableSession.from_yaml().start()\n1 / 0\n"
    )
    done = subprocess.run(
        [sys.executable, "workflow.py"], capture_output=True, text=True, cwd=project, timeout=120
    )

    records = [
        json.loads(path.read_text())["status"]
        for path in sorted(
            (project / ".scalable" / "runs").glob("*/run.json"), key=os.path.getmtime
        )
    ]
    assert done.returncode == 1, done.stderr
    assert "ZeroDivisionError" in done.stderr
    assert records == ["done", "failed"]


def test_an_interrupt_releases_everything(project: Path) -> None:
    """After Ctrl-C no process is left and the run is interrupted."""
    (project / "workflow.py").write_text(
        "import time\nfrom scalable import ScalableSession\n"
        "with ScalableSession.from_yaml() as client:\n"
        "    futures = client.map(time.sleep, [600.0, 601.0])\n"
        "    client.wait_for_workers(2)\n"
        "    open('ready', 'w').close()\n"
        "    client.gather(futures)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVE, str(project / "scalable.yaml"), "local"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=project,
        start_new_session=True,
    )
    deadline = time.monotonic() + 90
    while not (project / "ready").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    children = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)
    printed, _ = process.communicate(timeout=90)

    assert json.loads(printed.splitlines()[-1])["status"] == ["interrupted"]
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive
