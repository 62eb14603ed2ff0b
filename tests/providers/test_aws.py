"""Targets on AWS: read, checked without AWS, and their bill named line by line."""

from __future__ import annotations

import importlib.util

import pytest

from scalable_core.errors import UsageError
from scalable_core.types.units import GIB, MIB

AWS = {"provider": "aws", "region": "us-east-1"}

#: What the service documents: vCPU to MiB.
TABLE = {
    0.25: [512, 1024, 2048],
    0.5: [1024, 2048, 3072, 4096],
    1: [2048, 3072, 4096, 5120, 6144, 7168, 8192],
    2: [*range(4096, 16385, 1024)],
    4: [*range(8192, 30721, 1024)],
    8: [*range(16384, 61441, 4096)],
    16: [*range(32768, 122881, 8192)],
    32: [61440, 122880, 249856],
}


def test_fargate_is_the_default_and_every_kind_takes_the_same_options(read):
    """A target moves between the kinds by its cluster_type alone."""
    options = {
        "profile": "work", "instance_type": "m5.xlarge", "image": "model:1", "worker_cpu": 4096,
        "worker_mem": 16384, "n_workers": 2, "vpc": "vpc-0a1b", "subnets": ["subnet-0a1b"],
        "security_groups": ["sg-0a1b"], "environment": {"A": "b"}, "tags": {"team": "x"}, "spot": True,
        "capacity": "spot", "architecture": "arm64", "scheduler_cpu": 1024, "scheduler_mem": "8G",
        "assign_public_ip": True, "idle_timeout": "30m", "max_lifetime": "12h", "min_workers": 1,
    }  # fmt: skip

    assert read(AWS).target.cluster_type == "fargate"
    for kind in ("fargate", "ec2", "eks"):
        target = read({**AWS, **options, "cluster_type": kind}).target
        assert (target.cluster_type, target.options.spot) == (kind, True)


@pytest.mark.parametrize("kind", ["fargate", "ec2", "eks"])
@pytest.mark.parametrize(
    ("cpu", "memory"), [(4096, 16384), ("4 vCPU", "16G"), ("4000m", "16Gi"), (4096, "16384M")]
)
def test_bare_numbers_are_in_the_units_of_ecs(read, kind, cpu, memory):
    """1/1024 vCPU and MiB, on every kind of cluster."""
    options = read(
        {**AWS, "cluster_type": kind, "worker_cpu": cpu, "worker_mem": memory}
    ).target.options

    assert (options.worker_cpu, options.worker_mem) == (4.0, 16 * GIB)


@pytest.mark.parametrize("cpus", TABLE)
def test_every_size_of_fargate_is_a_fixed_point(cpus):
    """What Fargate has is taken as it is."""
    from scalable_aws.sizes import fit

    for memory in TABLE[cpus]:
        size = fit(cpus, memory * MIB)
        assert (size.cpus, size.memory) == (cpus, memory * MIB)


