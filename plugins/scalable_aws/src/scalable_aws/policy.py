"""What somebody must be allowed to do to look at, run, watch and release a plan, as a policy of IAM. Pure.

It is the list of the calls that this plugin makes, and of what AWS checks besides in the course of them; tests
hold whole runs to it. Accounts are not known offline, so ARNs leave them open.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import evolve, frozen

from scalable_aws.images import find_place
from scalable_aws.options import AwsOptions
from scalable_aws.standing import (
    PROJECT,
    log_group_name,
    partition_of,
    secrets_path,
    standing_name,
    task_policy,
)
from scalable_core.types import Plan, Policy


@frozen(kw_only=True)
class Grant:
    """One statement.

    Attributes:
        name: Its ``Sid``.
        actions: What is allowed.
        resources: On what; anything where IAM cannot tell resources of these actions apart.
        condition: Under which condition.
        once: Needed only by who makes or removes what stands for all runs of the project.
    """

    name: str
    actions: tuple[str, ...]
    resources: tuple[str, ...] = ("*",)
    condition: Mapping[str, Mapping[str, str]] = {}
    once: bool = False

    @property
    def statement(self) -> dict[str, Any]:
        """It, as IAM writes it."""
        statement: dict[str, Any] = {
            "Sid": self.name,
            "Effect": "Allow",
            "Action": sorted(self.actions),
            "Resource": list(self.resources),
        }
        if self.condition:
            statement["Condition"] = {key: dict(value) for key, value in self.condition.items()}
        return statement


def required_permissions(plan: Plan, *, provider: str) -> Policy:
    """Return the least that somebody must be allowed to do to run a plan."""
    found = tuple(grants(plan))
    document = {"Version": "2012-10-17", "Statement": [grant.statement for grant in found]}
    actions = sorted({action for grant in found for action in grant.actions})
    return Policy(provider=provider, text=json.dumps(document, indent=2), actions=tuple(actions))


def grants(plan: Plan) -> Iterator[Grant]:
    """Yield what is needed for a plan, by purpose."""
    options: AwsOptions = plan.target.options
    scope = _Scope(plan.project.name, options)
    machines = plan.target.cluster_type == "ec2"
    if plan.target.cluster_type == "eks":  # the rest is a matter of the cluster's own Role
        yield from _cluster(scope, plan.target.options)
        yield from _images(plan, scope)
        yield from _storage(plan, scope)
        return
    yield _look()
    yield from _images(plan, scope)
    yield from _storage(plan, scope)
    yield from _network(scope)
    yield from _documents(scope)
    yield from _logs(scope)
    yield from _roles(scope, options, machines, plan.detached)
    yield from _find_tasks(scope)
    if machines:
        yield from _machines(scope)
    if plan.detached or not machines:
        yield from _tasks(scope)


def driver_grants(plan: Plan) -> Iterator[Grant]:
    """Yield what the driver of a detached run does: all that a run takes but what was made before it started.

    It hands on the roles of members alone, so that it cannot start one that may do more than itself.
    """
    scope = _Scope(plan.project.name, plan.target.options)
    needless = {"MakeGroups", "OwnGroups"}  # nobody dials a driver
    if plan.target.cluster_type != "ec2":
        needless.add("TagWhatIsMade")
    kind = plan.target.cluster_type
    for grant in grants(evolve(plan, detached=False)):
        if grant.once or grant.name in needless:
            continue
        if grant.name == "HandOnRoles":
            parts = ("machine",) if kind == "ec2" else ("execution", "task")
            own = (scope.arn("iam", f"role/scalable/{scope.name}-{p}", region="") for p in parts)
            grant = evolve(grant, resources=(*own, *grant.resources[1:]))
        yield grant


def driver_policy(plan: Plan) -> list[dict[str, Any]]:
    """Return the statements of the role that the driver of a detached run has."""
    scope = _Scope(plan.project.name, plan.target.options)
    own = task_policy(plan.project.name, plan.stores.artifacts, scope.partition)
    return [*own, *(grant.statement for grant in driver_grants(plan))]


class _Scope:
    """The names of a project's things, as far as they are known offline."""

    def __init__(self, project: str, options: AwsOptions) -> None:
        self.project, self.region = project, options.region
        self.partition = partition_of(options.region)
        self.name = standing_name(project)

    def arn(self, service: str, what: str, region: str | None = None) -> str:
        """Return an ARN in any account."""
        where = self.region if region is None else region
        return f"arn:{self.partition}:{service}:{where}:*:{what}"

    @property
    def own(self) -> dict[str, dict[str, str]]:
        """The condition that something carries the project's tag."""
        return {"StringEquals": {f"aws:ResourceTag/{PROJECT}": self.project}}


