"""Runs on the local Google Cloud that go on without the machine that has started them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from gcp.testbed import permission_of

from scalable_gcp.policy import MEMBERS, driver_permissions

pytestmark = pytest.mark.timeout(300)
SCALABLE = Path(sys.executable).with_name("scalable")
IMAGE = "us-central1-docker.pkg.dev/study-project/models/demeter:2"
MANIFEST = """\
version: 1
project: {{name: study, default_storage: "gs://bucket/runs"}}
targets:
  gcp:
    provider: gcp
    region: us-central1
    transport: {transport}
    n_workers: 2
    image: {image}
components:
  model: {{cpus: 2, memory: 8G, env: {{PASSWORD: "${{STUDY_PASSWORD}}"}}}}
tasks:
  simulate: {{component: model, cache: true}}
"""
WORKFLOW = """\
import sys, time
from scalable import ScalableSession, cacheable

calls, seconds = int(sys.argv[1]), float(sys.argv[2])

@cacheable
def square(x, seconds):
    import os
    time.sleep(seconds)
    print("computed", x)
    return x * x, os.environ.get("PASSWORD")

with ScalableSession.from_yaml("./scalable.yaml") as client:
    futures = client.map(square, range(calls), seconds=seconds, task="simulate")
    results = client.gather(futures)
    assert {password for _, password in results} == {"nightingale"}
    client.store_artifact("total.json", sum(number for number, _ in results))
print("the total is", sum(number for number, _ in results))
"""
KINDS = ("pools", "machines", "jobs", "secrets", "rules")


class Study:
    """A project on two machines that share a bucket and credentials, and nothing else."""

    def __init__(self, google, folder: Path, transport: str) -> None:
        self.google, self.here, self.there = google, folder / "here", folder / "there"
        text = MANIFEST.format(transport=transport, image=IMAGE)
        for place in (self.here, self.there):
            place.mkdir()
            (place / "scalable.yaml").write_text(text)
        (self.here / "workflow.py").write_text(WORKFLOW)
        google.tell("images", **{"models/demeter:2": f"sha256:{'1' * 64}"})
        self.environment = {
            **{name: v for name, v in os.environ.items() if not name.startswith("SCALABLE_MAN")},
            "STUDY_PASSWORD": "nightingale",
            "COLUMNS": "150",
        }

    def start(self, *arguments: str) -> str:
        """Hand a run over, kill what has done so as soon as it has said which run it is, and return that."""
        words = [SCALABLE, "run", "--detach", "--yes", "--target", "gcp", "--", *arguments]
        starter = subprocess.Popen(
            words,
            cwd=self.here,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert starter.stdout is not None
        run = starter.stdout.readline().strip()
        starter.kill()
        _, said = starter.communicate()
        assert run.startswith("run-"), said
        return run

    def scalable(self, *words: str, code: int | None = 0, cwd: Path | None = None) -> str:
        """Run a command on the other machine; return what it printed."""
        done = subprocess.run(
            [SCALABLE, *words],
            cwd=cwd or self.there,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert code in (None, done.returncode), done.stdout + done.stderr + self.logs()[-2000:]
        return done.stdout

    def logs(self) -> str:
        """All that was written in the cloud."""
        return "\n".join(
            str(each.get("textPayload") or each.get("jsonPayload", {}).get("message"))
            for each in self.google.state["logs"]
        )

    def computed(self, run: str) -> list[int]:
        """What calls of a run have said that they have computed."""
        return [int(each) for each in re.findall(r"computed (\d+)", self.scalable("logs", run))]

    @property
    def left(self) -> dict:
        """What there is."""
        state = self.google.state
        return {kind: state[kind] for kind in KINDS if state[kind]}

    @property
    def permissions(self) -> set[str | None]:
        """What the service account of members and driver has needed."""
        calls = self.google.get("calls")
        return {permission_of(c["id"]) for c in calls if c["who"].startswith("account:")} - {None}

    def status(self) -> list[tuple[str, str]]:
        """Runs as the other machine sees them, and where their drivers are."""
        found = json.loads(self.scalable("status", "--json"))["runs"]
        return [(each["run"], each["driver"]) for each in found]


def await_that(true, what, timeout: float = 120):
    """Wait until something holds."""
    end = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < end, f"never: {what() if callable(what) else what}"
        time.sleep(0.3)


@pytest.fixture
def study(google, gcs, tmp_path):
    """Makes the project with a transport."""
    return lambda transport: Study(google, tmp_path, transport)


def see_it_through(study: Study, run: str) -> None:
    """Watch a run to its end from the other machine, and see what it has left for whom."""
    watched = study.scalable("attach", run, "--json", code=None)
    last = json.loads(watched.splitlines()[-1])
    assert (last["status"], last["tasks"]["done"]) == ("done", 60), study.logs()
    await_that(lambda: not study.left, lambda: study.left)
    assert "the total is 70210" in study.scalable("logs", run, "--worker", "driver")
    study.scalable("artifacts", "get", "total.json", "--run", run)
    assert json.loads((study.there / "total.json").read_text()) == 70210
    assert study.status() == []
    texts = [json.dumps(call) for call in study.google.calls if "secrets" not in call["path"]]
    assert not any("nightingale" in text for text in texts)


def test_one_job_holds_driver_scheduler_and_workers(study):
    """Two workers of 2 vCPU and 8 GiB; the starter is killed at once, and nothing is left in the end."""
    study = study("single")
    run = study.start("60", "0.05")

    (job,) = study.google.state["jobs"].values()
    task = job["template"]["template"]
    assert task["containers"][0]["resources"]["limits"] == {"cpu": "6", "memory": "17408Mi"}
    assert (task["maxRetries"], task["timeout"]) == (0, f"{86400 + 600}s")
    see_it_through(study, run)
    made = {call["id"] for call in study.google.get("calls")}
    assert "run.projects.locations.workerPools.create" not in made
    assert "compute.instances.insert" not in made
    said = study.scalable("logs", run, "--worker", "model-1").splitlines()
    assert any("computed" in line for line in said)
    assert not any(
        "model-0" in line or line.count("model-1") > 1 for line in said if "comp" in line
    )
    assert study.permissions <= {*MEMBERS, "secretmanager.versions.access"}


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["vpc", "relay"])
def test_the_schedulers_machine_runs_the_driver(study, transport):
    """Workers come in pools to the scheduler in the driver's process, and go before their driver does."""
    study = study(transport)
    run = study.start("60", "0.05")
    assert len(study.google.state["machines"]) == 1
    see_it_through(study, run)
    rules = [c["body"] for c in study.google.get("calls") if c["id"] == "compute.firewalls.insert"]
    assert [rule["sourceRanges"] for rule in rules] == [["10.128.0.0/20"]]
    needed = driver_permissions(public=False, detached=True)
    assert study.permissions <= {*needed, "secretmanager.versions.access"}


