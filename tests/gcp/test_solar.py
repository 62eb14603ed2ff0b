"""The solar example on the local Google Cloud, from the command line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pvlib", reason="needs examples/solar/requirements.txt")
SCALABLE = Path(sys.executable).with_name("scalable")
SOLAR = Path(__file__).parents[2] / "examples" / "solar"


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("transport", ["vpc", "relay"])
def test_the_solar_example_runs_on_its_gcp_target(google, gcs, tmp_path, transport):
    """Only the target changes: adaptive workers on Cloud Run, results in Cloud Storage, nothing left behind."""
    image = "us-docker.pkg.dev/my-project/solar/solar:1.0"
    google.tell("images", **{"solar/solar:1.0": "sha256:" + "b" * 64})
    folder = tmp_path / "solar"
    shutil.copytree(SOLAR, folder, ignore=shutil.ignore_patterns("results", ".scalable*"))
    text = (folder / "scalable.yaml").read_text()
    text = text.replace(
        "name: solar-yield", "name: solar-yield\n  default_storage: gs://bucket/runs"
    )
    text = text.replace(
        "    cluster_type: cloud_run\n",
        f"    cluster_type: cloud_run\n    transport: {transport}\n",
    )
    (folder / "scalable.yaml").write_text(text)
    done = subprocess.run(
        [SCALABLE, "run", "--target", "gcp", "--yes"],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "SOLAR_IMAGE": image},
        timeout=230,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / "results").is_dir()
    state = google.state
    assert not any(state[kind] for kind in ("pools", "machines", "secrets", "rules"))
    made = [c for c in google.calls if c.get("id") == "run.projects.locations.workerPools.create"]
    pools = [c["body"]["annotations"].values() for c in made if "validateOnly" not in c["query"]]
    workers = {name for (names,) in pools for name in names.split(",")}
    assert 2 <= len(workers) <= 20
