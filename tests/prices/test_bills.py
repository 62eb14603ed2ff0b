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
LONDON = {**AWS, "region": "eu-west-2"}
PRIVATE = {**AWS, "assign_public_ip": False}
N2 = {**GKE, "machine_type": "n2-standard-4"}


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
        # the smallest pair and the largest: 10 x 0.5 GB x 2 x 0.004445; 10 x 244 GB x 2 x 0.004445
        (AWS, {"cpus": 0.25, "memory": "100M"}, "Memory", 0.04445),
        (AWS, {"cpus": 32, "memory": "200G"}, "Memory", 21.6916),
        # 8 vCPU come with 16, 20, 24, .. GB: 10 x 20 x 2 x 0.004445; 31 GB need 8 vCPU: 10 x 8 x 2 x 0.04048
        (AWS, {"cpus": 8, "memory": "17G"}, "Memory", 1.778),
        (AWS, {"cpus": 4, "memory": "31G"}, "Compute", 6.4768),
        # a second is a minute: 10 x 4 / 60 x 0.04048
        (AWS, {"hours": 1 / 3600}, "Compute", 10 * 4 / 60 * 0.04048),
        # 90.5 s is 91 s: 1 x 4 x 91 / 3600 x 0.04048
        (AWS, {"workers": 1, "hours": 90.5 / 3600}, "Compute", 4 * 91 / 3600 * 0.04048),
        # each of ten workers has its own begun second: 10 x 4 x 91 / 3600 x 0.04048, not 905 / 3600
        (AWS, {"hours": 90.5 / 3600}, "Compute", 10 * 4 * 91 / 3600 * 0.04048),
        # above 20 GB of disk: 10 x 80 GB x 2 x 0.000111; x 0.000129 in London
        ({**AWS, "ephemeral_storage": "100G"}, {}, "Ephemeral storage", 0.1776),
        ({**LONDON, "ephemeral_storage": "100G"}, {}, "Ephemeral storage", 0.2064),
        # Spot of 2026-09-28: 80 x 0.01288871, which is 68% less and not 70%
        ({**AWS, "spot": True}, {}, "Compute", 1.0310968),
        # and 320 x 0.00141527; in Ireland 80 x 0.01224056, as much less; ARM is Spot too: 80 x 0.01030969
        ({**AWS, "spot": True}, {}, "Memory", 0.4528864),
        ({**AWS, "region": "eu-west-1", "spot": True}, {}, "Compute", 0.9792448),
        ({**AWS, "architecture": "arm64", "spot": True}, {}, "Compute", 0.8247752),
        # the scheduler never is: 1 vCPU x 2 h x 0.04048
        ({**AWS, "spot": True}, {}, "Scheduler compute", 0.08096),
        # a gateway in each of two zones: 2 x 2 h x 0.045; begun hours count whole: 1.5 h are 2
        ({**PRIVATE, "subnets": ["subnet-a", "subnet-b"]}, {}, "NAT gateway", 0.18),
        (PRIVATE, {"hours": 1.5}, "NAT gateway", 0.09),
        ({**PRIVATE, "region": "eu-west-2"}, {"hours": 1}, "NAT gateway", 0.05),
        ({**PRIVATE, "region": "ap-southeast-1"}, {"hours": 1}, "NAT gateway", 0.059),
        ({**PRIVATE, "region": "ap-northeast-1"}, {"hours": 1}, "NAT gateway", 0.062),
        ({**PRIVATE, "region": "sa-east-1"}, {"hours": 1}, "NAT gateway", 0.093),
        # an address for each instance, and for each task: 11 x 2 h x 0.005
        ({**EC2, "instance_type": "m5.xlarge"}, {}, "Public IPv4", 0.11),
        # CloudWatch: 22 h x 1/1024 GB x 0.50, and dearer elsewhere
        (AWS, {}, "Logs", 22 / 1024 * 0.50),
        (LONDON, {}, "Logs", 22 / 1024 * 0.5985),
        ({**AWS, "region": "eu-central-1"}, {}, "Logs", 22 / 1024 * 0.63),
        ({**AWS, "region": "ap-southeast-1"}, {}, "Logs", 22 / 1024 * 0.70),
        ({**AWS, "region": "ap-northeast-1"}, {}, "Logs", 22 / 1024 * 0.76),
        # ARM has its own prices: 80 x 0.03238, and in Mumbai 80 x 0.02383
        ({**AWS, "architecture": "arm64"}, {}, "Compute", 2.5904),
        ({**AWS, "region": "ap-south-1", "architecture": "arm64"}, {}, "Compute", 1.9064),
        # 12,288 GB leave: 10,240 x 0.09 + 2,048 x 0.085
        (AWS, {"gb": 12288}, "Egress", 1095.68),
        # 60,000 GB: 10,240 x 0.09 + 40,960 x 0.085 + 8,800 x 0.07
        (AWS, {"gb": 60000}, "Egress", 5019.2),
        # 10 GB from Tokyo, Sydney, Singapore, Sao Paulo, Cape Town
        ({**AWS, "region": "ap-northeast-1"}, {"gb": 10}, "Egress", 1.14),
        ({**AWS, "region": "ap-southeast-2"}, {"gb": 10}, "Egress", 1.14),
        ({**AWS, "region": "ap-southeast-1"}, {"gb": 10}, "Egress", 1.2),
        ({**AWS, "region": "sa-east-1"}, {"gb": 10}, "Egress", 1.5),
        ({**AWS, "region": "af-south-1"}, {"gb": 10}, "Egress", 1.54),
        # artifacts that go to another cloud leave too: 10 GB + 10 GB, x 0.09
        (AWS, {"gb": 10, "store": "gs://bucket/runs"}, "Egress", 1.8),
        # 60,000 GB are kept: 51,200 x 0.023 + 8,800 x 0.022
        (AWS, {"gb": 60000}, "S3 storage", 1371.2),
        # requests are 0.007 a thousand in Sao Paulo: 1,280 parts of 8 MB are 10 GB
        ({**AWS, "region": "sa-east-1"}, {"gb": 10}, "S3 requests", 0.00896),
        # 50 GB are kept: 50 x 0.023; sent in 6,400 parts of 8 MB at 0.005 a thousand
        (AWS, {"gb": 50}, "S3 storage", 1.15),
        (AWS, {"gb": 50}, "S3 requests", 0.032),
        # 10 x m5.xlarge x 2 h x 0.192, with 30 GB gp3 each: 10 x 30 x 2 / 730 x 0.08
        ({**EC2, "instance_type": "m5.xlarge"}, {}, "Instances", 3.84),
        ({**EC2, "instance_type": "m5.xlarge"}, {}, "EBS volumes", 600 / 730 * 0.08),
        # two workers on an m5.2xlarge, so three need two: 2 x 2 h x 0.384
        ({**EC2, "instance_type": "m5.2xlarge"}, {"workers": 3}, "Instances", 1.536),
        # at least a minute of each: 10 / 60 x 0.192; 90.5 s are 91 s
        ({**EC2, "instance_type": "m5.xlarge"}, {"hours": 1 / 3600}, "Instances", 0.032),
        (
            {**EC2, "instance_type": "m5.xlarge"},
            {"hours": 90.5 / 3600},
            "Instances",
            10 * 91 / 3600 * 0.192,
        ),
        # five pairs of workers on m5.2xlarge: 5 x 2 x 0.384; seven are four machines: 4 x 2 x 0.384
        ({**EC2, "instance_type": "m5.2xlarge"}, {}, "Instances", 3.84),
        ({**EC2, "instance_type": "m5.2xlarge"}, {"workers": 7}, "Instances", 3.072),
        # the control plane: 2 h x 0.10; on EKS Fargate costs what it does on ECS, and has no Spot
        (EKS, {}, "Cluster fee", 0.2),
        ({**EKS, "spot": True}, {}, "Compute", 3.2384),
        # which adds 256 MB to each pod and rounds up: 10 x 17 GB x 2 x 0.004445; 1 vCPU with 8 GB needs 2 vCPU
        (EKS, {}, "Memory", 1.5113),
        (EKS, {"cpus": 1, "memory": "8G"}, "Compute", 1.6192),
        (EKS, {}, "Scheduler memory", 5 * 2 * 0.004445),
        # a worker pool: 10 x 4 x 7,200 s x 0.000011244; x 16 GiB x 0.000001235
        (RUN, {}, "Compute", 3.238272),
        (RUN, {}, "Memory", 1.42272),
        # at least a minute: 10 x 4 x 60 s x 0.000011244
        (RUN, {"hours": 1 / 3600}, "Compute", 0.0269856),
        # Tier 1 by its own list, Tier 2 at 1.2 times it, and a region that no list has is Tier 2
        ({**RUN, "region": "asia-south1"}, {}, "Compute", 3.238272),
        ({**RUN, "region": "us-west2"}, {}, "Compute", 3.8859264),
        ({**RUN, "region": "africa-south1"}, {}, "Compute", 3.8859264),
        ({**RUN, "region": "mars-north1"}, {}, "Compute", 3.8859264),
        # six GiB-steps: 3 vCPU become 4, and 5 GiB stay; 1 vCPU holds 4 GiB, so 5 need 2 vCPU
        (RUN, {"cpus": 3, "memory": "5G"}, "Memory", 10 * 5 * 7200 * 0.000001235),
        (RUN, {"cpus": 1, "memory": "5G"}, "Compute", 10 * 2 * 7200 * 0.000011244),
        # the scheduler's machine, its disk and its address: 2 x 0.03350571; 20 GB x 2 / 730 x 0.10; 2 x 0.005
        (RUN, {}, "Scheduler machine", 0.06701142),
        (RUN, {}, "Scheduler disk", 20 * 2 / 730 * 0.10),
        ({**RUN, "public": True}, {}, "Public IPv4", 0.01),
        # an L4 each: 10 x 7,200 s x 0.0001867; elsewhere its price is not known here
        (RUN, {"gpus": 1}, "GPUs", 13.4424),
        # 2,048 GB leave: 1,024 x 0.12 + 1,024 x 0.11
        (RUN, {"gb": 2048, "store": "gs://bucket/runs"}, "Egress", 235.52),
        # 50 GB are kept: 50 x 0.02; sent in 6,400 parts of 8 MB at 0.05 for 10,000
        (RUN, {"gb": 50, "store": "gs://bucket/runs"}, "Cloud Storage", 1.0),
        (RUN, {"gb": 50, "store": "gs://bucket/runs"}, "Cloud Storage requests", 0.032),
        # Autopilot: 80 x 0.0445; 320 x 0.0049225; 10 GiB each: 200 x 0.0000548; 2 h x 0.10
        (GKE, {}, "Compute", 3.56),
        (GKE, {}, "Memory", 1.5752),
        # the scheduler's pod: 1 vCPU x 2 h x 0.0445; 4 GiB x 2 h x 0.0049225
        (GKE, {}, "Scheduler compute", 0.089),
        (GKE, {}, "Scheduler memory", 0.03938),
        (EKS, {}, "Scheduler compute", 0.08096),
        (GKE, {}, "Ephemeral storage", 0.01096),
        (GKE, {}, "Cluster fee", 0.2),
        # at most 6.5 GiB a vCPU: 1 vCPU with 16 GiB becomes 2.5 vCPU: 20 x 2.5 x 0.0445
        (GKE, {"cpus": 1}, "Compute", 2.225),
        # 0.3 vCPU become 0.5, 0.7 GiB become 1: 20 x 0.5 x 0.0445; 20 x 1 x 0.0049225
        (GKE, {"cpus": 0.3, "memory": "0.7G"}, "Compute", 0.445),
        (GKE, {"cpus": 0.3, "memory": "0.7G"}, "Memory", 0.09845),
        # at least 1 GiB a vCPU: 8 vCPU with 2 GiB get 8: 20 x 8 x 0.0049225
        (GKE, {"cpus": 8, "memory": "2G"}, "Memory", 0.7876),
        # pods have no minimum: ten seconds of ten are 10 x 4 x 10 / 3600 x 0.0445
        (GKE, {"hours": 10 / 3600}, "Compute", 10 * 4 * 10 / 3600 * 0.0445),
        # Taiwan by its own list: 80 x 0.0515; Tokyo by E2's cores: 80 x 0.0445 x 0.02802642 / 0.02181159
        ({**GKE, "region": "asia-east1"}, {}, "Compute", 4.12),
        ({**GKE, "region": "asia-northeast1"}, {}, "Compute", 4.57436),
        # nodes: 10 x 2 h x 0.194236; Spot 0.09212; 100 GB pd-balanced each: 10 x 100 x 2 / 730 x 0.10
        (N2, {}, "Instances", 3.88472),
        ({**N2, "spot": True}, {}, "Instances", 1.8424),
        (N2, {}, "Node disks", 0.2739726),
        # and at least a minute: 10 / 60 x 0.194236
        (N2, {"hours": 1 / 3600}, "Instances", 10 / 60 * 0.194236),
        # a whole month is 20% less on N2, 30% on N1, and nothing on E2
        (N2, {"hours": 730}, "Instances", 10 * 730 * 0.194236 * 0.8),
        ({**N2, "machine_type": "n1-standard-8"}, {"hours": 730}, "Instances", 10 * 730 * 0.379998 * 0.7),
        ({**N2, "machine_type": "e2-standard-4"}, {"hours": 730}, "Instances", 10 * 730 * 0.13402284),
        # half a month of N1: its first quarter whole, its second at 80%; a quarter of it has no discount
        ({**N2, "machine_type": "n1-standard-8"}, {"hours": 365}, "Instances", 10 * 365 * 0.379998 * 0.9),
        ({**N2, "machine_type": "n1-standard-8"}, {"hours": 182}, "Instances", 10 * 182 * 0.379998),
        # Spot has no such discount
        ({**N2, "spot": True}, {"hours": 730}, "Instances", 10 * 730 * 0.09212),
        # Autopilot Spot: 80 x 0.0133
        ({**GKE, "spot": True}, {}, "Compute", 1.064),
    ],
)  # fmt: skip
def test_a_rule_gives_its_figure(estimate, target, more, item, usd):
    """The line of the rule, to a tenth of a thousandth."""
    assert amounts(estimate(target, **more))[item] == pytest.approx(usd, rel=1e-4)