def _cluster(scope: _Scope, options: AwsOptions) -> Iterator[Grant]:
    name = getattr(options, "cluster", None) or "*"
    arn = scope.arn("eks", f"cluster/{name}")
    yield Grant(name="FindCluster", actions=("eks:DescribeCluster",), resources=(arn,))
    yield Grant(name="Look", actions=("iam:GetRole", "iam:SimulatePrincipalPolicy"))


def _look() -> Grant:
    return Grant(
        name="Look",
        actions=(
            "ec2:DescribeInstances",
            "ec2:DescribeLaunchTemplates",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeRouteTables",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeSubnets",
            "ec2:DescribeVpcEndpoints",
            "ec2:DescribeVpcs",
            "ecs:ListTaskDefinitionFamilies",
            "iam:GetInstanceProfile",
            "iam:GetRole",
            "iam:SimulatePrincipalPolicy",
            "logs:DescribeLogGroups",
            "servicequotas:GetServiceQuota",
            "ssm:DescribeParameters",
            "sts:GetCallerIdentity",
        ),
    )


def _images(plan: Plan, scope: _Scope) -> Iterator[Grant]:
    places = [find_place(group.image) for group in plan.groups if group.image]
    arns = sorted({scope.arn("ecr", f"repository/{p.repository}", p.region) for p in places if p})
    if arns:
        yield Grant(name="LogInToEcr", actions=("ecr:GetAuthorizationToken",))
        reading = ("ecr:BatchGetImage", "ecr:DescribeImages", "ecr:GetDownloadUrlForLayer")
        yield Grant(name="ReadImages", actions=reading, resources=tuple(arns))


def _storage(plan: Plan, scope: _Scope) -> Iterator[Grant]:
    uri = plan.project.default_storage or ""
    if not uri.startswith("s3://"):
        return
    bucket, _, prefix = uri.removeprefix("s3://").rstrip("/").partition("/")
    arn = f"arn:{scope.partition}:s3:::{bucket}"
    yield Grant(
        name="KeepRuns",
        actions=("s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"),
        resources=(f"{arn}/{prefix}/*" if prefix else f"{arn}/*",),
    )
    yield Grant(name="ListRuns", actions=("s3:ListBucket",), resources=(arn,))


def _network(scope: _Scope) -> Iterator[Grant]:
    group, vpc = scope.arn("ec2", "security-group/*"), scope.arn("ec2", "vpc/*")
    yield Grant(name="MakeGroups", actions=("ec2:CreateSecurityGroup",), resources=(group, vpc))
    yield Grant(
        name="OwnGroups",
        actions=("ec2:AuthorizeSecurityGroupIngress", "ec2:DeleteSecurityGroup"),
        resources=(group,),
        condition=scope.own,
    )
    yield Grant(
        name="TagWhatIsMade",
        actions=("ec2:CreateTags",),
        resources=(scope.arn("ec2", "*"),),
        condition={"StringLike": {"ec2:CreateAction": "*"}},
    )


def _documents(scope: _Scope) -> Iterator[Grant]:
    yield Grant(
        name="Documents",
        actions=("ssm:AddTagsToResource", "ssm:DeleteParameters", "ssm:PutParameter"),
        resources=(scope.arn("ssm", f"parameter{secrets_path(scope.project)}/*"),),
    )


def _logs(scope: _Scope) -> Iterator[Grant]:
    group = scope.arn("logs", f"log-group:{log_group_name(scope.project)}")
    yield Grant(
        name="ReadLogs",
        actions=("logs:FilterLogEvents", "logs:GetLogEvents"),
        resources=(f"{group}:*",),
    )
    yield Grant(
        name="KeepLogs",
        actions=(
            "logs:CreateLogGroup",
            "logs:DeleteLogGroup",
            "logs:PutRetentionPolicy",
            "logs:TagResource",
        ),
        resources=(f"{group}:*",),
        once=True,
    )


