"""What Google Cloud is asked before a run costs anything; each trouble is one sentence with its cure."""

from __future__ import annotations

import pytest

from scalable_core.errors import ImageError
from scalable_core.types import (
    HookContext,
    ImageRequest,
    Plan,
    Project,
    Stores,
    Target,
    WorkerGroup,
)
from scalable_gcp.images import resolve_image
from scalable_gcp.options import CloudRunOptions
from scalable_gcp.policy import MEMBERS, driver_permissions, required_permissions
from scalable_gcp.preflight import preflight

DIGEST = "sha256:" + "a" * 64


def make_plan(storage="/nowhere", **options) -> Plan:
    """Plan one worker; with a storage that others reach, the run is detached."""
    given = {"region": "us-central1", "image": "python:3.12", **options}
    return Plan(
        project=Project(name="study"),
        target=Target(name="gcp", provider="gcp", options=CloudRunOptions(**given)),
        manifest="/nowhere/scalable.yaml",
        workflow="/nowhere/workflow.py",
        lock="",
        groups=(
            WorkerGroup(name="model", cpus=2.0, threads=2, minimum=1, maximum=1, memory=2**32),
        ),
        minimum=1,
        maximum=1,
        detached="://" in storage,
        stores=Stores(records="/nowhere", artifacts=storage, cache="/nowhere"),
    )


def problems(**options) -> list:
    """What is found, without what is as it should be."""
    return [
        each for each in preflight(make_plan(**options), HookContext()) if each.severity != "info"
    ]


def test_a_project_in_order_has_no_problem_and_nothing_is_made(google):
    """Cloud Run itself is asked what it thinks of the workers."""
    found = preflight(make_plan(), HookContext())

    assert {each.severity for each in found} == {"info"}
    assert "Cloud Run takes the workers of 'model'" in {each.message for each in found}
    assert not any(google.state[kind] for kind in ("pools", "machines", "secrets", "rules"))
    validated = [c for c in google.calls if c["id"] == "run.projects.locations.workerPools.create"]
    assert validated[0]["query"]["validateOnly"] == "true"


@pytest.mark.parametrize(
    ("settings", "options", "code", "message", "cure"),
    [
        ({}, {"project_id": "other-project"}, "E1220", "no project 'other-project'", "project_id"),
        (
            {"disabled": ["run"]},
            {},
            "E1223",
            "run.googleapis.com",
            "gcloud services enable run.google",
        ),
        (
            {"disabled": ["compute"]},
            {},
            "E1223",
            "compute.googleapis.com",
            "gcloud services enable",
        ),
        (
            {"denied": ["run.workerPools.create"]},
            {},
            "E1222",
            "run.workerPools.create",
            "print-policy",
        ),
        ({"denied": ["iam.serviceAccounts.actAs"]}, {}, "E1222", "actAs", "serviceAccountUser"),
        ({"no_private_access": True}, {}, "E1228", "subnetwork default", "enable-private-ip"),
        ({}, {"region": "us-east4"}, "E1225", "no region 'us-east4'", "regions list"),
        ({}, {"zone": "us-central1-x"}, "E1225", "no zone us-central1-x", "us-central1-a"),
        ({}, {"subnetwork": "nowhere"}, "E1227", "no subnetwork 'nowhere'", "subnets list"),
        ({"quota": 0}, {}, "E1230", "Quota exceeded", "quota"),
    ],
)
def test_each_trouble_is_one_sentence_with_its_cure(google, settings, options, code, message, cure):
    """Before anything was made."""
    google.tell("settings", **settings)
    (problem, *others) = problems(**options)

    assert (problem.code, problem.severity) == (code, "error")
    assert message in problem.message
    assert cure in (problem.cure or "")
    assert "\n" not in problem.message
    assert not others


@pytest.mark.parametrize(
    ("storage", "code"),
    [("gs://bucket/runs", None), ("file:///shared/runs", "E1231"), ("s3://bucket/runs", "W1231")],
)
def test_a_driver_must_reach_the_storage_and_its_one_job_must_be_taken(google, storage, code):
    """Cloud Run is asked what it thinks of the job; no network and no tunnel is needed."""
    google.tell("settings", no_private_access=True, disabled=["iap"])
    found = preflight(make_plan(storage), HookContext())

    assert [each.code for each in found if each.severity != "info"] == [code] * bool(code)
    said = "driver, scheduler and workers fit into one instance of 2 vCPU with 5G"
    assert said in {each.message for each in found}
    asked = [c for c in google.calls if c["id"] == "run.projects.locations.jobs.create"]
    assert [call["query"]["validateOnly"] for call in asked] == ["true"]


def test_a_tag_of_artifact_registry_becomes_a_digest_in_one_call(google):
    """Names with slashes too; and those of Container Registry lead to where they are now."""
    google.tell("images", **{"models/land%2Fdemeter:2": DIGEST, "gcr.io/demeter:2": DIGEST})
    name = "us-central1-docker.pkg.dev/study-project/models/land/demeter"
    found = resolve_image(ImageRequest(reference=f"{name}:2"), HookContext(), provider="gcp")

    assert found is not None
    assert (found.pinned, found.digest) == (f"{name}@{DIGEST}", DIGEST)
    assert len(google.calls) == 1
    old = ImageRequest(reference="gcr.io/study-project/demeter:2")
    moved = resolve_image(old, HookContext(), provider="gcp")
    assert moved is not None
    assert moved.pinned == f"us-docker.pkg.dev/study-project/gcr.io/demeter@{DIGEST}"
    other = ImageRequest(reference="ghcr.io/acme/model:1")
    assert resolve_image(other, HookContext(), provider="gcp") is None


def test_an_image_that_is_not_there_is_one_sentence(google):
    """With the command that lists what is."""
    request = ImageRequest(reference="us-central1-docker.pkg.dev/study-project/models/demeter:9")
    with pytest.raises(
        ImageError, match=r"there is no image .*demeter:9 in repository 'models'"
    ) as caught:
        resolve_image(request, HookContext(), provider="gcp")

    assert caught.value.cure.startswith(
        "see what is there with: gcloud artifacts docker images list"
    )


def test_the_roles_are_those_of_the_driver_and_of_the_members():
    """As `gcloud iam roles create --file` takes them, and no wider than by name."""
    from ruamel.yaml import YAML

    policy = required_permissions(make_plan(), provider="gcp")
    driver, members = YAML(typ="safe").load_all(policy.text)

    assert (
        tuple(driver["includedPermissions"]) == policy.actions == driver_permissions(public=False)
    )
    assert tuple(members["includedPermissions"]) == MEMBERS
    assert "iap.tunnelInstances.accessViaIAP" in policy.actions
    assert not any("*" in each for each in policy.actions)