@pytest.mark.parametrize(
    ("target", "more", "item", "gross", "net"),
    [
        # 100 GB may leave AWS: 50 x 0.09; (150 - 100) x 0.09
        (AWS, {"gb": 50}, "Egress", 4.5, 0.0),
        (AWS, {"gb": 150}, "Egress", 13.5, 4.5),
        # 5 GB of logs: 10,100 h x 1/1024 GB are 9.863
        (AWS, {"workers": 100, "hours": 100}, "Logs", 4.93164, 2.43164),
        # worker pools have 384,204 vCPU-s and 728,744 GiB-s: 106.7233 and 202.4289 h
        (RUN, {}, "Compute", 3.238272, 0.0),
        (RUN, {"hours": 10}, "Compute", 16.19136, (400 - 106.72333) * 0.0404784),
        (RUN, {"hours": 10}, "Memory", 7.1136, (1600 - 202.42889) * 0.004446),
        # the credit of $74.40 is 744 h of a cluster: 800 x 0.10; 56 x 0.10
        (GKE, {}, "Cluster fee", 0.2, 0.0),
        (GKE, {"hours": 800}, "Cluster fee", 80.0, 5.6),
        # one GiB may leave Google Cloud: 10 x 0.12; 9 x 0.12
        (RUN, {"gb": 10, "store": "gs://bucket/runs"}, "Egress", 1.2, 1.08),
    ],
)  # fmt: skip
def test_what_is_free_in_a_month_is_said_and_not_taken_off(
    estimate, target, more, item, gross, net
):
    """The amount is gross, the low end net: what else the account does in a month is not known."""
    line = {line.item: line for line in estimate(target, **more).lines}[item]

    assert (line.amount, line.net) == (pytest.approx(gross), pytest.approx(net))
    assert line.low == pytest.approx(net)
    assert f"gross ${gross:.2f}, net ${net:.2f} after " in line.note
    assert line.note.endswith(" free a month")


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (EKS, "$0.6/h for a version that is in extended support"),
        (GKE, "$0.5/h more for a version that is out of support"),
    ],
)
def test_an_old_cluster_may_cost_more(estimate, target, said):
    """Which version it has only the cloud knows."""
    (line,) = (line for line in estimate(target).lines if line.item == "Cluster fee")

    assert said in line.note


