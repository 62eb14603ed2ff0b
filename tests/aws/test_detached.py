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

from scalable_core.session.resume import Unfinished, count_unfinished

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

    def check_rights(self, driver: str, ana: str) -> None:
        """Compare what a driver and who has started it have called with what they may."""

        def called(key: str) -> set[str]:
            return {f"{call['service']}:{call['action']}" for call in self.bed.calls(key)}

        found = self.bed.client("iam").get_role_policy(
            RoleName=f"scalable-{self.name}-driver", PolicyName="scalable"
        )
        statements = found["PolicyDocument"]["Statement"]
        allowed = {
            action
            for each in statements
            for action in ([each["Action"]] if isinstance(each["Action"], str) else each["Action"])
        }
        own = called(f"ASIA{driver[:16].upper().replace('-', '')}")
        assert {"ecs:RunTask", "ssm:GetParametersByPath", "ssm:DeleteParameters"} <= own
        assert own <= allowed | {"service-quotas:GetServiceQuota"}, own - allowed
        (passing,) = [each for each in statements if "iam:PassRole" in each["Action"]]
        assert {arn.rpartition("-")[2] for arn in passing["Resource"]} == {"execution", "task"}
        assert not {a for a in allowed if a.startswith(("iam:Create", "iam:Put", "iam:Attach"))}

        words = ("doctor", "--target", "aws", "--detach", "--print-policy", "--json")
        printed = set(json.loads(self.scalable(*words))["actions"])
        assert called(ana) <= printed | {"service-quotas:GetServiceQuota"}, called(ana) - printed

    def silence(self, run: str) -> None:
        """Let ten minutes pass since the last sign of life of a run that gives none any more."""
        place = {"Bucket": f"bucket-{self.name}", "Key": f"runs/.runs/{run}/heartbeat.json"}
        text = json.dumps({"time": time.time() - 600})
        self.bed.client("s3").put_object(Body=text.encode(), **place)

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
    laptop: Laptop, elsewhere: Path, become_ana: str
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
    driver = laptop.driver(run)["taskArn"].rpartition("/")[2]

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
    laptop.check_rights(driver, become_ana)


@pytest.mark.slow
def test_a_driver_that_dies_is_seen_and_its_run_resumed(laptop: Laptop, elsewhere: Path) -> None:
    """Without a sign of life status says so; only what was not kept is done again; nothing is left."""
    run = laptop.hand_over(40, 0.3)
    await_that(lambda: len(laptop.computed()) > 6, "some calls")
    driver = laptop.driver(run)["taskArn"]
    laptop.bed.tell("kill", {"tasks": [driver]})
    await_that(
        lambda: not laptop.tasks(run), "the end of the workers, which nobody has told to end"
    )
    kept = laptop.computed()
    laptop.silence(run)

    (seen,) = json.loads(laptop.scalable("status", "--json", cwd=elsewhere))["runs"]
    watched = laptop.scalable("attach", run, cwd=elsewhere, code=130)
    again = laptop.scalable("run", "--resume", run, "--detach", "--yes").strip()
    laptop.scalable("attach", again, code=0)

    assert (seen["run"], seen["driver"]) == (run, "gone")
    assert watched == ""
    assert len(kept) < 40
    # What the two workers had done and could not say any more may be done twice.
    assert set(laptop.computed()) == set(range(40))
    assert len(laptop.computed()) <= 40 + 4
    laptop.await_nothing()
    assert json.loads(laptop.scalable("status", "--json", cwd=elsewhere))["runs"] == []


def test_two_runs_at_once_do_not_mix_and_another_machine_cancels_one(
    laptop: Laptop, elsewhere: Path
) -> None:
    """The end of one is not that of the other; what a cancelled one has done is kept, and nothing is left."""
    first = laptop.hand_over(400, 0.25)
    own, laptop.marks = laptop.marks, laptop.folder.parent / "others"
    second = laptop.hand_over(12, 0.05)
    laptop.scalable("attach", second)
    assert laptop.computed() == list(range(12))
    laptop.marks = own
    await_that(lambda: len(laptop.computed()) > 2, "some calls of the first")
    assert len(laptop.tasks(first)) == 3

    done = laptop.scalable("cancel", first, cwd=elsewhere)

    assert "nothing is left" in done
    laptop.await_nothing()
    record = json.loads(laptop.scalable("report", first, "--format", "json", cwd=elsewhere))
    assert record["run"]["status"] == "interrupted"
    assert "cancelled by" in record["run"]["error"]
    assert len(laptop.computed()) < 400


