"""The rules of the clouds' bills, each with its figure worked out."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

AWS = {"provider": "aws", "region": "us-east-1"}
EC2 = {**AWS, "cluster_type": "ec2"}
EKS = {**AWS, "cluster_type": "eks", "cluster": "shared"}
RUN = {"provider": "gcp", "region": "us-central1"}
GKE = {**RUN, "cluster_type": "gke", "cluster": "shared"}


def amounts(answer):
    """USD of each line, by item."""
    return {line.item: line.amount for line in answer.lines}


@pytest.mark.parametrize(
    ("target", "more", "item", "usd"),
    [
        # 10 workers x 4 vCPU x 2 h x 0.04048 = 3.2384; x 16 GB x 0.004445 = 1.4224
        (AWS, {}, "Compute", 3.2384),
        (AWS, {}, "Memory", 1.4224),
        # 1 vCPU x 2 h x 0.04048 and 4 GB x 2 h x 0.004445
        (AWS, {}, "Scheduler compute", 0.08096),
        (AWS, {}, "Scheduler memory", 0.03556),
        # 11 addresses x 2 h x 0.005
        (AWS, {}, "Public IPv4", 0.11),
        # 3 vCPU with 5 GB becomes 4 vCPU with 8 GB: 10 x 8 x 2 x 0.004445
        (AWS, {"cpus": 3, "memory": "5G"}, "Memory", 0.7112),
        # a second is a minute: 10 x 4 / 60 x 0.04048
        (AWS, {"hours": 1 / 3600}, "Compute", 10 * 4 / 60 * 0.04048),
        # 90.5 s is 91 s: 1 x 4 x 91 / 3600 x 0.04048
        (AWS, {"workers": 1, "hours": 90.5 / 3600}, "Compute", 4 * 91 / 3600 * 0.04048),
        # Spot of 2026-09-28: 80 x 0.01288871, which is 68% less and not 70%
        ({**AWS, "spot": True}, {}, "Compute", 1.0310968),
        # ARM has its own prices: 80 x 0.03238, and in Mumbai 80 x 0.02383
        ({**AWS, "architecture": "arm64"}, {}, "Compute", 2.5904),
        ({**AWS, "region": "ap-south-1", "architecture": "arm64"}, {}, "Compute", 1.9064),
        # 12,288 GB leave: 10,240 x 0.09 + 2,048 x 0.085
        (AWS, {"gb": 12288}, "Egress", 1095.68),
        # 50 GB are kept: 50 x 0.023; sent in 6,400 parts of 8 MB at 0.005 a thousand
        (AWS, {"gb": 50}, "S3 storage", 1.15),
        (AWS, {"gb": 50}, "S3 requests", 0.032),
        # 10 x m5.xlarge x 2 h x 0.192, with 30 GB gp3 each: 10 x 30 x 2 / 730 x 0.08
        ({**EC2, "instance_type": "m5.xlarge"}, {}, "Instances", 3.84),
        ({**EC2, "instance_type": "m5.xlarge"}, {}, "EBS volumes", 600 / 730 * 0.08),
        # two workers on an m5.2xlarge, so three need two: 2 x 2 h x 0.384
        ({**EC2, "instance_type": "m5.2xlarge"}, {"workers": 3}, "Instances", 1.536),
        # the control plane: 2 h x 0.10; on EKS Fargate costs what it does on ECS, and has no Spot
        (EKS, {}, "Cluster fee", 0.2),
        ({**EKS, "spot": True}, {}, "Compute", 3.2384),
        # a worker pool: 10 x 4 x 7,200 s x 0.000011244; x 16 GiB x 0.000001235
        (RUN, {}, "Compute", 3.238272),
        (RUN, {}, "Memory", 1.42272),
        # at least a minute: 10 x 4 x 60 s x 0.000011244
        (RUN, {"hours": 1 / 3600}, "Compute", 0.0269856),
        # Tier 1 by its own list, Tier 2 at 1.2 times it, and a region that no list has is Tier 2
        ({**RUN, "region": "asia-south1"}, {}, "Compute", 3.238272),
        ({**RUN, "region": "us-west2"}, {}, "Compute", 3.8859264),
        ({**RUN, "region": "africa-south1"}, {}, "Compute", 3.8859264),
        # 2,048 GB leave: 1,024 x 0.12 + 1,024 x 0.11
        (RUN, {"gb": 2048, "store": "gs://bucket/runs"}, "Egress", 235.52),
        # 50 GB are kept: 50 x 0.02; sent in 6,400 parts of 8 MB at 0.05 for 10,000
        (RUN, {"gb": 50, "store": "gs://bucket/runs"}, "Cloud Storage", 1.0),
        (RUN, {"gb": 50, "store": "gs://bucket/runs"}, "Cloud Storage requests", 0.032),
        # Autopilot: 80 x 0.0445; 320 x 0.0049225; 20 x 0.0000548; 2 h x 0.10
        (GKE, {}, "Compute", 3.56),
        (GKE, {}, "Memory", 1.5752),
        # the scheduler's pod: 1 vCPU x 2 h x 0.0445; 4 GiB x 2 h x 0.0049225
        (GKE, {}, "Scheduler compute", 0.089),
        (GKE, {}, "Scheduler memory", 0.03938),
        (EKS, {}, "Scheduler compute", 0.08096),
        (GKE, {}, "Ephemeral storage", 0.001096),
        (GKE, {}, "Cluster fee", 0.2),
        # at most 6.5 GiB a vCPU: 1 vCPU with 16 GiB becomes 2.5 vCPU: 20 x 2.5 x 0.0445
        (GKE, {"cpus": 1}, "Compute", 2.225),
        # Autopilot Spot: 80 x 0.0133
        ({**GKE, "spot": True}, {}, "Compute", 1.064),
    ],
)  # fmt: skip
def test_a_rule_gives_its_figure(estimate, target, more, item, usd):
    """The line of the rule, to a tenth of a thousandth."""
    assert amounts(estimate(target, **more))[item] == pytest.approx(usd, rel=1e-4)


def test_what_is_free_in_a_month_is_said_and_not_taken_off(estimate):
    """50 GB x 0.09 = 4.50 gross; all of it may be within the account's 100 GB."""
    line = {line.item: line for line in estimate(AWS, gb=50).lines}["Egress"]

    assert line.note.endswith("gross $4.50, net $0.00 after 100 GB free a month")
    assert (line.low, line.amount) == (0, pytest.approx(4.5))