def test_the_total_is_gross_and_net(estimate):
    """All lines at list prices, and with what is free in a month: egress here, and a little of logs."""
    answer = estimate(AWS, gb=50)

    saved = math.fsum(line.amount - line.net for line in answer.lines if line.net is not None)
    assert saved == pytest.approx(4.5 + 22 / 1024 * 0.5)
    assert answer.net == pytest.approx(answer.expected - saved)


def test_components_share_what_the_account_has_free(estimate):
    """2 x 80 vCPU-h, of which 106.7233 are free: 53.2767 are left to pay."""
    lines = estimate(RUN, others={"second": {"cpus": 4, "memory": "16G"}}).lines

    nets = [line.net for line in lines if line.item == "Compute"]
    assert nets[0] == 0
    assert nets[1] == pytest.approx((160 - 106.72333) * 0.0404784)


@pytest.mark.parametrize(
    ("cpus", "memory", "usd"),
    [
        # 10 x (4 x 0.04048 + 16 x 0.004445) + 0.04048 + 4 x 0.004445 + 11 x 0.005
        (4, "16G", 2.44366),
        # 11 x (0.04048 + 4 x 0.004445) + 11 x 0.005
        (1, "4G", 0.69586),
    ],
)
def test_a_cluster_on_fargate_costs_all_of_its_members(estimate, cpus, memory, usd):
    """Ten workers, the scheduler and an address for each, for an hour."""
    found = amounts(estimate(AWS, hours=1, cpus=cpus, memory=memory))

    parts = ("Compute", "Memory", "Scheduler compute", "Scheduler memory", "Public IPv4")
    assert math.fsum(found[item] for item in parts) == pytest.approx(usd, abs=1e-5)