def test_what_is_between_is_rounded_up_to_the_smallest_that_holds_it():
    """Every request is held, and no smaller row of the table would have held it."""
    from scalable_aws.sizes import fit

    for cpus in (0.1, 0.25, 0.3, 1, 1.5, 3, 4, 5, 8, 9, 17, 32):
        for memory in (100, 512, 3000, 8192, 9000, 30721, 61441, 122881, 249856):
            size = fit(cpus, memory * MIB)
            rows = [(c, m) for c, ms in TABLE.items() for m in ms if c >= cpus and m >= memory]
            assert (size.cpus, size.memory // MIB) == min(rows)


def test_a_pair_that_fargate_lacks_is_rounded_up_and_said(found):
    """4 vCPU do not come with 5 GiB."""
    (problem,) = found(**AWS, worker_cpu=4096, worker_mem=5120).values()

    assert (problem.code, problem.where, problem.severity) == ("W1103", "worker_mem", "warning")
    assert problem.message.endswith("the worker gets 4 vCPU with 8G")


@pytest.mark.parametrize(
    ("size", "where", "words"),
    [
        (
            {"worker_cpu": "64 vCPU"},
            "worker_cpu",
            "not 64; the nearest size is 32 vCPU with 60G",
        ),
        (
            {"worker_cpu": "40 vCPU", "worker_mem": "100G"},
            "worker_cpu",
            "the nearest size is 32 vCPU with 120G",
        ),
        ({"worker_mem": "300G"}, "worker_mem", "at most 244G of memory, not 300G"),
        ({"scheduler_mem": "300G"}, "scheduler_mem", "the nearest size is 32 vCPU with 244G"),
    ],
)
def test_what_nothing_holds_is_an_error_with_the_nearest_size(found, size, where, words):
    """On Fargate; the other kinds have machines of any size."""
    (problem,) = found(**AWS, **size).values()

    assert (problem.code, problem.where, problem.severity) == ("E1103", where, "error")
    assert words in problem.message
    assert found(**AWS, **size, cluster_type="ec2") == {}


@pytest.mark.parametrize(
    ("size", "cure"),
    [
        ({"worker_cpu": 4}, "write 4096 or '4 vCPU' for 4 vCPU"),
        ({"worker_cpu": 0.5}, "write 512 or '0.5 vCPU' for 0.5 vCPU"),
        ({"worker_mem": 16}, "write 16G for 16 GiB"),
        ({"scheduler_cpu": 2}, "write 2048 or '2 vCPU' for 2 vCPU"),
    ],
)
def test_a_number_in_the_wrong_unit_is_found_out(found, size, cure):
    """4 CPUs are written 4096 here, and the cure says so."""
    (problem,) = found(**AWS, **size).values()

    assert (problem.code, problem.cure) == ("E1102", cure)


@pytest.mark.parametrize(
    "region",
    [
        "us-east-1",
        "eu-central-2",
        "us-gov-west-1",
        "ap-southeast-5",
        "cn-north-1",
        "us-isob-east-1",
    ],
)
def test_regions_of_aws_are_taken(found, region):
    """In every partition."""
    assert found(**{**AWS, "region": region}) == {}


@pytest.mark.parametrize(
    ("region", "cure"),
    [
        ("us-east-1a", "write us-east-1"),
        ("us-central1", "write for example us-east-1"),
        ("virginia", "write for example us-east-1"),
    ],
)
def test_what_is_no_region_is_an_error(found, region, cure):
    """A zone is cut back to its region."""
    (problem,) = found(**{**AWS, "region": region}).values()

    assert (problem.code, problem.where, problem.cure) == ("E1101", "region", cure)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"spot": True, "capacity": "on-demand"}, "E1108"),
        ({"spot": False, "capacity": "spot"}, "E1108"),
        ({"spot": False, "capacity": "spot_with_fallback"}, "E1108"),
        ({"instance_type": "xlarge"}, "E1109"),
        ({"instance_type": "n2-standard-4"}, "E1109"),
        ({"instance_type": "m7g.xlarge", "cluster_type": "ec2"}, "E1110"),
        ({"instance_type": "c5.large", "architecture": "arm64", "cluster_type": "ec2"}, "E1110"),
        ({"vpc": "default"}, "E1111"),
        ({"subnets": ["subnet-xyz"]}, "E1111"),
        ({"task_role_arn": "worker"}, "E1111"),
        ({"ami": "amazon-linux", "cluster_type": "ec2"}, "E1111"),
        ({"ephemeral_storage": "10G", "cluster_type": "ec2"}, "E1118"),
        ({"security_groups": [f"sg-{i}" for i in range(6)]}, "E1112"),
        ({"tags": {"aws:name": "x"}}, "E1113"),
        ({"image": "123456789.dkr.ecr.us-east-1.amazonaws.com/m:1"}, "W1114"),
        ({"image": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/m:1"}, "W1115"),
    ],
)
def test_a_rule_finds_what_breaks_it_and_nothing_else(found, options, code):
    """One problem with its code; a warning where the run would still do what is meant."""
    (problem,) = found(**AWS, **options).values()

    assert problem.code == code
    assert problem.severity == {"E": "error", "W": "warning"}[code[0]]
    assert problem.where.partition(".")[0] in options


