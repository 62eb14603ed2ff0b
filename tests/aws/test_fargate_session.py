"""A workflow on Fargate from the command line, from end to end: workers, artifacts, logs, and the end."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

MANIFEST = """\
version: 1
project:
  name: {project}
  default_storage: s3://{bucket}/runs
targets:
  aws:
    provider: aws
    region: us-east-1
    cluster_type: fargate
    worker_cpu: 1024
    worker_mem: 2048
    image: {image}
    n_workers: 2
components:
  physics: {{cpus: 1, env: {{TOKEN: "${{TOKEN}}"}}}}
tasks:
  simulate: {{component: physics}}
"""

WORKFLOW = """\
import os, sys, time
from pathlib import Path
from beside import double
from scalable import ScalableSession, store_artifact

def simulate(x):
    print("simulating", x, len(os.environ["TOKEN"]))
    if x == 3:
        return store_artifact("results/three.json", {"value": double(x)}).uri
    time.sleep(float(os.environ.get("PAUSE", 0)))
    return double(x)

if __name__ == "__main__":
    with ScalableSession.from_yaml(Path(__file__).parent / "scalable.yaml") as client:
        print("RESULTS", client.gather(client.map(simulate, range(6), task="simulate")))
        if "--stay" in sys.argv or Path("stay").exists():
            Path("here").touch()
            time.sleep(600)
"""

#: Its first calls are done when it says that it is here; the others wait.
STEPS = """\
import time
from pathlib import Path
from scalable import ScalableSession

FOLDER = Path(__file__).parent

def simulate(x, folder):
    with open(f"{folder}/started", "a") as file:
        file.write(f"{x}\\n")
    while x > 3 and not Path(folder, "go").exists():
        time.sleep(0.1)
    return 2 * x

if __name__ == "__main__":
    with ScalableSession.from_yaml(FOLDER / "scalable.yaml") as client:
        first = client.gather(client.map(simulate, range(4), folder=str(FOLDER), task="simulate"))
        rest = client.map(simulate, range(4, 6), folder=str(FOLDER), task="simulate")
        (FOLDER / "here").touch()
        print("RESULTS", first + client.gather(rest))
"""


@pytest.fixture
def project(real_bed, become, tmp_path, monkeypatch) -> Path:
    """A folder with a manifest, a workflow and a module beside it; its bucket is there."""
    become(real_bed)
    monkeypatch.setenv("TOKEN", "swordfish-0815")
    name = f"solar-{uuid.uuid4().hex[:6]}"
    real_bed.client("s3").create_bucket(Bucket=f"bucket-{name}")
    folder = tmp_path / name
    folder.mkdir()
    image = real_bed.environment["SOLAR_IMAGE"]
    text = MANIFEST.format(project=name, bucket=f"bucket-{name}", image=image)
    (folder / "scalable.yaml").write_text(text)
    (folder / "workflow.py").write_text(WORKFLOW)
    (folder / "beside.py").write_text("def double(x):\n    return 2 * x\n")
    return folder


def command(*words: str) -> list[str]:
    """The command line of Scalable."""
    return [sys.executable, "-m", "scalable", *words]


def scalable(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the project's folder."""
    return subprocess.run(command(*words), cwd=project, capture_output=True, text=True, timeout=240)


def wait_for(path: Path, driver: subprocess.Popen[bytes]) -> None:
    """Wait until a driver has made a file."""
    end = time.monotonic() + 120
    while not path.exists() and time.monotonic() < end:
        assert driver.poll() is None, (path.parent / "out").read_text()
        time.sleep(0.1)
    assert path.exists(), (path.parent / "out").read_text()


def objects(bed, project: Path) -> list[str]:
    """Return the keys in the project's bucket."""
    answer = bed.client("s3").list_objects_v2(Bucket=f"bucket-{project.name}")
    return [each["Key"] for each in answer.get("Contents", [])]