def test_traffic_between_zones_is_paid_in_both_directions_and_not_known_before(estimate):
    """0.01 a GB each way; with one subnet there is one zone."""
    (line,) = (line for line in estimate(AWS).lines if line.item == "Inter-zone traffic")

    assert (line.unit_price, line.amount) == (0.02, None)
    assert "Inter-zone traffic" not in amounts(estimate({**AWS, "subnets": ["subnet-a"]}))


@pytest.mark.parametrize(("kind", "usd"), [("t3.xlarge", 0.05), ("t4g.xlarge", 0.04)])
def test_bursting_machines_may_pay_for_more_than_their_share(estimate, kind, usd):
    """How busy they will be nobody knows before: ``?`` at the price of a surplus vCPU-hour."""
    arch = {"architecture": "arm64"} if kind.startswith("t4g") else {}
    answer = estimate({**EC2, "instance_type": kind, **arch})
    (line,) = (line for line in answer.lines if line.item == "CPU credits")

    assert (line.unit, line.unit_price, line.amount) == ("vCPU-h", pytest.approx(usd), None)
    assert "CPU credits" not in amounts(estimate({**EC2, "instance_type": "m5.xlarge"}))


@pytest.mark.parametrize(
    ("region", "usd"), [("us-east-1", "0.06"), ("eu-west-2", "0.066"), ("ap-northeast-1", "0.084")]
)
def test_endpoints_are_the_other_way_out(estimate, region, usd):
    """Three of them for 2 h: 6 x 0.01, 6 x 0.011 in London, 6 x 0.014 in Tokyo."""
    lines = estimate({**PRIVATE, "region": region, "subnets": ["subnet-a"]}).lines
    (line,) = (line for line in lines if line.item == "NAT gateway")

    assert line.note.endswith(f"endpoints for ECR and logs in its place are ${usd}")
    assert line.low == 0


