"""What is asked of Google Cloud, against Google's own descriptions of its APIs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scalable_core.cluster.launcher import MemberGroup
from scalable_core.errors import UsageError
from scalable_core.types import Plan, Project, Stores, Target, WorkerGroup
from scalable_core.types.units import GIB
from scalable_gcp import hourly, requests
from scalable_gcp.cloud_config import onsite_program
from scalable_gcp.driver import check_single, driver_job
from scalable_gcp.estimate import cost_estimate
from scalable_gcp.names import label, pool_name, stem
from scalable_gcp.options import CloudRunOptions
from scalable_gcp.sizes import single_size

sys.path.insert(0, str(Path(__file__).parents[1] / "testbed" / "gcp"))

from discovery import Wrong, check_schema

PLACE = {
    "labels": {"scalable-run": "r"},
    "network": "projects/p/global/networks/default",
    "subnetwork": "projects/p/regions/us-central1/subnetworks/default",
    "account": "1-compute@developer.gserviceaccount.com",
    "program": "pass",
}
SECRET = "projects/p/secrets/s"


def pool(**group) -> dict:
    """The body of a pool."""
    options = CloudRunOptions(region="us-central1", image="python:3.12")
    member = MemberGroup(name="model", **group)
    names = ["model-0", "model-1"]
    return requests.worker_pool(member, names, options, pool="p", place=SECRET, **PLACE)


@pytest.mark.parametrize("gpus", [0, 1])
def test_a_pool_is_what_cloud_run_understands(gpus):
    """Workers with and without a GPU; as many instances as names."""
    body = pool(cpus=3, memory=5 * GIB, gpus=gpus)

    check_schema("run", "GoogleCloudRunV2WorkerPool", body, "")
    limits = body["template"]["containers"][0]["resources"]["limits"]
    assert (limits["cpu"], limits["memory"]) == ("4", "5120Mi")
    assert limits.get("nvidia.com/gpu") == ("1" if gpus else None)
    assert body["scaling"] == {"manualInstanceCount": 2}


@pytest.mark.parametrize("public", [False, True])
def test_a_scheduler_s_machine_is_what_compute_engine_understands(public):
    """With a public address only when it was asked for, and nothing that is a secret."""
    options = CloudRunOptions(region="us-central1", image="python:3.12", public=public)
    body = requests.machine(
        "python:3.12",
        "scheduler-0",
        options,
        name="scalable-x-scheduler-0",
        tag="scalable-x",
        zone="us-central1-a",
        lifetime=3600,
        words=["scheduler", "scheduler", "scheduler-0", SECRET],
        secrets=[SECRET],
        **PLACE,
    )

    check_schema("compute", "Instance", body, "")
    assert ("accessConfigs" in body["networkInterfaces"][0]) == public


def test_a_rule_is_what_compute_engine_understands():
    """The check itself refuses what the service would."""
    rule = requests.firewall_rule("n", PLACE["network"], "d", ["10.0.0.0/20"], ["8786"], tag="t")

    check_schema("compute", "Firewall", rule, "")
    with pytest.raises(Wrong, match="Unknown name"):
        check_schema("compute", "Firewall", {**rule, "labels": {}}, "")
    with pytest.raises(Wrong, match="list is wanted"):
        check_schema("compute", "Firewall", {**rule, "sourceRanges": "10.0.0.0/20"}, "")


def test_names_are_what_google_takes_whatever_users_write():
    """Pools have fewer than 50 characters, and two runs never share one."""
    name = pool_name("My Study", "run-1", "A_very_long_component_name_with_much_to_say-1234")

    assert len(name) < 50
    assert name.startswith(f"{stem('My Study', 'run-1')}-a-very-long-")
    assert name.endswith("-1234")
    assert stem("a", "run-1") != stem("b", "run-1")
    assert label("My Study ü") == "my-study--"


def detached_plan(count: int, **options) -> Plan:
    """Plan workers of 2 vCPU and 8 GiB for a run whose driver is in Google Cloud."""
    given = CloudRunOptions(region="us-central1", image="python:3.12", n_workers=count, **options)
    group = WorkerGroup(
        name="model", cpus=2.0, memory=8 * GIB, threads=2, minimum=count, maximum=count
    )
    return Plan(
        project=Project(name="study"),
        target=Target(name="gcp", provider="gcp", options=given),
        manifest="/nowhere/scalable.yaml",
        workflow="/nowhere/workflow.py",
        lock="sha256:0",
        groups=(group,),
        minimum=count,
        maximum=count,
        detached=True,
        stores=Stores(records="/nowhere", artifacts="gs://bucket", cache="/nowhere"),
    )


def test_a_driver_s_job_is_what_cloud_run_understands():
    """It is run once, and ends some time after its driver must have."""
    plan = detached_plan(2, max_lifetime=7200)
    size = single_size(plan)
    assert size is not None
    body = driver_job(plan, size, words=["drive"], labels={"a": "b"}, account="a@b")

    check_schema("run", "GoogleCloudRunV2Job", body, "")
    task = body["template"]["template"]
    assert (task["maxRetries"], task["timeout"]) == (0, "7800s")


@pytest.mark.parametrize(
    ("count", "options", "size"),
    [
        (1, {}, "4 vCPU with 9G"),
        (2, {}, "6 vCPU with 17G"),
        (4, {}, "8 vCPU with 32G"),
        (5, {}, None),
        (2, {"transport": "single"}, "6 vCPU with 17G"),
        (2, {"transport": "vpc"}, None),
        (2, {"driver_image": "driver:1"}, None),
        (2, {"max_lifetime": 8 * 86400}, None),
    ],
)
def test_a_detached_run_takes_one_instance_if_it_fits(count, options, size):
    """The driver gets a GiB beside its workers as long as there is room."""
    found = single_size(detached_plan(count, **options))

    assert (None if found is None else str(found)) == size


def test_one_instance_is_refused_with_what_does_not_fit():
    """When it is asked for."""
    with pytest.raises(UsageError, match="5 workers with 10 vCPU and 40G together do not fit"):
        check_single(detached_plan(5, transport="single"))


def test_the_driver_is_in_the_estimate():
    """As one instance for as long as the run lasts, or as the scheduler's machine beside the pools."""
    one = {line.item: line for line in cost_estimate(detached_plan(2), provider="gcp").lines}
    several = {line.item for line in cost_estimate(detached_plan(5), provider="gcp").lines}

    assert one["Driver's instance: compute"].amount == pytest.approx(6 * 3600 * 0.000018)
    assert one["Driver's instance: memory"].amount == pytest.approx(17 * 3600 * 0.000002)
    assert not {"Compute", "Memory", "Scheduler machine"} & set(one)
    assert {"Compute", "Memory", "Driver machine", "Driver disk"} <= several


