"""A provider that returns a fleet is all a session needs: a workflow runs on it from end to end."""

from __future__ import annotations

import json
import subprocess
import sys
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

    return FleetCluster(plan, SubprocessLauncher(context.run_dir / "service"), context)
"""

MANIFEST = """\
version: 1
project: {name: study}
targets:
  acme: {provider: acme, n_workers: 2}
components:
  small: {cpus: 1, memory: 512M, env: {SIZE: small}}
  large: {cpus: 1, memory: 512M, env: {SIZE: large}, preload_script: hello.py}
tasks:
  sow: {component: small}
  reap: {component: large, timeout: 60s}
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


def test_a_workflow_runs_on_a_fleet_from_end_to_end(project: Path) -> None:
    """Code travels, tasks find their component, records are whole, and nothing is left."""
    done = subprocess.run(
        [sys.executable, "-m", "scalable", "run", "--target", "acme", "--yes"],
        cwd=project,
        env={"PYTHONPATH": str(project.parent / "installed"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "RESULT (90, 'large', 'preloaded')" in done.stdout
    (run,) = (project / ".scalable" / "runs").glob("run-*")
    record = json.loads((run / "run.json").read_text())
    assert (record["status"], record["tasks"]["done"]) == ("done", 11)
    workers = [json.loads(line) for line in (run / "workers.jsonl").read_text().splitlines()]
    assert {row["component"] for row in workers} == {"small", "large"}
    assert not any(row["event"] == "lost" for row in workers)
    cluster = json.loads((run / "cluster.json").read_text())
    assert (cluster["provider"], cluster["run"]) == ("loopback", run.name)
    lines = [json.loads(line)["what"] for line in (run / "ledger.jsonl").read_text().splitlines()]
    assert lines.count("intend") == lines.count("gone") == 4
