"""In which other ways the work of a target can be bought, and how soon its workers are there."""

from __future__ import annotations

import pytest
from attrs import asdict

from scalable_core.plan import build_plan
from scalable_core.types import HookContext, ServiceProfile

FARGATE = {"provider": "aws", "region": "us-east-1"}
EC2 = {**FARGATE, "cluster_type": "ec2"}
EKS = {**FARGATE, "cluster_type": "eks", "cluster": "shared"}
RUN = {"provider": "gcp", "region": "us-central1"}
GKE = {**RUN, "cluster_type": "gke", "cluster": "shared"}
KUBERNETES = {"provider": "kubernetes"}
LOCAL = {"provider": "local"}


@pytest.fixture
def variants(host, read):
    """What the options of each variant of a target differ in, by the variant's name."""

    def variants(target, *, regions=False, **component):
        plan = build_plan(read(target, **component), environ={})
        before = asdict(plan.target.options)
        found = host.variants(plan, HookContext(dry_run=True, data={"regions": regions}))
        for variant in found:
            assert host.check_target(variant.target, HookContext()) is not None
            assert host.estimate_cost(variant, HookContext(dry_run=True)).lines
        return {
            variant.target.name: {
                name: value
                for name, value in asdict(variant.target.options).items()
                if value != before[name]
            }
            for variant in found
        }

    return variants


@pytest.fixture
def profile(host, read):
    """How the service of a target behaves."""

    def profile(target):
        return host.service_profile(read(target).target)

    return profile


def test_fargate_is_bought_in_four_ways(variants):
    """On demand or as Spot, on x86 or ARM; the one that the target has already is left out."""
    assert variants(FARGATE) == {
        "there (spot)": {"capacity": "spot_with_fallback"},
        "there (on-demand, arm64)": {"capacity": "on-demand", "architecture": "arm64"},
        "there (spot, arm64)": {"capacity": "spot_with_fallback", "architecture": "arm64"},
    }
    assert set(variants({**FARGATE, "spot": True, "architecture": "arm64"})) == {
        "there (on-demand)", "there (spot)", "there (on-demand, arm64)",
    }  # fmt: skip


def test_another_kind_of_processor_leaves_the_type_of_machine_open(variants):
    """An m5.xlarge has no ARM; the cheapest type that holds a worker is taken."""
    found = variants({**EC2, "instance_type": "m5.xlarge"}, cpus=4, memory="16G")

    assert found["there (spot)"] == {"capacity": "spot_with_fallback"}
    assert found["there (spot, arm64)"]["instance_type"] is None


def test_gpus_stay_on_their_own_processors(variants):
    """There is no ARM beside them."""
    assert set(variants(EC2, gpus=1)) == {"there (spot)"}


def test_what_a_service_lacks_is_no_variant(variants):
    """Fargate of EKS has neither Spot nor ARM, Cloud Run has neither, and this machine is not bought at all."""
    assert variants(EKS) == {}
    assert variants(RUN, cpus=1, memory="4G") == {}
    assert variants(LOCAL) == {}
    assert variants(KUBERNETES) == {}


def test_nodes_of_eks_may_be_spot(variants):
    """Those of a type that is asked for, and those with GPUs."""
    assert set(variants({**EKS, "instance_type": "m5.xlarge"})) == {"there (spot)"}
    assert set(variants(EKS, gpus=1)) == {"there (spot)"}


def test_gke_is_bought_as_pods_or_as_machines(variants):
    """Pods on demand or as Spot; machines on ARM of the same shape, too."""
    assert variants(GKE) == {"there (spot)": {"spot": True}}
    arm = variants({**GKE, "machine_type": "n2-standard-4"}, cpus=4, memory="16G")
    assert arm == {
        "there (spot)": {"spot": True},
        "there (on-demand, arm64)": {"machine_type": "t2a-standard-4"},
        "there (spot, arm64)": {"spot": True, "machine_type": "t2a-standard-4"},
    }


@pytest.mark.parametrize(
    ("target", "gone"),
    [
        ({**FARGATE, "vpc": "vpc-0a1b", "subnets": ["subnet-0a1b"]}, {"vpc", "subnets"}),
        ({**RUN, "zone": "us-central1-a", "subnetwork": "mine"}, {"zone", "subnetwork"}),
    ],
)
def test_other_regions_are_those_with_prices(variants, target, gone):
    """Each by its name; what belongs to the region that is left is left with it."""
    found = variants(target, regions=True)

    assert len(found) > 15
    assert f"there ({target['region']})" not in found
    for name, changes in found.items():
        assert name == f"there ({changes['region']})"
        assert set(changes) == {"region"} | gone
        assert not any(changes[option] for option in gone)


def test_spot_is_taken_away_and_on_demand_is_not(profile):
    """By the target's options, however they say it."""
    for target in (FARGATE, EC2, GKE, KUBERNETES):
        assert profile(target).interruptions == 0
        assert 0 < profile({**target, "spot": True}).interruptions < 0.01
    assert profile({**FARGATE, "capacity": "spot"}).interruptions > 0
    assert profile({**EKS, "spot": True}).interruptions == 0  # pods on Fargate
    assert profile({**RUN, "spot": True}).interruptions == 0


@pytest.mark.parametrize(
    ("target", "minimum"),
    [(FARGATE, 60), (EC2, 60), (EKS, 60), (RUN, 60), (GKE, 0), (KUBERNETES, 0), (LOCAL, 0)],
)
def test_a_launch_is_billed_as_the_service_does(profile, target, minimum):
    """A minute at least on AWS and Cloud Run, each second of a pod of Autopilot."""
    known: ServiceProfile = profile(target)

    assert known.billed_minimum == minimum
    assert known.boot <= known.boot_high


def test_this_machine_has_a_worker_in_seconds(profile):
    """And a cloud in about a minute."""
    assert profile(LOCAL).boot < 5 < profile(RUN).boot < profile(FARGATE).boot < profile(GKE).boot