def test_the_size_of_an_image_decides_what_its_pulls_cost(estimate):
    """10 x 2 GB through a gateway at 0.045, and 0.02 from another region; unknown as long as the size is."""
    image = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/m:1"
    known = amounts(estimate(PRIVATE, image=image, image_gb=2))
    unknown = amounts(estimate(PRIVATE, image=image))

    assert known["NAT data"] == pytest.approx(0.9)
    assert known["Image pulls"] == pytest.approx(0.4)
    assert (unknown["NAT data"], unknown["Image pulls"]) == (None, None)


def test_an_image_in_another_region_is_paid_for_by_the_pull(estimate):
    """0.02 a GB; how large it is only a plan with `--online` knows. In the same region it is free."""
    image = "123456789012.dkr.ecr.{}.amazonaws.com/m:1"
    far = estimate(AWS, image=image.format("eu-west-1"))
    near = estimate(AWS, image=image.format("us-east-1"))

    (line,) = (line for line in far.lines if line.item == "Image pulls")
    assert (line.unit_price, line.amount) == (0.02, None)
    assert "Image pulls" not in amounts(near)


def test_a_gpu_is_one_that_people_mean_and_that_is_offered(estimate):
    """g4ad.xlarge is the cheapest with a GPU, and has no CUDA; p5 has a price in us-west-1 alone."""
    first = estimate(EC2, gpus=1).lines[0]
    west = estimate({**EC2, "region": "us-west-1"}, gpus=8).lines[0]

    assert first.note.startswith("10 g4dn.xlarge x 2h")
    assert "p5.48xlarge" not in west.note