def test_a_workflow_runs_and_its_artifacts_are_on_s3(real_bed, project):
    """Its module travels, a worker stores an artifact by itself, and afterwards only what stands is there."""
    done = scalable(project, "run", "--target", "aws", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "RESULTS [0, 2, 4, 's3://" in done.stdout
    (key,) = [key for key in objects(real_bed, project) if key.endswith("results/three.json")]
    body = real_bed.client("s3").get_object(Bucket=f"bucket-{project.name}", Key=key)["Body"]
    assert json.loads(body.read()) == {"value": 6}

    status = json.loads(scalable(project, "status", "--json", "--target", "aws").stdout)
    assert status["runs"] == []
    assert len(status["standing"]) >= 6

    logs = scalable(project, "logs", "--worker", "scheduler").stdout
    assert "distributed.scheduler" in logs
    every = scalable(project, "logs").stdout
    assert "simulating 3 14" in every
    assert {"physics-0", "physics-1"} <= {line.split()[1] for line in every.splitlines() if line}

    for path in project.rglob("*"):
        if path.is_file():
            assert b"swordfish" not in path.read_bytes(), path
    ended = scalable(project, "down", "--all", "--standing", "--yes")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "nothing is left" in ended.stdout


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fargate", "ec2"])
def test_members_without_an_image_get_the_packages_of_this_environment(real_bed, project, kind):
    """Scheduler and workers start in a Python without any, and the run is as with an image of its own."""
    manifest = project / "scalable.yaml"
    manifest.write_text(manifest.read_text().replace("fargate", kind))
    registry = real_bed.environment["SOLAR_IMAGE"].split("/")[0]
    plain = f"base_image: {registry}/plain-python:1"
    manifest.write_text(re.sub(r"(?m)^    image: .*$", f"    {plain}", manifest.read_text()))
    done = scalable(project, "run", "--target", "aws", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "RESULTS [0, 2, 4, 's3://" in done.stdout
    assert list(real_bed.folder.rglob("plain-python"))  # is what ran


def test_another_machine_ends_a_run_whose_driver_and_folder_are_gone(real_bed, project):
    """The ledger in the project's storage and the tags are enough."""
    (project / "stay").touch()
    with (project / "out").open("wb") as out:
        driver = subprocess.Popen(
            command("run", "--target", "aws", "--yes"), cwd=project, stdout=out, stderr=out
        )
        try:
            wait_for(project / "here", driver)
        finally:
            driver.send_signal(signal.SIGKILL)
            driver.wait()
    shutil.rmtree(project / ".scalable")

    (run,) = json.loads(scalable(project, "status", "--json", "--target", "aws").stdout)["runs"]
    kinds = sorted(each["kind"] for each in run["resources"])
    assert kinds == ["ec2:security-group", *["ecs:task"] * 3, "ssm:parameters"]
    assert run["hourly"] > 0

    ended = scalable(project, "down", "--all", "--yes")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert real_bed.tasks(f"scalable-{project.name}") == []
    status = json.loads(scalable(project, "status", "--json", "--target", "aws").stdout)
    assert status["runs"] == []


def test_a_run_is_resumed_whose_scheduler_was_lost(real_bed, project):
    """It ends with one sentence and leaves nothing; what was finished is not computed again."""
    text = (project / "scalable.yaml").read_text()
    (project / "scalable.yaml").write_text(
        text.replace("component: physics}", "component: physics, cache: true}")
    )
    (project / "workflow.py").write_text(STEPS)
    with (project / "out").open("wb") as out:
        driver = subprocess.Popen(
            command("run", "--target", "aws", "--yes"), cwd=project, stdout=out, stderr=out
        )
    wait_for(project / "here", driver)
    tasks = real_bed.tasks(f"scalable-{project.name}")
    roles = {t["overrides"]["containerOverrides"][0]["command"][0]: t["taskArn"] for t in tasks}
    real_bed.tell("kill", {"tasks": [roles["scheduler"]]})
    assert driver.wait(180) not in (0, None)
    said = (project / "out").read_text()
    assert "the scheduler is lost, and the run with it: scheduler-0 ended" in said
    assert "RuntimeError" not in said, said
    assert real_bed.tasks(f"scalable-{project.name}") == []
    status = json.loads(scalable(project, "status", "--json", "--target", "aws").stdout)
    assert status["runs"] == []

    (project / "go").touch()
    (run,) = (project / ".scalable" / "runs").iterdir()
    again = scalable(project, "run", "--resume", run.name, "--yes")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "RESULTS [0, 2, 4, 6, 8, 10]" in again.stdout
    started = (project / "started").read_text().split()
    assert [started.count(str(x)) for x in range(4)] == [1] * 4
