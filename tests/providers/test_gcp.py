"""Targets on Google Cloud: read, checked without Google, and their bill named line by line."""

from __future__ import annotations

import importlib.util

import pytest

from scalable_core.errors import UsageError
from scalable_core.types.units import GIB, MIB

GCP = {"provider": "gcp", "region": "us-central1"}


def test_cloud_run_is_the_default_and_every_kind_takes_the_same_options(read):
    """A target moves between the kinds by its cluster_type alone."""
    options = {
        "project_id": "my-project", "worker_cpu": 4, "worker_mem": "16Gi", "image": "model:1",
        "service_account": "w@my-project.iam.gserviceaccount.com", "network": "default",
        "subnetwork": "workers", "zone": "us-central1-a", "machine_type": "n2-standard-4",
        "n_workers": 2, "spot": False, "idle_timeout": "30m", "max_lifetime": "12h", "min_workers": 1,
    }  # fmt: skip

    assert read(GCP).target.cluster_type == "cloud_run"
    for kind in ("cloud_run", "gke"):
        target = read({**GCP, **options, "cluster_type": kind}).target
        assert (target.cluster_type, target.options.zone) == (kind, "us-central1-a")
    more = {"transport": "relay", "public": True, "scheduler_machine_type": "e2-small"}
    assert read({**GCP, **more}).target.options.transport == "relay"


@pytest.mark.parametrize("memory", [16384, "16Gi", "16G", "16GiB"])
def test_bare_numbers_are_vcpu_and_mib(read, memory):
    """As users know them from this service."""
    options = read({**GCP, "worker_cpu": 4, "worker_mem": memory}).target.options

    assert (options.worker_cpu, options.worker_mem) == (4.0, 16 * GIB)


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ((1, 4 * GIB), (1, 4 * GIB)),
        ((4, 16 * GIB), (4, 16 * GIB)),
        ((4, 20 * GIB), (6, 20 * GIB)),
        ((2, 16 * GIB), (4, 16 * GIB)),
        ((3, 4 * GIB), (4, 4 * GIB)),
        ((5, 1 * GIB), (6, 4 * GIB)),
        ((0.5, 128 * MIB), (1, 512 * MIB)),
        ((8, 32 * GIB), (8, 32 * GIB)),
        ((1, 25 * GIB), (8, 25 * GIB)),
        ((8, None), (8, 4 * GIB)),
        ((9, None), None),
        ((1, 33 * GIB), None),
    ],
)
def test_sizes_stay_inside_the_bands(asked, given):
    """Rounded up to the first number of CPUs whose band holds the memory."""
    from scalable_gcp.sizes import fit

    size = fit(*asked)

    assert (None if size is None else (size.cpus, size.memory)) == given


def test_a_pair_outside_the_band_is_rounded_up_and_said(found):
    """The service would refuse 4 vCPU with 20 GiB."""
    (problem,) = found(**GCP, worker_cpu=4, worker_mem="20Gi").values()

    assert (problem.code, problem.severity) == ("W1211", "warning")
    assert problem.message.endswith("a worker gets 6 vCPU with 20G")