def test_an_image_without_a_driver_is_said_with_the_cure(tmp_path):
    """It ends before it has asked for anything."""
    program = tmp_path / "onsite.py"
    program.write_text(onsite_program())
    words = [sys.executable, "-I", "-S", program, "drive", "projects/p/secrets/s", "", "-m", "x"]
    done = subprocess.run(words, capture_output=True, text=True)

    assert done.returncode == 1
    assert "the image has no driver: No module named 'scalable_gcp'; cure: install" in done.stderr


def test_what_is_there_has_the_price_at_which_it_was_asked_for():
    """A worker is as dear as its offer said; a job that has ended costs nothing, and a GPU is unknown."""
    group = MemberGroup(name="model", cpus=3, memory=5 * GIB)
    job = driver_job(
        detached_plan(2), single_size(detached_plan(2)), words=[], labels={}, account=""
    )
    running = {**job, "latestCreatedExecution": {"name": "e"}}
    ended = {**job, "latestCreatedExecution": {"name": "e", "completionTime": "2026"}}

    assert hourly.of_worker("us-central1", pool(cpus=3, memory=5 * GIB)) == pytest.approx(
        requests.hourly(group, "us-central1")
    )
    assert hourly.of_worker("us-central1", pool(cpus=3, memory=5 * GIB, gpus=1)) is None
    assert hourly.of_job("us-central1", running) == pytest.approx(
        6 * 3600 * 0.000018 + 17 * 3600 * 0.000002
    )
    assert hourly.of_job("us-central1", ended) == 0.0
