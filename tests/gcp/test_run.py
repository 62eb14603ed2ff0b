"""A run on this machine that keeps what it leaves behind in Cloud Storage."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from scalable_gcp.storage import GcsStorage

SCALABLE = Path(sys.executable).with_name("scalable")
MANIFEST = """
version: 1
project: {name: reef, default_storage: "gs://bucket/runs"}
targets: {local: {provider: local, max_workers: 1}}
components: {model: {cpus: 1}}
tasks: {count: {component: model, outputs: ["fish/{year}.csv"]}}
"""
WORKFLOW = """
from pathlib import Path
from scalable import ScalableSession, store_artifact

def count(year):
    Path("fish").mkdir(exist_ok=True)
    Path(f"fish/{year}.csv").write_text("wrasse")
    store_artifact(f"notes/{year} ü#?.json", {"year": year})

if __name__ == "__main__":
    session = ScalableSession.from_yaml("./scalable.yaml")
    with session as client:
        client.submit(count, 2030, task="count").result()
        session.store_artifact("map.bin", bytes(9 * 2**20))
"""


@pytest.mark.timeout(180)
def test_what_a_run_leaves_in_cloud_storage_is_found_fetched_and_verified(gcs, tmp_path):
    """What a worker stores, what a task puts out, and what the workflow keeps; by the bucket alone."""
    (tmp_path / "scalable.yaml").write_text(MANIFEST)
    (tmp_path / "workflow.py").write_text(WORKFLOW)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    def scalable(*words: str, cwd: Path = elsewhere, code: int = 0) -> str:
        done = subprocess.run([SCALABLE, *words], cwd=cwd, capture_output=True, text=True)
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    scalable("run", cwd=tmp_path)

    bucket = GcsStorage("gs://bucket/runs")
    run = next(bucket.list("")).key.partition("/")[0]
    names = {found.key.partition("/")[2] for found in bucket.list("")} - {"artifacts.json"}
    assert names == {"fish/2030.csv", "map.bin", "notes/2030 ü#?.json"}
    where = f"gs://bucket/runs/{run}"
    listed = json.loads(scalable("artifacts", "ls", where, "--json"))
    assert {one["name"] for one in listed["artifacts"]} == names
    scalable("artifacts", "get", "notes", "--run", where)
    assert json.loads((elsewhere / "notes" / "2030 ü#?.json").read_text()) == {"year": 2030}
    scalable("artifacts", "get", "map.bin", "--run", where)
    assert (elsewhere / "map.bin").read_bytes() == bytes(9 * 2**20)

    bucket.put(f"{run}/fish/2030.csv", b"grouper")
    assert "2030.csv" in scalable("artifacts", "verify", cwd=tmp_path, code=1)
