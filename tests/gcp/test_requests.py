"""What is asked of Google Cloud, against Google's own descriptions of its APIs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from scalable_core.cluster.launcher import MemberGroup
from scalable_core.types.units import GIB
from scalable_gcp import requests
from scalable_gcp.names import label, pool_name, stem
from scalable_gcp.options import CloudRunOptions

sys.path.insert(0, str(Path(__file__).parents[1] / "testbed" / "gcp"))

from discovery import Wrong, check_schema

PLACE = {
    "labels": {"scalable-run": "r"},
    "network": "projects/p/global/networks/default",
    "subnetwork": "projects/p/regions/us-central1/subnetworks/default",
    "account": "1-compute@developer.gserviceaccount.com",
    "program": "pass",
    "place": "projects/p/secrets/s",
}


def pool(**group) -> dict:
    """The body of a pool."""
    options = CloudRunOptions(region="us-central1", image="python:3.12")
    member = MemberGroup(name="model", **group)
    return requests.worker_pool(member, ["model-0", "model-1"], options, pool="p", **PLACE)


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
    body = requests.scheduler_machine(
        MemberGroup(name="scheduler", role="scheduler"),
        "scheduler-0",
        options,
        name="scalable-x-scheduler-0",
        tag="scalable-x",
        zone="us-central1-a",
        lifetime=3600,
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