@pytest.mark.parametrize(
    "options",
    [
        {"spot": True, "capacity": "spot"},
        {"spot": False, "capacity": "on-demand"},
        {"instance_type": "m7g.xlarge", "architecture": "arm64", "cluster_type": "ec2"},
        {"instance_type": "g4dn.2xlarge", "cluster_type": "ec2"},
        {"instance_type": "u-6tb1.metal", "cluster_type": "ec2"},
        {"ami": "ami-0a1b2c3d", "ephemeral_storage": "100G", "cluster_type": "ec2"},
        {"instance_type": "m7g.xlarge", "cluster_type": "fargate"},
        {"image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/m:1"},
        {"task_role_arn": "arn:aws:iam::123456789012:role/path/worker"},
        {"subnets": ["subnet-0a1b2c3d"], "security_groups": ["sg-0a1b2c3d"], "vpc": "vpc-0a1b2c3d"},
    ],
)
def test_what_is_right_is_let_be(found, options):
    """No rule speaks where nothing is wrong; Fargate has no use for an instance type."""
    assert found(**AWS, **options) == {}


def test_eks_wants_its_own_dist_and_a_cluster(found, monkeypatch):
    """The pip line is the cure of the first."""
    found_spec = importlib.util.find_spec
    monkeypatch.setattr(
        "scalable_aws.checks.find_spec",
        lambda name: None if name == "scalable_kubernetes" else found_spec(name),
    )
    problems = found(**AWS, cluster_type="eks")

    assert problems["E1116"].cure == "pip install 'scalable-aws[eks]'"
    assert set(problems) == {"E1116", "E1117"}
    monkeypatch.undo()
    assert found(**AWS, cluster_type="eks", cluster="shared") == {}


def test_the_bill_of_fargate_names_all_that_is_paid(estimate):
    """Workers at their rounded size, scheduler, addresses, logs, storage and what leaves AWS."""
    answer = estimate({**AWS, "n_workers": 3}, cpus=3, memory="5G")

    lines = {line.item: line for line in answer.lines}
    assert set(lines) == {
        "Compute", "Memory", "Scheduler compute", "Scheduler memory", "Public IPv4",
        "Inter-zone traffic", "Logs", "S3 storage", "S3 requests", "Egress",
    }  # fmt: skip
    assert lines["Compute"].note == "3 workers x 4 vCPU x 1h, rounded up from 3 vCPU with 5G"
    assert lines["Compute"].component == "model"
    assert answer.provider == "aws"
    assert answer.unpriced == ("Inter-zone traffic", "S3 storage", "S3 requests", "Egress")
    assert lines["S3 storage"].monthly


def test_the_bill_of_the_other_kinds_is_theirs(estimate):
    """Machines and volumes on EC2, the cluster's fee on EKS; no public address when there is none."""
    ec2 = estimate({**AWS, "cluster_type": "ec2", "assign_public_ip": False}, gpus=1)
    eks = estimate({**AWS, "cluster_type": "eks", "cluster": "shared"})

    items = {line.item for line in ec2.lines}
    assert {"Instances", "EBS volumes", "Scheduler instance", "NAT data"} <= items
    assert "Public IPv4" not in items
    assert {"Compute", "Cluster fee"} <= {line.item for line in eks.lines}


@pytest.mark.parametrize(
    ("component", "words"),
    [
        ({"cpus": 64}, "Fargate has at most 32 vCPU, not 64"),
        ({"memory": "300G"}, "Fargate has at most 244G of memory, not 300G"),
        ({"gpus": 1}, "Fargate has no GPUs"),
    ],
)
def test_a_component_that_fargate_cannot_hold_is_named(estimate, component, words):
    """Exit code 2: the manifest asks for what there is not."""
    with pytest.raises(UsageError, match="component 'model' does not fit target 'there'") as caught:
        estimate(AWS, **component)

    assert words in caught.value.message
    assert caught.value.exit_code == 2
