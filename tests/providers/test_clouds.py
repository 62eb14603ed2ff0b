"""What holds for all clouds: they plan, and load no SDK for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scalable_core.errors import ManifestError
from scalable_core.session.planning import load, make_plan

TARGETS = {
    "aws": {"provider": "aws", "region": "us-east-1"},
    "gcp": {"provider": "gcp", "region": "us-central1"},
    "kubernetes": {"provider": "kubernetes"},
}

TUTORIAL = """\
version: 1
project:
  name: demeter-lulcc
  default_storage: s3://${S3_BUCKET}/scalable-runs/
targets:
  local: {provider: local, max_workers: 4, processes: false, containers: none}
  aws:
    provider: aws
    region: us-east-1
    cluster_type: fargate
    instance_type: m5.xlarge
    worker_cpu: 4096
    worker_mem: 16384
    image: 123456789.dkr.ecr.us-east-1.amazonaws.com/demeter:2.0.1
    adaptive: {minimum: 1, maximum: 10}
  gcp:
    provider: gcp
    region: us-central1
    cluster_type: cloud_run
    worker_cpu: 4
    worker_mem: 16384
    image: gcr.io/my-project/demeter:2.0.1
    adaptive: {minimum: 2, maximum: 20}
components:
  analysis: {cpus: 4, memory: 16G}
tasks:
  run_analysis: {component: analysis}
"""


@pytest.mark.parametrize("provider", TARGETS)
@pytest.mark.parametrize(
    ("options", "code", "where"),
    [
        ({"n_workers": 20, "adaptive": {"maximum": 10}}, "E0212", "n_workers"),
        ({"n_workers": 5, "adaptive": {"maximum": 10}}, "W0212", "n_workers"),
        ({"min_workers": 2}, "E0213", "min_workers"),
        ({"n_workers": 5, "min_workers": 6}, "E0213", "min_workers"),
        ({"adaptive": {"maximum": 3}, "min_workers": 4}, "E0213", "min_workers"),
        ({"idle_timeout": "2h", "max_lifetime": "1h"}, "W0214", "idle_timeout"),
    ],
)
def test_sizes_and_lifetimes_of_a_fleet_that_do_not_fit_are_found(
    read, provider, options, code, where
):
    """In the same words whoever provides it; a warning where it only has no effect."""
    try:
        problems = read({**TARGETS[provider], **options}).problems
    except ManifestError as error:
        problems = error.problems

    (problem,) = (each for each in problems if each.where != "components.model")
    assert (problem.code, problem.where) == (code, f"targets.there.{where}")
    assert problem.severity == {"E": "error", "W": "warning"}[code[0]]


@pytest.fixture
def tutorial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The manifest of the tutorial."""
    monkeypatch.setenv("S3_BUCKET", "my-bucket")
    path = tmp_path / "scalable.yaml"
    path.write_text(TUTORIAL)
    return path


@pytest.mark.parametrize(
    ("target", "codes", "maximum"),
    [("aws", ["W1114"], 10), ("gcp", ["W1209"], 20), ("local", [], 4)],
)
def test_the_tutorial_plans_for_each_of_its_targets(tutorial, host, target, codes, maximum):
    """Without an error, and with a bill that is nothing on this machine alone."""
    manifest = load(tutorial, target=target, host=host)
    plan = make_plan(manifest, host=host)

    assert [problem.code for problem in manifest.problems] == codes
    assert all(problem.line for problem in manifest.problems)
    assert (plan.maximum, plan.cost.provider) == (maximum, target)
    assert (plan.cost.expected > 0) == (target != "local")
    (group,) = plan.groups
    assert (group.cpus, group.memory, group.threads) == (4, 16 * 2**30, 4)


def test_planning_for_a_cloud_loads_no_sdk(tutorial):
    """Nor Dask's distributed, nor another provider."""
    code = (
        "import sys\n"
        "from scalable_core.plugins import PluginHost\n"
        "from scalable_core.session.planning import load, make_plan\n"
        "host = PluginHost()\n"
        "for target in ('aws', 'gcp'):\n"
        "    manifest = load('scalable.yaml', target=target, host=host)\n"
        "    make_plan(manifest, host=host)\n"
        "host.target_options('kubernetes')\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tutorial.parent,
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert {"scalable_aws", "scalable_gcp", "scalable_kubernetes"} <= loaded
    assert not loaded & {
        "aiobotocore", "botocore", "boto3", "google", "gcloud", "kubernetes", "distributed", "pandas",
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_every_option_has_help_for_the_schema_and_the_docs(host, name):
    """One line each."""
    import attrs

    options = host.target_options(name)
    for cls in options.values() if isinstance(options, dict) else [options]:
        for field in attrs.fields(cls):
            assert field.metadata["help"].endswith("."), field.name