@pytest.mark.parametrize("size", [{"cpus": 32}, {"memory": "120G"}])
def test_a_pod_beyond_the_general_purpose_class_has_no_price_here(estimate, size):
    """30 vCPU and 110 GiB are its most; other classes have other prices."""
    assert {"Compute", "Memory"} <= set(estimate(GKE, **size).unpriced)
    assert "Compute" not in estimate(GKE, cpus=30, memory="110G").unpriced


def test_workers_share_a_node_by_its_gpus_too(estimate):
    """g2-standard-96 holds 24 workers of 4 vCPU, and has 8 GPUs: 10 workers need two, for 2 h each."""
    target = {**N2, "machine_type": "g2-standard-96"}
    (line,) = (line for line in estimate(target, gpus=1).lines if line.item == "Instances")

    assert line.quantity == 4
    assert ", 8 workers on each" in line.note


def test_spot_machines_are_no_dearer_for_less(estimate):
    """Chosen by what they cost as Spot, with each end of the band the least over all that fit."""
    spot = {**EC2, "spot": True}
    sizes = [
        (1, 2),
        (1, 8),
        (2, 8),
        (2, 16),
        (4, 16),
        (8, 16),
        (8, 64),
        (16, 64),
        (16, 128),
        (48, 256),
    ]
    lines = [
        next(line for line in estimate(spot, cpus=cpus, memory=f"{gib}G").lines)
        for cpus, gib in sizes
    ]

    for end in ("low", "amount", "high"):
        assert [getattr(line, end) for line in lines] == sorted(
            getattr(line, end) for line in lines
        )


def test_a_disk_without_a_price_is_a_question(estimate):
    """Ireland has no price of Fargate's disks here."""
    answer = estimate({**AWS, "region": "eu-west-1", "ephemeral_storage": "100G"})

    assert "Ephemeral storage" in answer.unpriced


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


OWN = {"provider": "kubernetes", "price": {"vcpu_hour": 0.03, "gib_hour": 0.004}}
ALL = st.sampled_from([
    AWS, {**AWS, "spot": True}, {**AWS, "architecture": "arm64"}, {**AWS, "ephemeral_storage": "60G"},
    PRIVATE, EC2, {**EC2, "spot": True}, {**EC2, "instance_type": "m5.24xlarge"}, EKS,
    {**EKS, "instance_type": "m5.24xlarge"}, RUN, {**RUN, "region": "us-west2", "public": True}, GKE,
    {**GKE, "spot": True}, {**N2, "machine_type": "n1-standard-32"}, {**N2, "machine_type": "n2-standard-32"},
    OWN, {"provider": "local"},
])  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(target=ALL, data=st.data())
def test_more_never_costs_less(estimate, target, data):
    """More workers, hours, CPUs, memory or output: each amount of the sum is the same or more."""
    less = {
        "workers": data.draw(st.integers(1, 20)),
        "hours": data.draw(st.floats(0.001, 800)),
        "cpus": data.draw(st.integers(1, 4)),
        "memory": data.draw(st.integers(1, 8)),
        "gb": data.draw(st.floats(0, 1000)),
    }
    grown = data.draw(st.sampled_from(sorted(less)))
    more = {**less, grown: less[grown] * data.draw(st.integers(1, 2))}
    if grown in ("hours", "gb"):
        more[grown] = less[grown] + data.draw(st.floats(0, 100))

    def priced(sizes):
        return estimate(target, **{**sizes, "memory": f"{sizes['memory']}G"})

    first, second = priced(less), priced(more)
    assert first.expected <= second.expected + 1e-9
    assert first.high <= second.high + 1e-9


@settings(max_examples=60, deadline=None)
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