def test_detach_says_how_many_calls_run_again_before_it_asks(laptop: Laptop) -> None:
    """Those that run now, and those that are done and not kept; the run that was not detached goes on."""
    gated = WORKFLOW.replace("time.sleep(seconds)", "wait(x, seconds, marks)").replace(
        "@cacheable",
        "def wait(x, seconds, marks):\n"
        "    while x >= seconds and not os.path.exists(marks + '.gate'):\n"
        "        time.sleep(0.05)\n\n"
        "@cacheable",
    )
    (laptop.folder / "workflow.py").write_text(gated)
    here = laptop.start("run", "--yes", "--", "12", "5", str(laptop.marks))
    runs = laptop.folder / ".scalable" / "runs"
    known = Unfinished(total=12, done=5, kept=5, running=2)
    try:
        await_that(lambda: runs.exists() and list(runs.iterdir()), "the run's folder")
        (run,) = runs.iterdir()
        await_that(lambda: count_unfinished(run) == known, lambda: f"{count_unfinished(run)}")

        asked = subprocess.run(
            [sys.executable, "-m", "scalable", "detach", run.name],
            cwd=laptop.folder,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
    finally:
        laptop.marks.with_name("marks.gate").touch()
        said, complaints = here.communicate(timeout=180)

    assert asked.returncode == 2
    assert "5 of 12 calls are done, 5 of them kept" in asked.stderr
    assert "2 calls run again at most: 2 that run now" in asked.stderr
    assert "and 0 that are done and not kept" in asked.stderr
    assert "no terminal to ask on" in asked.stderr
    assert here.returncode == 0, complaints
    assert f"total {sum(x * x for x in range(12))}" in said
    assert laptop.computed() == list(range(12))


@pytest.mark.slow
def test_an_attached_run_goes_on_in_the_cloud(laptop: Laptop) -> None:
    """What runs again is said; the laptop's driver ends in good order, and the rest is done from the cache."""
    here = laptop.start("run", "--yes", "--", "40", "0.3", str(laptop.marks))
    await_that(lambda: len(laptop.computed()) > 5, "some calls")
    run = next((laptop.folder / ".scalable" / "runs").iterdir()).name
    asked = laptop.scalable("detach", run, code=2)

    again = laptop.scalable("detach", run, "--yes").strip()
    assert here.wait(timeout=60) == 130
    here.communicate()
    laptop.scalable("attach", again)

    assert asked == ""
    assert laptop.computed() == list(range(40))
    laptop.await_nothing()


@pytest.mark.slow
@pytest.mark.parametrize("laptop", ["ec2"], indirect=True)
def test_machines_are_driven_from_a_task(laptop: Laptop) -> None:
    """A run on EC2 has its driver on Fargate, and machines for workers alone; all of them end."""
    run = laptop.hand_over(10, 0.1)
    assert laptop.driver(run)["startedBy"] == run
    laptop.scalable("attach", run)

    assert laptop.computed() == list(range(10))
    laptop.await_nothing()


@pytest.mark.parametrize("kind", ["fargate", "ec2"])
def test_the_driver_is_in_the_estimate_in_place_of_the_scheduler(kind, tmp_path, monkeypatch):
    """It is as large as both, or as the target says, and on Fargate whatever the workers are on."""
    monkeypatch.setenv("TOKEN", "")
    words = {"project": "p", "bucket": "b", "image": "solar:1.0", "kind": kind}
    text = MANIFEST.format(**words) + "overlays: {large: {targets: {aws: {driver_cpu: 4096}}}}\n"
    (tmp_path / "scalable.yaml").write_text(text)
    (tmp_path / "workflow.py").write_text("")
    notes = []
    for more in ((), ("--overlay", "large")):
        done = subprocess.run(
            [sys.executable, "-m", "scalable", "run", "--detach", "--dry-run", "--json", *more],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        lines = {each["item"]: each for each in json.loads(done.stdout)["cost"]["lines"]}
        assert not [item for item in lines if "cheduler" in item]
        notes.append((lines["Driver compute"]["note"], lines["Driver memory"]["note"]))

    assert notes == [("2 vCPU x 1h", "8 GB x 1h"), ("4 vCPU x 1h", "8 GB x 1h")]


def test_a_driver_that_cannot_be_started_leaves_nothing(laptop: Laptop, become_ana: str) -> None:
    """What waited for it is deleted again, and the run is on record as failed, with the reason."""
    fault = {"service": "ecs", "action": "RunTask", "key": become_ana, "times": 1}
    laptop.bed.tell("faults", [{**fault, "code": "AccessDeniedException"}])

    laptop.scalable("run", "--detach", "--yes", "--", "1", "0", str(laptop.marks), code=3)

    assert laptop.leavings() == {}
    (run,) = json.loads(laptop.scalable("runs", "--json"))["runs"]
    assert run["status"] == "failed"
    assert "ecs:RunTask" in run["error"]


def test_an_image_without_scalable_says_so_in_a_line() -> None:
    """A Python that has nothing installed stands for it."""
    from scalable_aws.driver import program

    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program(), "scheduler", "driver", "driver", "/place"],
        capture_output=True,
        text=True,
    )

    said = json.loads(done.stdout.removeprefix("scalable-member: "))
    assert done.returncode == 1
    assert said["error"] == "the driver's image lacks scalable and scalable_aws"
    assert "driver_image" in said["cure"]
