"""What AWS is asked before a run, against a local AWS, and what is made of its answers."""

from __future__ import annotations

import json

import pytest

from scalable_aws.options import Ec2Options, FargateOptions
from scalable_aws.preflight import preflight
from scalable_aws.quota import needs
from scalable_core.types import (
    HookContext,
    Plan,
    Project,
    ResolvedImage,
    Stores,
    Target,
    WorkerGroup,
)
from scalable_core.types.units import GIB

REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"


@pytest.fixture
def aws(bed):
    """The local AWS, with an empty account."""
    bed.reset()
    yield bed
    bed.reset()


@pytest.fixture
def look(aws, monkeypatch):
    """Look at a plan: look(workers=10, capacity="spot"); the answer by code."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.url)

    def look(workers=2, image="solar:1.0", resolved=None, **options):
        problems = preflight(plan_of(workers, image, resolved, **options), HookContext())
        return {problem.code: problem for problem in problems}

    return look


def plan_of(workers=2, image="solar:1.0", resolved=None, kind=FargateOptions, **options):
    """A plan for workers of 4 vCPU."""
    group = WorkerGroup(
        name="analysis",
        cpus=4.0,
        memory=16 * GIB,
        threads=4,
        minimum=0,
        maximum=workers,
        image=image,
        resolved=resolved,
    )
    name = "fargate" if kind is FargateOptions else "ec2"
    options = {"region": "us-east-1", **options}
    target = Target(name="there", provider="aws", cluster_type=name, options=kind(**options))
    return Plan(
        project=Project(name="study"),
        target=target,
        manifest="/nowhere/scalable.yaml",
        workflow="/nowhere/workflow.py",
        lock="sha256:0",
        groups=(group,),
        minimum=workers,
        maximum=workers,
        stores=Stores(records="/nowhere", artifacts="/nowhere", cache="/nowhere"),
    )


def test_what_is_right_is_told_and_nothing_is_created(look, aws):
    """Identity, permissions, quota and network; all calls only look."""
    found = look()

    assert set(found) == {"I1151", "I1153", "I1154", "I1155"}
    assert found["I1151"].message == "arn:aws:sts::123456789012:user/moto in us-east-1"
    assert "the plan may use 9" in found["I1154"].message
    names = {call["action"] for call in aws.calls()}
    assert all(n.startswith(("Describe", "Get", "Simulate")) for n in names), names


def test_credentials_that_are_refused_are_the_only_thing_told(look, aws):
    """All else would fail for the same reason."""
    aws.tell("faults", [{"code": "ExpiredToken", "status": 403}])

    (problem,) = look().values()
    assert (problem.code, problem.where) == ("E1151", "credentials")
    assert problem.message == "the AWS credentials have expired"
    assert "aws sso login" in problem.cure


def test_a_missing_permission_is_named_with_the_way_to_the_policy(look, aws):
    """What is needed once for the project is a warning; somebody else may have done it."""
    aws.tell("denied", ["ecs:RunTask", "iam:CreateRole"])
    found = look()

    assert found["E1153"].message.endswith("may not ecs:RunTask")
    assert found["E1153"].cure.endswith("scalable doctor --target there --print-policy")
    assert "may not iam:CreateRole" in found["W1153"].message
    assert found["W1153"].severity == "warning"


def test_where_nothing_can_be_simulated_it_is_tried_out(look, aws):
    """A dry run of EC2 says whether it would be allowed, and creates nothing."""
    aws.tell(
        "faults", [{"action": "SimulatePrincipalPolicy", "code": "AccessDenied", "status": 403}]
    )
    assert look()["W1153"].message.startswith("whether all permissions are there cannot be")

    more = {"action": "CreateSecurityGroup", "code": "UnauthorizedOperation", "status": 403}
    aws.tell("faults", [{**more}, {"action": "SimulatePrincipalPolicy", "code": "AccessDenied"}])
    assert "may not ec2:CreateSecurityGroup" in look()["E1153"].message
    groups = aws.client("ec2").describe_security_groups()["SecurityGroups"]
    assert {group["GroupName"] for group in groups} == {"default"}


def test_a_quota_that_is_too_small_is_told_with_the_command_that_raises_it(look, aws):
    """A warning while the run can begin, an error when it cannot."""
    aws.tell("quotas", {"L-3032A538": 6})
    problem = look(workers=10)["W1154"]
    assert "is 6, and the plan may use 41" in problem.message
    assert "--quota-code L-3032A538 --desired-value 41 --region us-east-1" in problem.cure

    aws.tell("quotas", {"L-3032A538": 4})
    problem = look(workers=10)["E1154"]
    assert problem.message.endswith("it cannot begin with less than 5")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {("L-3032A538", 5, 41)}),
        ({"capacity": "spot"}, {("L-3032A538", 1, 1), ("L-36FBB829", 4, 40)}),
        ({"spot": True, "min_workers": 3}, {("L-3032A538", 1, 1), ("L-36FBB829", 12, 40)}),
        ({"kind": Ec2Options}, {("L-1216C47A", 6, 42)}),
        (
            {"kind": Ec2Options, "spot": True, "instance_type": "g5.xlarge"},
            {("L-1216C47A", 2, 2), ("L-3819A6DF", 4, 40)},
        ),
    ],
)
def test_each_way_to_buy_counts_for_its_own_quota(options, expected):
    """Spot and on demand, Fargate and the families of EC2; the scheduler never is Spot."""
    found = needs(plan_of(10, **options))

    assert {(need.code, need.least, need.most) for need in found} == expected


def test_an_account_without_an_entry_for_a_quota_is_no_problem(look, aws):
    """The service says so with an error of its own."""
    aws.tell("quotas", {})
    assert "no entry for the quota" in look()["I1154"].message


def test_subnets_and_groups_that_are_not_there_are_named(look):
    """In the words of EC2, which say which."""
    found = look(subnets=("subnet-0a1b2c3d",))
    assert "subnet-0a1b2c3d" in found["E1155"].message
    found = look(security_groups=("sg-0a1b2c3d",))
    assert "sg-0a1b2c3d" in found["E1155"].message


@pytest.fixture
def private(aws):
    """A VPC with one subnet and no way out of it; its id, the subnet's, and a client."""
    ec2 = aws.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.77.1.0/24")["Subnet"]["SubnetId"]
    return vpc, subnet, ec2