@pytest.mark.parametrize("transport", ["single", "vpc"])
def test_two_runs_at_once_do_not_mix_and_another_machine_cancels_one(study, transport):
    """The end of one is not that of the other, nobody reads what the other writes, and nothing is left."""
    study = study(transport)
    first = study.start("400", "0.25")
    second = study.start("12", "0.05")
    assert sorted(study.status()) == sorted([(first, "elsewhere"), (second, "elsewhere")])
    last = json.loads(study.scalable("attach", second, "--json").splitlines()[-1])
    assert (last["status"], last["tasks"]["done"]) == ("done", 12)
    study.scalable("artifacts", "get", "total.json", "--run", second)
    assert json.loads((study.there / "total.json").read_text()) == sum(x * x for x in range(12))

    await_that(lambda: len(study.computed(first)) > 12, study.logs)
    assert sorted(study.computed(second)) == list(range(12))
    await_that(lambda: study.status() == [(first, "elsewhere")], study.status)
    said = study.scalable("cancel", first)

    assert "nothing is left" in said
    await_that(lambda: not study.left, lambda: study.left)
    record = json.loads(study.scalable("report", first, "--format", "json"))["run"]
    assert record["status"] == "interrupted"
    assert "cancelled by" in record["error"]
    assert len(study.computed(first)) < 400
    assert study.status() == []


