"""Members on Google Cloud in an image that has Python alone, which get the packages of this environment."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCALABLE = Path(sys.executable).with_name("scalable")
BASE = "us-central1-docker.pkg.dev/study-project/models/plain-python:1"
MANIFEST = """\
version: 1
project: {{name: study, default_storage: "gs://bucket/runs"}}
targets:
  gcp:
    provider: gcp
    region: us-central1
    {options}
    n_workers: 2
    base_image: {base}
components:
  physics: {{cpus: 1, memory: 2G}}
tasks:
  simulate: {{component: physics}}
"""
WORKFLOW = """\
import sys
from beside import double
from scalable import ScalableSession, store_artifact

def simulate(x):
    import distributed
    print("simulating", x, "with", sys.prefix, distributed.__file__)
    if x == 3:
        return store_artifact("three.json", {"value": double(x)}).uri
    return double(x)

if __name__ == "__main__":
    with ScalableSession.from_yaml("./scalable.yaml") as client:
        print("RESULTS", client.gather(client.map(simulate, range(6), task="simulate")))
"""


def make_project(google, folder: Path, *options: str) -> None:
    """Write a project with these options in its target; its images are there."""
    google.tell("images", **{"models/plain-python:1": f"sha256:{'2' * 64}"})
    google.tell("images", **{"models/demeter:2": f"sha256:{'1' * 64}"})
    text = MANIFEST.format(base=BASE, options="\n    ".join(options))
    (folder / "scalable.yaml").write_text(text)
    (folder / "workflow.py").write_text(WORKFLOW)
    (folder / "beside.py").write_text("def double(x):\n    return 2 * x\n")


def scalable(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command."""
    return subprocess.run([SCALABLE, *words], cwd=cwd, capture_output=True, text=True, timeout=230)


def written(google) -> list[str]:
    """Return the lines that members have written."""
    return [
        str(each.get("textPayload") or each.get("jsonPayload", {}).get("message"))
        for each in google.state["logs"]
    ]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("transport", ["vpc", pytest.param("relay", marks=pytest.mark.slow)])
def test_members_without_an_image_get_the_packages_of_this_environment(
    google, gcs, tmp_path, transport
):
    """Scheduler and workers start in a Python without any, and the run is as with an image of its own."""
    make_project(google, tmp_path, f"transport: {transport}")

    done = scalable("run", "--target", "gcp", "--yes", cwd=tmp_path)

    logs = written(google)
    assert done.returncode == 0, done.stdout + done.stderr + "\n".join(logs[-40:])
    assert "RESULTS [0, 2, 4, 'gs://bucket/runs/" in done.stdout
    said = [line for line in logs if "simulating" in line]
    assert len(said) == 6
    assert all("/packages/distributed/" in line and sys.prefix not in line for line in said), said
    state = google.state
    assert not any(state[kind] for kind in ("pools", "machines", "secrets", "rules"))
    machines = [c["body"] for c in google.calls if c["id"] == "compute.instances.insert"]
    assert "plain-python@sha256:222" in json.dumps(machines)


@pytest.mark.timeout(240)
def test_a_detached_driver_has_an_image_and_gives_its_packages_to_workers_without(
    google, gcs, tmp_path
):
    """It is on a machine then, as its workers have another image."""
    driver = BASE.replace("plain-python:1", "demeter:2")
    make_project(google, tmp_path, f"driver_image: {driver}")

    started = scalable("run", "--target", "gcp", "--detach", "--yes", cwd=tmp_path)
    assert started.returncode == 0, started.stdout + started.stderr
    watched = scalable("attach", started.stdout.strip(), cwd=tmp_path)

    logs = written(google)
    assert watched.returncode == 0, watched.stdout + watched.stderr + "\n".join(logs[-40:])
    assert any("RESULTS [0, 2, 4, 'gs://bucket/runs/" in line for line in logs)
    said = [line for line in logs if "simulating" in line]
    assert len(said) == 6
    assert all("/packages/distributed/" in line for line in said), said
