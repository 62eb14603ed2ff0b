"""The estimate as ``scalable plan --json`` says it, from the manifest to the cent."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from scalable_core.cli.app import run

Cost = Callable[..., dict[str, Any]]

LINE = {
    "item", "component", "quantity", "unit", "unit_price", "amount", "low", "high", "monthly", "as_of",
    "source",
}  # fmt: skip
UNITS = {"vCPU-h", "GB-h", "GB-month", "GB", "h", "1k-requests"}

FARGATE = {
    "provider": "aws", "region": "us-east-1", "cluster_type": "fargate", "instance_type": "m5.xlarge",
    "worker_cpu": 4096, "worker_mem": 16384, "adaptive": {"minimum": 1, "maximum": 10},
}  # fmt: skip
RUN = {
    "provider": "gcp", "region": "us-central1", "cluster_type": "cloud_run", "worker_cpu": 4,
    "worker_mem": 16384, "adaptive": {"minimum": 2, "maximum": 20},
}  # fmt: skip
TARGETS = [
    FARGATE,
    {**FARGATE, "spot": True},
    {**FARGATE, "cluster_type": "ec2"},
    {**FARGATE, "cluster_type": "eks", "cluster": "shared"},
    RUN,
    {**RUN, "cluster_type": "gke", "cluster": "shared"},
    {**RUN, "cluster_type": "gke", "cluster": "shared", "machine_type": "n2-standard-4"},
    {"provider": "kubernetes", "n_workers": 4},
    {"provider": "kubernetes", "n_workers": 4, "price": {"vcpu_hour": 0.03, "gib_hour": 0.004}},
    {"provider": "local", "max_workers": 4},
]


@pytest.fixture
def cost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Cost:
    """The estimate of a target: ``plan --json`` with these arguments."""
    monkeypatch.chdir(tmp_path)

    def cost(target: dict[str, Any], *arguments: str, store: str = "s3://bucket/runs/") -> Any:
        document = {
            "version": 1,
            "project": {"name": "study", "default_storage": store},
            "targets": {"there": target},
            "components": {"analysis": {"cpus": 4, "memory": "16G"}},
            "tasks": {"run_analysis": {"component": "analysis"}},
        }
        YAML().dump(document, tmp_path / "scalable.yaml")
        (tmp_path / "workflow.py").write_text("")
        assert run(["plan", "--target", "there", "--dry-run", "--json", *arguments]) == 0
        plan = json.loads(capsys.readouterr().out)
        assert plan["schema"] == "scalable.plan/1"
        return plan["cost"]

    return cost


@pytest.mark.parametrize("target", TARGETS)
def test_the_fields_are_those_of_the_schema(cost, target):
    """Numbers are USD, units are spelled in one way, and the sums are those of the lines."""
    found = cost(target, "--hours", "2", "--output-size", "50GB")

    assert found["currency"] == "USD"
    assert found["basis"].endswith("2 h as asked") or found["basis"].startswith("this machine")
    lines = found["lines"]
    for line in lines:
        assert set(line) >= LINE
        assert line["unit"] in UNITS
        if line["amount"] is None:
            assert line["unit_price"] is None or line["quantity"] is None
        else:
            assert line["amount"] == pytest.approx(line["quantity"] * line["unit_price"])
    assert found["unpriced"] == [line["item"] for line in lines if line["amount"] is None]
    priced = [line for line in lines if line["amount"] is not None and not line["monthly"]]
    for of, total in (("amount", "expected"), ("low", "low"), ("high", "high")):
        assert (found[total] or 0.0) == pytest.approx(math.fsum(line[of] for line in priced))


@pytest.mark.parametrize(
    ("target", "hours", "store", "usd", "monthly"),
    [
        # Ten workers of 4 vCPU and 16 GB, a scheduler of 1 and 4, for 2 h, and 50 GB that are kept:
        # 3.2384 + 1.4224 + 0.08096 + 0.03556 + 11 x 2 x 0.005 + 6.4 x 0.005, and logs of a cent
        (FARGATE, "2", "s3://b/", 4.91932 + 22 / 1024 * 0.5, 1.15),
        # The same as Spot: 1.0310968 + 0.4528864 + 0.08096 + 0.03556 + 0.11 + 0.032
        ({**FARGATE, "spot": True}, "2", "s3://b/", 1.7425032 + 22 / 1024 * 0.5, 1.15),
        # m5.xlarge: 10 x 2 x 0.192; 30 GB gp3 on 11 machines: 330 x 2 / 730 x 0.08; m7a.medium 2 x 0.05796
        (
            {**FARGATE, "cluster_type": "ec2"}, "2", "s3://b/",
            3.84 + 330 * 2 / 730 * 0.08 + 0.11592 + 0.11 + 0.032 + 22 / 1024 * 0.5, 1.15,
        ),
        # 20 worker pool instances for half an hour: 40 vCPU-h x 0.0404784 + 160 GiB-h x 0.004446, the
        # scheduler's e2-medium and 20 GB, and 6.4 x 0.005; 50 GB x 0.02
        (
            RUN, "0.5", "gs://b/",
            1.619136 + 0.71136 + 0.5 * 0.03350571 + 20 * 0.5 / 730 * 0.1 + 0.032 + 10.5 / 1024 * 0.5, 1.0,
        ),
        # Autopilot: 80 x 0.0445 + 320 x 0.0049225 + 200 x 0.0000548 at 20 workers for an hour, the scheduler's
        # pod 0.0445 + 4 x 0.0049225 + 0.0000548, the cluster 0.10
        (
            {**RUN, "cluster_type": "gke", "cluster": "shared"}, "1", "gs://b/",
            3.56 + 1.5752 + 0.01096 + 0.0445 + 0.01969 + 0.0000548 + 0.10 + 0.032 + 21 / 1024 * 0.5, 1.0,
        ),
        # Four pods of a cluster whose owner charges: 16 vCPU-h x 0.03 + 64 GB-h x 0.004 and 0.03 + 4 x 0.004
        (TARGETS[8], "1", "s3://b/", 0.48 + 0.256 + 0.046, None),
    ],
)  # fmt: skip
def test_a_whole_bill_is_right_to_the_hundredth(cost, target, hours, store, usd, monthly):
    """All that has a price, added up by hand."""
    found = cost(target, "--hours", hours, "--output-size", "50GB", store=store)

    assert found["expected"] == pytest.approx(usd, rel=1e-4)
    assert found["monthly"] == (None if monthly is None else pytest.approx(monthly))


def test_the_estimate_is_the_same_on_every_machine(cost, tmp_path):
    """Whatever the clock, the language, the order of sets and the home folder are."""
    found = cost(FARGATE, "--hours", "3")
    script = "import sys; from scalable_core.cli.app import run; sys.exit(run(sys.argv[1:]))"
    arguments = ["plan", "--target", "there", "--dry-run", "--json", "--hours", "3"]
    for number, zone in enumerate(("Asia/Tokyo", "America/New_York")):
        environ = {
            **os.environ, "TZ": zone, "LANG": ("C", "de_DE.UTF-8")[number],
            "PYTHONHASHSEED": str(number), "HOME": str(tmp_path / str(number)),
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", script, *arguments],
            cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
        assert json.loads(done.stdout)["cost"] == found


def test_a_run_that_is_tried_says_the_same(cost, capsys):
    """``run --dry-run`` prints the plan's own estimate."""
    cost(FARGATE, "--hours", "1")
    assert run(["plan", "--target", "there"]) == 0
    planned = capsys.readouterr().out
    assert run(["run", "--target", "there", "--dry-run"]) == 0
    tried = capsys.readouterr().out

    estimate = planned[planned.index("Cost Estimate") : planned.index("Basis:")]
    assert "Compute:" in estimate
    assert estimate in tried