def _roles(scope: _Scope, options: AwsOptions, machines: bool, detached: bool) -> Iterator[Grant]:
    # Who asks for a role that is not there asks for it without its path.
    made = tuple(
        scope.arn("iam", f"role/{path}{scope.name}-*", region="") for path in ("scalable/", "")
    )
    yield Grant(
        name="MakeRoles",
        actions=(
            "iam:CreateRole",
            "iam:DeleteRole",
            "iam:DeleteRolePolicy",
            "iam:PutRolePolicy",
            "iam:TagRole",
        ),
        resources=made,
        once=True,
    )
    # ECS needs one for an account's first cluster, EC2 for its first fleet, and for its first Spot machine.
    yield Grant(
        name="MakeLinkedRoles",
        actions=("iam:CreateServiceLinkedRole",),
        resources=(scope.arn("iam", "role/aws-service-role/*", region=""),),
        once=True,
    )
    parts = ("execution", "task", *(("driver",) if detached else ()))
    named = (getattr(options, f"{part}_role_arn", None) for part in parts)
    services = {"ec2": "HandOnRoles"} if machines else {"ecs-tasks": "HandOnRoles"}
    if detached:
        services.setdefault("ecs-tasks", "HandOnDriver")
    roles = (made[0], *sorted({arn for arn in named if arn}))
    for service, name in services.items():
        yield Grant(
            name=name,
            actions=("iam:PassRole",),
            resources=roles,
            condition={"StringEquals": {"iam:PassedToService": f"{service}.amazonaws.com"}},
        )


def _find_tasks(scope: _Scope) -> Iterator[Grant]:
    """Yield what finds tasks, be the target on EC2 now: `status` and `down` look for everything."""
    cluster = scope.arn("ecs", f"cluster/{scope.name}")
    inside = {"ArnLike": {"ecs:cluster": cluster}}
    yield Grant(name="ListTasks", actions=("ecs:ListTasks",), condition=inside)
    yield Grant(
        name="FindTasks",
        actions=("ecs:DescribeClusters", "ecs:DescribeTasks"),
        resources=(cluster, scope.arn("ecs", f"task/{scope.name}/*")),
    )


def _tasks(scope: _Scope) -> Iterator[Grant]:
    cluster = scope.arn("ecs", f"cluster/{scope.name}")
    task = scope.arn("ecs", f"task/{scope.name}/*")
    family = scope.arn("ecs", f"task-definition/{scope.name}-*")
    inside = {"ArnLike": {"ecs:cluster": cluster}}
    yield Grant(
        name="Definitions",  # IAM does not tell them apart
        actions=("ecs:DescribeTaskDefinition", "ecs:RegisterTaskDefinition"),
    )
    yield Grant(name="StartTasks", actions=("ecs:RunTask",), resources=(family,), condition=inside)
    yield Grant(name="StopTasks", actions=("ecs:StopTask",), resources=(task,))
    yield Grant(name="TagTasks", actions=("ecs:TagResource",), resources=(cluster, task, family))
    yield Grant(
        name="MakeCluster",
        actions=("ecs:CreateCluster", "ecs:DeleteCluster"),
        resources=(cluster,),
        once=True,
    )
    yield Grant(
        name="ForgetDefinitions",
        actions=("ecs:DeregisterTaskDefinition", "ecs:ListTaskDefinitions"),
        once=True,
    )


def _machines(scope: _Scope) -> Iterator[Grant]:
    template, instance = scope.arn("ec2", "launch-template/*"), scope.arn("ec2", "instance/*")
    images = f"arn:{scope.partition}:ssm:{scope.region}:*:parameter/aws/service/ecs/optimized-ami/*"
    profile = scope.arn("iam", f"instance-profile/scalable/{scope.name}-*", region="")
    unmade = scope.arn("iam", f"instance-profile/{scope.name}-*", region="")
    yield Grant(name="FindMachineImage", actions=("ssm:GetParameter",), resources=(images,))
    yield Grant(
        name="StartMachines",
        actions=("ec2:CreateFleet", "ec2:CreateLaunchTemplate", "ec2:RunInstances"),
        resources=(scope.arn("ec2", "*"), f"arn:{scope.partition}:ec2:{scope.region}::image/*"),
    )
    yield Grant(
        name="EndMachines",
        actions=("ec2:DeleteLaunchTemplate", "ec2:TerminateInstances"),
        resources=(template, instance),
        condition=scope.own,
    )
    yield Grant(
        name="MakeProfile",
        actions=(
            "iam:AddRoleToInstanceProfile",
            "iam:CreateInstanceProfile",
            "iam:DeleteInstanceProfile",
            "iam:RemoveRoleFromInstanceProfile",
            "iam:TagInstanceProfile",
        ),
        resources=(profile, unmade),
        once=True,
    )
