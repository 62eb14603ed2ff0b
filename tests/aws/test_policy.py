"""The policy that is printed, and the calls of whole runs: nothing is missing, and nothing is too much."""

from __future__ import annotations

import fnmatch
import json
import time
import uuid

import pytest

from scalable_aws import machines, release
from scalable_aws.ec2 import Ec2Launcher
from scalable_aws.fargate import FargateLauncher
from scalable_aws.fleet import launcher_of, read_logs
from scalable_aws.options import Ec2Options, FargateOptions
from scalable_aws.policy import IMPLIED, grants, required_permissions
from scalable_aws.preflight import preflight
from scalable_core.types import (
    ClusterRecord,
    HookContext,
    Plan,
    Project,
    Stores,
    Target,
    WorkerGroup,
)

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/solar:1.0"
#: What only happens to runs that go otherwise than these two.
UNCALLED = {
    "fargate": {"iam:CreateServiceLinkedRole"},  # ECS makes it with an account's first cluster
    "ec2": {
        "ec2:DescribeNetworkInterfaces",
        "ecs:DescribeTasks",
    },  # those are for what is left of tasks
}


def make_plan(kind, image="solar:1.0", project=None, **options):
    group = WorkerGroup(name="analysis", cpus=1.0, threads=1, minimum=0, maximum=1, image=image)
    options = {"fargate": FargateOptions, "ec2": Ec2Options}[kind](region="us-east-1", **options)
    return Plan(
        project=Project(
            name=project or f"study-{uuid.uuid4().hex[:6]}", default_storage="s3://bucket/runs"
        ),
        target=Target(name="there", provider="aws", cluster_type=kind, options=options),
        manifest="/nowhere/scalable.yaml",
        workflow="/nowhere/workflow.py",
        lock="sha256:0",
        groups=(group,),
        minimum=1,
        maximum=1,
        stores=Stores(records="/nowhere", artifacts="/nowhere", cache="/nowhere"),
    )


def live_through(plan, folder):
    """Look, run a call, read logs, look again, release, and remove what stands."""
    from distributed import Client

    from scalable_core.cluster.fleet import FleetCluster

    run = f"run-{uuid.uuid4().hex[:8]}"
    context = HookContext(project=plan.project.name, run=run, run_dir=folder / run)
    assert {each.severity for each in preflight(plan, context)} == {"info"}
    options = plan.target.options
    with (
        FleetCluster(plan, launcher_of(plan), context, eager=True) as fleet,
        Client(fleet) as client,
    ):
        assert client.submit(sum, [1, 2]).result(timeout=120) == 3
        fleet.logs("analysis-0")
        release.find(options, None, context)
        data = dict(fleet.crew.launcher.data)
        record = ClusterRecord(
            provider="aws",
            run=run,
            project=plan.project.name,
            target="there",
            created="",
            data=data,
        )
        list(read_logs(record, None, False, context) or ())
    time.sleep(1)
    standing = HookContext(project=plan.project.name, data={"standing": True})
    assert release.release(record, standing, provider="aws").remaining == ()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Looks often, so that tests need not wait."""
    for launcher in (Ec2Launcher, FargateLauncher):
        monkeypatch.setattr(launcher, "poll_interval", 0.3)
    monkeypatch.setattr("scalable_aws.preflight.PATIENCE", 60.0)
    for module in (machines, release):
        monkeypatch.setattr(module, "LOOK_EVERY", 0.3)


@pytest.mark.parametrize("kind", ["fargate", "ec2"])
def test_the_policy_is_what_a_whole_run_calls(kind, real_bed, become, tmp_path):
    """From the first look to the removal of what stands: what is called is what is allowed."""
    real_bed.reset()
    key = become(real_bed)
    plan = make_plan(kind)
    live_through(plan, tmp_path)

    called = {name_of(call) for call in real_bed.calls(key)}
    allowed = set(required_permissions(plan, provider="aws").actions)
    allowed -= {action for action in allowed if action.startswith("s3:")}
    assert called <= allowed, f"not in the policy: {sorted(called - allowed)}"
    surplus = allowed - called - IMPLIED - UNCALLED[kind]
    assert not surplus, f"in the policy, and never called: {sorted(surplus)}"


def name_of(call):
    """Return the action of IAM that a call needs."""
    service = {"service-quotas": "servicequotas"}.get(call["service"], call["service"])
    return f"{service}:{call['action']}"


def test_it_is_narrow_where_iam_can_tell_resources_apart():
    """What changes something names the project, by path, name or tag; what only looks may be anywhere."""
    plan = make_plan("fargate", image=IMAGE, project="orchard")
    free = {
        action
        for g in grants(plan)
        if g.resources == ("*",) and not g.condition
        for action in g.actions
    }
    changing = {
        a for a in free if not a.split(":")[1].startswith(("Describe", "Get", "List", "Simulate"))
    }
    # IAM does not tell definitions of tasks apart.
    assert changing == {"ecs:RegisterTaskDefinition", "ecs:DeregisterTaskDefinition"}

    policy = json.loads(required_permissions(plan, provider="aws").text)
    where = {each["Sid"]: each["Resource"] for each in policy["Statement"]}
    assert where["Documents"] == ["arn:aws:ssm:us-east-1:*:parameter/scalable/scalable-orchard/*"]
    assert where["KeepRuns"] == ["arn:aws:s3:::bucket/runs/*"]
    assert where["ReadImages"] == ["arn:aws:ecr:us-east-1:*:repository/solar"]
    passed = next(each for each in policy["Statement"] if each["Sid"] == "HandOnRoles")
    assert passed["Condition"] == {
        "StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}
    }
    assert fnmatch.fnmatch(
        "arn:aws:iam::123456789012:role/scalable/scalable-orchard-task", passed["Resource"][0]
    )


def test_a_role_that_the_target_names_may_be_handed_on():
    """It is another's, so it can neither be made nor changed."""
    arn = "arn:aws:iam::123456789012:role/mine"
    found = {g.name: g for g in grants(make_plan("fargate", task_role_arn=arn))}

    assert arn in found["HandOnRoles"].resources
    assert arn not in found["MakeRoles"].resources


@pytest.mark.parametrize(
    ("region", "partition"),
    [("us-east-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")],
)
def test_every_arn_is_of_the_regions_partition(region, partition):
    """China and GovCloud have their own."""
    plan = make_plan("ec2")
    options = Ec2Options(region=region)
    target = Target(name="there", provider="aws", cluster_type="ec2", options=options)
    import attrs

    arns = {
        resource
        for grant in grants(attrs.evolve(plan, target=target))
        for resource in grant.resources
        if resource != "*"
    }
    assert {arn.split(":")[1] for arn in arns} == {partition}