def add_gateway(ec2, vpc, subnet, kind):
    """Give a VPC a default route to an internet or a NAT gateway."""
    (table,) = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])[
        "RouteTables"
    ]
    if kind == "internet":
        name = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=name, VpcId=vpc)
        way = {"GatewayId": name}
    else:
        gateway = ec2.create_nat_gateway(SubnetId=subnet, ConnectivityType="private")
        way = {"NatGatewayId": gateway["NatGateway"]["NatGatewayId"]}
    ec2.create_route(RouteTableId=table["RouteTableId"], DestinationCidrBlock="0.0.0.0/0", **way)


def test_subnets_without_a_way_out_are_an_error_before_it_costs_anything(look, private):
    """Members could not pull their images; an internet gateway is of no use without public addresses."""
    vpc, subnet, ec2 = private
    problem = look(vpc=vpc)["E1156"]
    assert "there is no way out" in problem.message
    assert "NAT gateway" in problem.cure

    add_gateway(ec2, vpc, subnet, "internet")
    assert "of no use without public addresses" in look(vpc=vpc)["E1156"].message
    assert "E1156" not in look(vpc=vpc, assign_public_ip=True)


def test_endpoints_are_a_way_out_for_images_in_ecr(look, private, aws):
    """All that members speak to is then inside the VPC."""
    vpc, _, ec2 = private
    aws.client("ecr").create_repository(repositoryName="solar")
    for name in ("ecr.api", "ecr.dkr", "logs", "ssm"):
        assert "E1156" in look(vpc=vpc, image=f"{REGISTRY}/solar:1")
        ec2.create_vpc_endpoint(
            VpcId=vpc, ServiceName=f"com.amazonaws.us-east-1.{name}", VpcEndpointType="Interface"
        )
    ec2.create_vpc_endpoint(VpcId=vpc, ServiceName="com.amazonaws.us-east-1.s3")
    assert "E1156" not in look(vpc=vpc, image=f"{REGISTRY}/solar:1")
    assert "E1156" in look(vpc=vpc, image="ghcr.io/acme/solar:1")