def test_an_unknown_price_is_named_and_never_nothing(estimate):
    """Fargate on ARM has no price here for Ohio, and no region has one that is not known at all."""
    answer = estimate({**AWS, "region": "us-east-2", "architecture": "arm64"})
    lost = estimate({**AWS, "region": "us-east-9"})

    assert {"Compute", "Memory", "Scheduler compute"} <= set(answer.unpriced)
    assert {"Compute", "Memory"} <= set(lost.unpriced)
    assert "Public IPv4" not in lost.unpriced


def test_spot_has_a_date_and_a_band(estimate):
    """Its price is a ratio of the past, so the estimate says from where to where."""
    line = estimate({**AWS, "spot": True}).lines[0]

    assert line.low < line.amount < line.high
    assert line.as_of == "2026-09-28"


ALL = st.sampled_from([AWS, {**AWS, "spot": True}, EC2, EKS, RUN, GKE])


@settings(max_examples=40, deadline=None)
@given(target=ALL, data=st.data())
def test_more_never_costs_less(estimate, target, data):
    """More workers, hours, CPUs, memory or output: each amount of the sum is the same or more."""
    less = {
        "workers": data.draw(st.integers(1, 20)),
        "hours": data.draw(st.floats(0.001, 30)),
        "cpus": data.draw(st.integers(1, 4)),
        "memory": data.draw(st.integers(1, 8)),
        "gb": data.draw(st.floats(0, 1000)),
    }
    grown = data.draw(st.sampled_from(sorted(less)))
    more = {**less, grown: less[grown] * data.draw(st.integers(1, 2))}

    def priced(sizes):
        return estimate(target, **{**sizes, "memory": f"{sizes['memory']}G"})

    first, second = priced(less), priced(more)
    assert first.expected <= second.expected + 1e-9
    assert first.high <= second.high + 1e-9


@settings(max_examples=30, deadline=None)
@given(target=ALL, hours=st.floats(0.001, 100), gb=st.floats(0, 20000))
def test_lines_add_up(estimate, target, hours, gb):
    """Each is quantity x unit price, the sums are theirs, and asking again gives the same."""
    answer = estimate(target, hours=hours, gb=gb)

    known = [line for line in answer.lines if line.amount is not None]
    for line in known:
        assert line.amount == pytest.approx(line.quantity * line.unit_price)
        assert line.low <= line.amount + 1e-9
        assert line.amount <= line.high + 1e-9
    once = math.fsum(line.amount for line in known if not line.monthly)
    for end in ("low", "high"):
        sums = math.fsum(getattr(line, end) for line in known if not line.monthly)
        assert getattr(answer, end) == pytest.approx(sums)
    assert answer.expected == pytest.approx(once)
    assert answer == estimate(target, hours=hours, gb=gb)
