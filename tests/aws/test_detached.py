"""Runs whose driver is a task on Fargate: started from here, and seen, followed and ended from anywhere."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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
    cluster_type: {kind}
    profile: ana
    worker_cpu: 1024
    worker_mem: 2048
    image: {image}
    n_workers: 2
components:
  physics: {{cpus: 1, env: {{TOKEN: "${{TOKEN}}"}}}}
tasks:
  simulate: {{component: physics, cache: true}}
"""

#: Calls of a length that the workflow is told; each leaves a mark on the machine that all are on here.
WORKFLOW = """\
import os, sys, time
from scalable import ScalableSession, cacheable

calls, seconds, marks = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]

@cacheable
def simulate(x, seconds, marks):
    time.sleep(seconds)
    with open(marks, "a") as file:
        file.write(f"{x}\\n")
    return x * x

with ScalableSession.from_yaml("./scalable.yaml") as client:
    futures = client.map(simulate, range(calls), seconds=seconds, marks=marks, task="simulate")
    total = sum(client.gather(futures))
    client.store_artifact("total.json", total)
print("total", total, len(os.environ["TOKEN"]))
"""


class Laptop:
    """A folder with the project, and what is asked of it.

    Args:
        folder: It.
        bed: The local AWS.
    """

    def __init__(self, folder: Path, bed: Any) -> None:
        self.folder, self.bed = folder, bed
        self.marks = folder.parent / "marks"
        self.name = folder.name

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start a command line and leave it alone."""
        return subprocess.Popen(
            [sys.executable, "-m", "scalable", *words],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def scalable(self, *words: str, cwd: Path | None = None, code: int | None = 0) -> str:
        """Run a command line; return what it has printed on standard output."""
        done = subprocess.run(
            [sys.executable, "-m", "scalable", *words],
            cwd=cwd or self.folder,
            capture_output=True,
            text=True,
            timeout=240,
            stdin=subprocess.DEVNULL,
        )
        assert code in (None, done.returncode), f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def hand_over(self, calls: int, seconds: float, *words: str) -> str:
        """Start a detached run; return its id."""
        tail = ("--", str(calls), str(seconds), str(self.marks))
        return self.scalable("run", "--detach", "--yes", *words, *tail).strip()

    def computed(self) -> list[int]:
        """Return which calls were computed, each as often as it was."""
        return sorted(map(int, self.marks.read_text().split())) if self.marks.exists() else []

    def tasks(self, run: str | None = None) -> list[dict[str, Any]]:
        """Return the tasks that have not stopped."""
        found = self.bed.tasks(f"scalable-{self.name}")
        return [task for task in found if run in (None, task["startedBy"])]

    def driver(self, run: str) -> dict[str, Any]:
        """Return the task that drives a run."""
        (found,) = [
            task
            for task in self.tasks(run)
            if task["overrides"]["containerOverrides"][0]["command"][1] == "driver"
        ]
        return found

    def leavings(self) -> dict[str, list[str]]:
        """Return what there is in the account that belongs to runs of this project."""
        own = [{"Name": "tag:scalable-project", "Values": [self.name]}]
        ec2, ssm = self.bed.client("ec2"), self.bed.client("ssm")
        groups = ec2.describe_security_groups(Filters=own)["SecurityGroups"]
        path = {"Key": "Path", "Option": "Recursive", "Values": [f"/scalable/scalable-{self.name}"]}
        machines = ec2.describe_instances(Filters=own)["Reservations"]
        found = {
            "tasks": [task["taskArn"] for task in self.tasks()],
            "groups": [
                each["GroupName"]
                for each in groups
                if "scalable-run" in {tag["Key"] for tag in each["Tags"]}
            ],
            "parameters": [
                each["Name"]
                for each in ssm.describe_parameters(ParameterFilters=[path])["Parameters"]
            ],
            "machines": [
                each["InstanceId"]
                for reservation in machines
                for each in reservation["Instances"]
                if each["State"]["Name"] != "terminated"
            ],
            "templates": [
                each["LaunchTemplateName"]
                for each in ec2.describe_launch_templates(Filters=own)["LaunchTemplates"]
            ],
        }
        return {kind: names for kind, names in found.items() if names}

    def await_nothing(self) -> None:
        """Wait until nothing of any run is left."""
        await_that(lambda: not self.leavings(), lambda: f"left: {self.leavings()}")


def await_that(
    true: Callable[[], Any], what: str | Callable[[], str], seconds: float = 180
) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, what if isinstance(what, str) else what()
        time.sleep(0.3)


@pytest.fixture
def become_ana(real_bed, become, tmp_path, monkeypatch) -> Any:
    """Makes this process a user of the local AWS, by a profile that no other machine has."""
    key = become(real_bed)
    config = tmp_path / "config"
    config.write_text(f"[profile ana]\naws_access_key_id={key}\naws_secret_access_key=ana\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("TOKEN", "swordfish-0815")
    return key


@pytest.fixture(params=["fargate"])
def laptop(request, real_bed, become_ana, tmp_path) -> Iterator[Laptop]:
    """A project, whose bucket is there."""
    name = f"solar-{uuid.uuid4().hex[:6]}"
    real_bed.client("s3").create_bucket(Bucket=f"bucket-{name}")
    folder = tmp_path / name
    folder.mkdir()
    image = real_bed.environment["SOLAR_IMAGE"]
    words = {"project": name, "bucket": f"bucket-{name}", "image": image, "kind": request.param}
    (folder / "scalable.yaml").write_text(MANIFEST.format(**words))
    (folder / "workflow.py").write_text(WORKFLOW)
    laptop = Laptop(folder, real_bed)
    yield laptop
    for task in laptop.tasks():
        real_bed.client("ecs").stop_task(cluster=task["clusterArn"], task=task["taskArn"])


@pytest.fixture
def elsewhere(laptop: Laptop, tmp_path: Path) -> Path:
    """A folder that has the manifest and nothing else."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "scalable.yaml").write_text((laptop.folder / "scalable.yaml").read_text())
    return folder


