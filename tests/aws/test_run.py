"""A whole run on this machine whose artifacts are on S3, from the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCALABLE = Path(sys.executable).with_name("scalable")
MANIFEST = """
version: 1
project: {{name: orchard, default_storage: "s3://{bucket}/runs"}}
targets: {{local: {{provider: local, max_workers: 1}}}}
components: {{model: {{cpus: 1}}}}
tasks: {{grow: {{component: model, outputs: ["trees/{{year}}.csv"]}}}}
"""
WORKFLOW = """
from pathlib import Path
from scalable import ScalableSession, store_artifact

def grow(year):
    Path("trees").mkdir(exist_ok=True)
    Path(f"trees/{year}.csv").write_text("apples")
    store_artifact(f"notes/{year} é+%.json", {"year": year})

if __name__ == "__main__":
    session = ScalableSession.from_yaml("./scalable.yaml")
    with session as client:
        client.gather(client.map(grow, [2030, 2040], task="grow"))
        session.store_artifact("large.bin", bytes(17 * 2**20))
"""


@pytest.fixture
def folder(tmp_path, bucket) -> Path:
    """A project."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "scalable.yaml").write_text(MANIFEST.format(bucket=bucket))
    (folder / "workflow.py").write_text(WORKFLOW)
    return folder


def test_a_run_keeps_its_artifacts_on_s3_and_anyone_gets_them_back(folder, bucket, s3, tmp_path):
    """From workers and the workflow; by who has only the bucket; and what was changed is found."""

    def scalable(*words: str, cwd: Path = folder, code: int = 0) -> str:
        done = subprocess.run(
            [SCALABLE, *words], cwd=cwd, capture_output=True, text=True, env=os.environ
        )
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr if code else done.stdout

    scalable("run")
    keys = [row["Key"] for row in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    names = ["large.bin", "notes/2030 é+%.json", "notes/2040 é+%.json"]
    names += ["trees/2030.csv", "trees/2040.csv"]
    where = f"s3://{bucket}/{'/'.join(keys[0].split('/')[:2])}"
    assert [key.split("/", 2)[2] for key in keys if not key.endswith("artifacts.json")] == names

    listed = json.loads(scalable("artifacts", "ls", where, "--json", cwd=tmp_path))
    assert [one["name"] for one in listed["artifacts"]] == names
    scalable("artifacts", "get", "notes", "--run", where, cwd=tmp_path)
    assert json.loads((tmp_path / "notes" / "2030 é+%.json").read_text()) == {"year": 2030}
    scalable("artifacts", "verify")

    s3.put_object(Bucket=bucket, Key=keys[-1], Body=b"pears!")
    assert "2040.csv" in scalable("artifacts", "verify", code=1)