@pytest.mark.parametrize("transport", ["single", pytest.param("vpc", marks=pytest.mark.slow)])
def test_a_run_whose_driver_never_began_is_ended_without_waiting_for_it(study, transport):
    """Its image lacks what a driver needs; neither a job that stays nor a machine that went keeps anybody."""
    study = study(transport)
    study.google.tell("images", **{"models/plain-python:1": f"sha256:{'2' * 64}"})
    for place in (study.here, study.there):
        manifest = place / "scalable.yaml"
        manifest.write_text(manifest.read_text().replace("demeter:2", "plain-python:1"))
    run = study.start("4", "0.1")
    await_that(lambda: "No module named" in study.logs(), study.logs)
    assert study.status() == [(run, "elsewhere")]

    said = study.scalable("cancel", run)

    assert "nothing is left" in said
    assert not study.left
    record = json.loads(study.scalable("report", run, "--format", "json"))["run"]
    assert (record["status"], record["error"]) == ("interrupted", "its driver never began")
    assert study.status() == []


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["single", "vpc"])
def test_another_machine_ends_a_run_and_a_third_run_does_the_rest(study, transport):
    """What was done before a cancel is kept, and nothing is left in the cloud after either run."""
    study = study(transport)
    run = study.start("60", "0.5")
    await_that(lambda: "computed 5" in study.logs(), study.logs)
    assert study.status() == [(run, "elsewhere")]
    said = study.scalable("cancel", run)
    assert "nothing is left" in said
    await_that(lambda: not study.left, lambda: study.left)

    done = study.scalable("run", "--resume", run, "--detach", "--yes", cwd=study.here)
    again = done.strip()
    last = json.loads(study.scalable("attach", again, "--json").splitlines()[-1])
    assert last["tasks"]["cached"] >= 5
    assert last["tasks"]["cached"] + last["tasks"]["done"] == 60
    await_that(lambda: not study.left, lambda: study.left)


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["vpc", "relay"])
def test_a_run_whose_scheduler_is_lost_says_so_and_is_resumed_from_what_it_has_kept(
    study, transport
):
    """Attached: the machine with the scheduler, and the relay, goes in the middle."""
    study = study(transport)
    words = [SCALABLE, "run", "--yes", "--", "160", "0.3"]
    running = subprocess.Popen(
        words, cwd=study.here, env=study.environment, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    await_that(lambda: "computed 9" in study.logs(), study.logs)
    victim = next(name for name in study.google.state["instances"] if "-scheduler-" in name)
    study.google.tell("kill", id=victim)
    said, _ = running.communicate(timeout=200)

    assert running.returncode not in (0, 2), said
    assert "the scheduler is lost" in said
    assert not study.left
    (run,) = [each.name for each in (study.here / ".scalable" / "runs").iterdir()]
    study.scalable("run", "--resume", run, "--yes", cwd=study.here)
    last = json.loads(study.scalable("runs", "--json", cwd=study.here))["runs"][0]
    assert last["counts"]["cached"] >= 5
    assert last["counts"]["run"] + last["counts"]["cached"] == 160
    assert not study.left


@pytest.mark.parametrize("transport", ["single", pytest.param("vpc", marks=pytest.mark.slow)])
def test_a_driver_that_dies_leaves_nothing_and_its_run_is_resumed(study, transport):
    """What is around it removes pools, rules, secrets, and the job or the machine."""
    study = study(transport)
    run = study.start("120", "0.3")
    await_that(lambda: "computed 9" in study.logs(), study.logs)
    drivers = [
        each
        for each in psutil.process_iter(["cmdline"])
        if (each.info["cmdline"] or [])[1:4] == ["-m", "scalable", "drive"]
        and each.info["cmdline"][-1] == run
    ]
    drivers[0].kill()
    await_that(lambda: not study.left, lambda: study.left)

    study.scalable("down", run, "--yes", cwd=study.here)
    again = study.scalable("run", "--resume", run, "--detach", "--yes", cwd=study.here).strip()
    last = json.loads(study.scalable("attach", again, "--json").splitlines()[-1])
    assert last["tasks"]["cached"] >= 5
    assert last["tasks"]["cached"] + last["tasks"]["done"] == 120
    await_that(lambda: not study.left, lambda: study.left)


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["single", "relay"])
def test_what_a_killed_driver_leaves_ends_by_itself_or_by_down(study, transport):
    """Of a job nothing is left that is paid for, and of a machine nothing at all; `down` finds the rest."""
    study = study(transport)
    run = study.start("200", "0.3")
    await_that(lambda: "computed 5" in study.logs(), study.logs)
    victim = next(name for name in study.google.state["instances"] if name.endswith("-driver"))
    study.google.tell("kill", id=victim)
    said = study.scalable("down", run, "--yes")
    assert not study.left, said
    assert study.status() == []