def test_a_run_of_200_calls_ends_well_with_the_laptop_gone(
    laptop: Laptop, elsewhere: Path, real_bed
) -> None:
    """The starter is killed at once; all the rest is seen from a folder that has the manifest alone."""
    starter = laptop.start(
        "run", "--detach", "--yes", "--", "200", "0.02", str(laptop.marks)
    )  # fmt: skip
    assert starter.stdout is not None
    run = starter.stdout.readline().strip()
    starter.kill()
    starter.wait()
    assert run, starter.communicate()[1]
    driver = laptop.driver(run)

    (seen,) = json.loads(laptop.scalable("status", "--json", cwd=elsewhere))["runs"]
    assert (seen["run"], seen["driver"]) == (run, "elsewhere")
    watched = laptop.scalable("attach", run, "--json", cwd=elsewhere)
    record = json.loads(watched.splitlines()[-1])

    assert record["status"] == "done"
    assert record["tasks"] == {"total": 200, "done": 200, "failed": 0, "cached": 0}
    assert laptop.computed() == list(range(200))
    laptop.await_nothing()
    total = sum(x * x for x in range(200))
    assert f"total {total} 14" in laptop.scalable("logs", run, cwd=elsewhere)
    assert "200 tasks" in laptop.scalable("report", run, cwd=elsewhere)
    laptop.scalable("artifacts", "get", "total.json", "--run", run, cwd=elsewhere)
    assert json.loads((elsewhere / "total.json").read_text()) == total
    assert json.loads(laptop.scalable("status", "--json", cwd=elsewhere))["runs"] == []
    assert driver["capacityProviderName"] == "FARGATE"
    assert driver["startedBy"] == run
