"""Workers on other machines: results are kept in the project's storage, or here as they are gathered."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scalable_core.cache import Store
from scalable_core.session.kept import workers_elsewhere

MANIFEST = """\
version: 1
project: {{name: study{storage}}}
targets:
  acme: {{provider: acme}}
components:
  model: {{cpus: 1}}
tasks:
  step: {{component: model, cache: true}}
"""

PROVIDER = """\
import attrs
from distributed import LocalCluster
from scalable_core.cluster import component_resource
from scalable_core.hookspecs import hookimpl
from scalable_core.types import CostEstimate

SCALABLE_PLUGIN_API = 1

@attrs.frozen(kw_only=True)
class Options:
    pass

@hookimpl
def target_options():
    return Options

@hookimpl
def estimate_cost(plan):
    return CostEstimate(provider="acme", expected=0.0, basis="free")

@hookimpl
def provision_cluster(plan, context):
    # Their own folder and nothing of the driver's environment that matters here: as on another machine.
    env = {"SCALABLE_CACHE_DIR": "/nowhere", **context.secrets()}
    cluster = LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None, env=env,
                           resources=component_resource("model"), host="127.0.0.1", preload=[])
    cluster.workers_elsewhere = True
    return cluster
"""

WORKFLOW = """\
import os, sys
from scalable import ScalableSession

def step(i, marks):
    with open(marks, "a") as file:
        file.write(f"{i}\\n")
    if i == 7 and "fail" in sys.argv:
        raise ValueError("seven")
    return (i, i * i)  # a tuple is pickled

if __name__ == "__main__":
    with ScalableSession.from_yaml("./scalable.yaml") as client:
        futures = client.map(step, range(10), marks=os.path.abspath("marks"), task="step")
        if "each" in sys.argv:
            from distributed import as_completed
            found = {value for _, value in as_completed(futures[:9], with_results=True)}
            found.add(futures[9].result())
            assert found == {(i, i * i) for i in range(10)}
        elif "fail" not in sys.argv:
            assert client.gather(futures) == [(i, i * i) for i in range(10)]
        else:
            from distributed import wait
            wait(futures)
            try:
                client.gather(futures)
            except ValueError:
                pass
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose only target's workers are, for all that Scalable knows, on other machines."""
    info = tmp_path / "acme_scalable-0.3.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-scalable\nVersion: 0.3.0\n")
    (info / "entry_points.txt").write_text("[scalable.providers]\nacme = acme_scalable\n")
    (tmp_path / "acme_scalable.py").write_text(PROVIDER)
    (tmp_path / "workflow.py").write_text(WORKFLOW)
    return tmp_path


def run(project: Path, *arguments: str, storage: str = "") -> str:
    """Run the workflow; return what was said."""
    named = f", default_storage: {storage!r}" if storage else ""
    (project / "scalable.yaml").write_text(MANIFEST.format(storage=named))
    clean = {k: v for k, v in os.environ.items() if not k.startswith("SCALABLE_")}
    path = os.pathsep.join(filter(None, [str(project), clean.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-m", "scalable", "run", "--yes", "--", *arguments],
        cwd=project,
        env={**clean, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def marks(project: Path) -> int:
    """Return how often a call was run."""
    path = project / "marks"
    return len(path.read_text().splitlines()) if path.exists() else 0


def rows(project: Path, table: str) -> list[dict[str, Any]]:
    """Return a table of the latest run."""
    newest = max((project / ".scalable" / "runs").iterdir())
    text = (newest / f"{table}.jsonl").read_text() if (newest / f"{table}.jsonl").exists() else ""
    return [json.loads(line) for line in text.splitlines()]


def test_workers_keep_results_in_the_projects_storage(project: Path) -> None:
    """Signed with the project's key, from where another machine takes them; nothing is run twice."""
    storage = f"local://{project}/bucket"
    run(project, storage=storage)
    assert len(list((project / "bucket" / ".cache" / "entries").rglob("*.json"))) == 10
    assert not list((project / ".scalable" / "cache" / "entries").rglob("*"))
    shutil.rmtree(project / ".scalable" / "cache")
    said = run(project, storage=storage)

    assert marks(project) == 10
    assert [row["state"] for row in rows(project, "tasks")] == ["cached"] * 10
    assert "as they are gathered" not in said
    assert len(list(Store(project / ".scalable" / "cache").entries())) == 10


def test_without_a_storage_results_are_kept_as_they_are_gathered(project: Path) -> None:
    """Which is said once, with what would be better."""
    said = run(project)
    assert said.count("results are kept as they are gathered") == 1
    assert "default_storage" in said
    run(project)

    assert marks(project) == 10
    assert [row["state"] for row in rows(project, "tasks")] == ["cached"] * 10


def test_results_that_are_taken_one_by_one_are_kept_too(project: Path) -> None:
    """As they come, or by the future's own ``result()``."""
    run(project, "each")
    run(project)

    assert marks(project) == 10
    assert [row["state"] for row in rows(project, "tasks")] == ["cached"] * 10


def test_a_shared_place_that_cannot_be_written_is_said_once(project: Path) -> None:
    """Not for each result; they are kept here."""
    (project / "bucket").mkdir()
    (project / "bucket" / ".cache").write_text("in the way")
    storage = f"local://{project}/bucket"
    said = run(project, storage=storage)
    assert 1 <= said.count("cannot be written") <= 4, said
    run(project, storage=storage)

    assert marks(project) == 10


def test_results_are_kept_although_one_call_of_many_failed(project: Path) -> None:
    """What is there when the others are gathered is not lost."""
    run(project, "fail")
    run(project, "fail")

    assert marks(project) == 11
    states = [row["state"] for row in rows(project, "tasks")]
    assert states.count("cached") == 9
    assert states.count("failed") == 1


def test_workers_that_cannot_reach_the_storage_leave_it_to_who_gathers(project: Path) -> None:
    """A worker's image may lack what the scheme needs: it is said, and no result is lost."""
    provider = (project / "acme_scalable.py").read_text()
    preload = (
        "import fsspec\n"
        "fsspec.register_implementation('local', 'no.such.Class', clobber=True,"
        " errtxt='install what local:// needs')\n"
    )
    assert "preload=[]" in provider
    (project / "acme_scalable.py").write_text(
        provider.replace("preload=[]", f"preload=[{preload!r}]")
    )
    storage = f"local://{project}/bucket"
    said = run(project, storage=storage)
    assert "install what local:// needs" in said
    run(project, storage=storage)

    assert marks(project) == 10
    assert [row["state"] for row in rows(project, "tasks")] == ["cached"] * 10


@pytest.mark.parametrize(
    ("address", "said", "elsewhere"),
    [
        ("inproc://192.168.0.2/1/2", None, False),
        ("tcp://127.0.0.1:8786", None, False),
        ("tls://10.0.0.7:8786", None, True),
        ("tls://127.0.0.1:8786", True, True),
        ("tcp://10.0.0.7:8786", False, False),
    ],
)
def test_a_cluster_says_where_its_workers_are_or_its_address_does(
    address: str, said: bool | None, elsewhere: bool
) -> None:
    """What the cluster says counts more: a relay of this machine may lead anywhere."""
    cluster = SimpleNamespace(scheduler_address=address)
    if said is not None:
        cluster.workers_elsewhere = said

    assert workers_elsewhere(cluster) is elsewhere