@pytest.mark.parametrize(
    ("size", "code", "words"),
    [
        ({"worker_cpu": 16}, "E1211", "at most 8 vCPU, not 16; the nearest size is 8 vCPU with 4G"),
        ({"worker_mem": "64G"}, "E1211", "at most 32G of memory, not 64G"),
        ({"worker_cpu": 4096}, "E1210", "4096 means 4096 vCPU here"),
        ({"worker_mem": 16}, "E1210", "16 means 16 MiB here"),
    ],
)
def test_what_nothing_holds_is_an_error(found, size, code, words):
    """With the nearest size, or the unit that was meant."""
    (problem,) = found(**GCP, **size).values()

    assert (problem.code, problem.severity) == (code, "error")
    assert words in problem.message
    assert problem.cure


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("gcr.io/my-project/demeter:2.0.1", "us-docker.pkg.dev/my-project/gcr.io/demeter:2.0.1"),
        ("eu.gcr.io/p/a/b@sha256:0", "europe-docker.pkg.dev/p/eu.gcr.io/a/b@sha256:0"),
        ("asia.gcr.io/p/a", "asia-docker.pkg.dev/p/asia.gcr.io/a"),
    ],
)
def test_an_image_of_container_registry_has_a_new_name(found, image, name):
    """The warning gives it in the form of Artifact Registry."""
    (problem,) = found(**GCP, image=image).values()

    assert (problem.code, problem.where, problem.severity) == ("W1209", "image", "warning")
    assert problem.cure.endswith(name)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"region": "us-east-1"}, "E1201"),
        ({"region": "us-central1-a"}, "E1201"),
        ({"zone": "europe-west1-b"}, "E1202"),
        ({"project_id": "My Project"}, "E1203"),
        ({"service_account": "me@example.com"}, "E1204"),
        ({"machine_type": "m5.xlarge"}, "E1205"),
        ({"scheduler_machine_type": "small"}, "E1205"),
        ({"spot": True}, "W1212"),
        ({"transport": "single", "n_workers": 4, "worker_cpu": 4}, "E1213"),
        ({"transport": "single", "public": True}, "W1214"),
    ],
)
def test_a_rule_finds_what_breaks_it_and_nothing_else(found, options, code):
    """One problem with its code; a warning where the run would still do what is meant."""
    (problem,) = found(**{**GCP, **options}).values()

    assert problem.code == code
    assert problem.severity == {"E": "error", "W": "warning"}[code[0]]
    assert problem.where in options


@pytest.mark.parametrize(
    "options",
    [
        {"region": "northamerica-northeast1", "zone": "northamerica-northeast1-a"},
        {"project_id": "example.com:my-project"},
        {"machine_type": "n2-custom-4-8192"},
        {"image": "us-central1-docker.pkg.dev/my-project/models/demeter:2.0.1"},
        {"transport": "single", "n_workers": 4, "worker_cpu": 2, "worker_mem": "8G"},
        {"spot": True, "cluster_type": "gke", "cluster": "shared"},
        {"worker_cpu": 16, "cluster_type": "gke", "cluster": "shared"},
    ],
)
def test_what_is_right_is_let_be(found, options):
    """No rule speaks where nothing is wrong."""
    assert found(**{**GCP, **options}) == {}


def test_gke_wants_its_own_dist_and_a_cluster(found, monkeypatch):
    """The pip line is the cure of the first."""
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        "scalable_gcp.checks.find_spec",
        lambda name: None if name == "scalable_kubernetes" else find_spec(name),
    )
    problems = found(**GCP, cluster_type="gke")

    assert problems["E1215"].cure == "pip install 'scalable-gcp[gke]'"
    assert set(problems) == {"E1215", "E1216"}


def test_the_bill_of_cloud_run_names_all_that_is_paid(estimate):
    """Workers at their rounded size, the scheduler's machine, logs, and storage in another cloud too."""
    answer = estimate({**GCP, "n_workers": 3, "public": True}, cpus=3, memory="5G", gpus=1)

    lines = {line.item: line for line in answer.lines}
    assert set(lines) == {
        "Compute", "Memory", "GPUs", "Scheduler machine", "Scheduler disk", "Public IPv4",
        "Logs", "S3 storage", "S3 requests", "Inter-zone traffic", "Egress",
    }  # fmt: skip
    assert lines["Compute"].note.startswith(
        "3 workers x 4 vCPU x 1h, rounded up from 3 vCPU with 5G; gross $"
    )
    assert answer.provider == "gcp"
    assert answer.unpriced == ("S3 storage", "S3 requests", "Inter-zone traffic", "Egress")


def test_the_bill_of_gke_has_its_control_plane(estimate):
    """Beside what the pods ask for."""
    answer = estimate({**GCP, "cluster_type": "gke", "cluster": "shared"}, cpus=16)

    items = {line.item for line in answer.lines}
    assert {"Compute", "Memory", "Ephemeral storage", "Cluster fee"} <= items


def test_a_single_instance_has_no_scheduler_of_its_own(estimate):
    """Scheduler and workers are in it together."""
    answer = estimate({**GCP, "transport": "single"})

    assert "Scheduler machine" not in {line.item for line in answer.lines}


def test_a_component_that_cloud_run_cannot_hold_is_named(estimate):
    """Exit code 2: the manifest asks for what there is not."""
    with pytest.raises(
        UsageError, match="component 'model' does not fit target 'there': Cloud Run"
    ):
        estimate(GCP, cpus=16)