def test_a_private_scheduler_that_cannot_be_reached_from_here_is_an_error(
    look, private, monkeypatch
):
    """Unless a way is known: then this machine's address there has been named."""
    vpc, subnet, ec2 = private
    add_gateway(ec2, vpc, subnet, "nat")
    monkeypatch.delenv("SCALABLE_CALLER_ADDRESS", raising=False)
    problem = look(vpc=vpc)["E1157"]
    assert "(10.77.0.0/16), and this machine has no route" in problem.message
    for cure in ("assign_public_ip: true", "VPN", "--detach", "SCALABLE_CALLER_ADDRESS"):
        assert cure in problem.cure

    monkeypatch.setenv("SCALABLE_CALLER_ADDRESS", "10.0.0.7/32")
    assert "E1157" not in look(vpc=vpc)


def test_roles_must_be_there_and_be_for_tasks(look, aws):
    """Both are said before tasks fail to start."""
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole"}],
    }
    trust["Statement"][0]["Principal"] = {"Service": "lambda.amazonaws.com"}
    made = aws.client("iam").create_role(
        RoleName="mine", AssumeRolePolicyDocument=json.dumps(trust)
    )
    problem = look(task_role_arn=made["Role"]["Arn"])["E1158"]
    assert "does not trust ecs-tasks.amazonaws.com" in problem.message
    problem = look(task_role_arn="arn:aws:iam::123456789012:role/other")["E1158"]
    assert problem.message == "there is no role 'other'"


def test_images_are_looked_up_in_ecr_and_their_platform_is_compared(look, aws):
    """No image, no such image, and one for other processors."""
    assert "has no image" in look(image=None)["E1159"].message
    assert "has no repository 'solar'" in look(image=f"{REGISTRY}/solar:1")["E1159"].message
    aws.client("ecr").create_repository(repositoryName="solar")
    assert "has no image '1'" in look(image=f"{REGISTRY}/solar:1")["E1159"].message

    resolved = ResolvedImage(
        reference="solar:1",
        pinned="docker.io/library/solar@sha256:" + "0" * 64,
        digest="sha256:" + "0" * 64,
        platforms=("linux/amd64",),
        size=8 * GIB,
        provider="oci",
    )
    found = look(resolved=resolved, architecture="arm64")
    assert "made for linux/amd64, and workers have linux/arm64" in found["E1159"].message
    assert "8G compressed" in look(resolved=resolved)["W1159"].message


def test_what_may_not_be_looked_at_stops_nothing(look, aws):
    """It is a warning with the permission that is missing."""
    aws.tell("faults", [{"action": "GetServiceQuota", "code": "AccessDeniedException"}])
    problem = look()["W1161"]
    assert (problem.where, problem.severity) == ("quota", "warning")
    assert "allow servicequotas:GetServiceQuota" in problem.cure


def test_a_clock_that_is_wrong_is_told_before_aws_refuses_it(look, monkeypatch):
    """By the time in the answer's head."""
    from datetime import UTC, datetime, timedelta

    class Late(datetime):
        @classmethod
        def now(cls, zone=None):
            return datetime.now(UTC) - timedelta(seconds=200)

    monkeypatch.setattr("scalable_aws.preflight.datetime", Late)
    message = look()["W1152"].message
    assert message.startswith("the clock of this machine is ")
    assert " s behind; " in message
