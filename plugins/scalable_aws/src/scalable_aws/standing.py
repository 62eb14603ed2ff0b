"""What stands once for each account and project and costs nothing: cluster, roles, security group, log group.

Everything is found again by its name or tag, and made when it is not there; nothing of it belongs to one run.
Two runs that make it at the same time find what the other has made.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from scalable_aws.account import Account, CallError
from scalable_aws.options import AwsOptions
from scalable_core.errors import ClusterError

PROJECT, RUN, STANDING = "scalable-project", "scalable-run", "scalable-standing"
#: Days for which logs are kept.
RETENTION = 30
_EXECUTION = [
    "ecr:GetAuthorizationToken",
    "ecr:BatchCheckLayerAvailability",
    "ecr:GetDownloadUrlForLayer",
    "ecr:BatchGetImage",
]


@frozen(kw_only=True)
class Standing:
    """What members need and all runs of a project share.

    Attributes:
        name: The project's name as AWS allows it, with a prefix; everything is named after it.
        tags: What standing things carry.
        cluster: ARN of the ECS cluster.
        execution_role: ARN of the role with which ECS pulls images and writes logs.
        task_role: ARN of the role that members have.
        security_group: Id of the group whose members reach each other at any port.
        log_group: Name.
        vpc: Id.
        subnets: Ids.
        public: Members get public addresses.
        profile: Name of the instance profile that machines have.
    """

    name: str
    tags: Mapping[str, str]
    cluster: str
    execution_role: str
    task_role: str
    security_group: str
    log_group: str
    vpc: str
    subnets: tuple[str, ...]
    public: bool
    profile: str = ""


def standing_name(project: str) -> str:
    """Return the name of a project's standing things: letters, digits and hyphens, 46 at most."""
    plain = re.sub(r"[^a-z0-9-]+", "-", project.lower()).strip("-")[:30]
    if plain != project:
        plain = f"{plain}-{hashlib.sha256(project.encode()).hexdigest()[:6]}"
    return f"scalable-{plain}"


def partition_of(region: str) -> str:
    """Return the partition that a region is in, such as ``aws``."""
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


def secrets_path(project: str) -> str:
    """Return the path in Parameter Store below which each run of a project has its own."""
    return f"/scalable/{standing_name(project)}"


def log_group_name(project: str) -> str:
    """Return the name of the log group of a project."""
    return f"/scalable/{standing_name(project)}"


async def find_or_make(
    account: Account, options: AwsOptions, project: str, storage: str | None
) -> Standing:
    """Return what stands, making what is not there.

    Args:
        account: Where.
        options: Of the target; what it names is used as it is.
        project: Its name.
        storage: Where artifacts and results go; members may read and write below it.

    Raises:
        ClusterError: Something cannot be found or made.
    """
    name, tags = standing_name(project), {PROJECT: project, STANDING: "true"}
    partition = partition_of(options.region)
    execution = getattr(options, "execution_role_arn", None)
    task = getattr(options, "task_role_arn", None)
    cluster, network, group, execution_role, task_role = await asyncio.gather(
        _cluster(account, name, tags),
        make_network(account, options, name, tags),
        make_log_group(account, log_group_name(project), tags),
        _given(execution)
        or make_role(account, f"{name}-execution", execution_policy(project, partition), tags),
        _given(task)
        or make_role(account, f"{name}-task", task_policy(project, storage, partition), tags),
    )
    vpc, subnets, public, security_group = network
    return Standing(
        name=name,
        tags=tags,
        cluster=cluster,
        execution_role=execution_role,
        task_role=task_role,
        security_group=security_group,
        log_group=group,
        vpc=vpc,
        subnets=subnets,
        public=public,
    )


def execution_policy(project: str, partition: str = "aws") -> list[dict[str, Any]]:
    """Return the statements of the role with which ECS pulls images and writes logs."""
    logs = f"arn:{partition}:logs:*:*:log-group:{log_group_name(project)}:*"
    return [
        {"Effect": "Allow", "Action": _EXECUTION, "Resource": "*"},
        {
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": logs,
        },
    ]


def task_policy(project: str, storage: str | None, partition: str = "aws") -> list[dict[str, Any]]:
    """Return the statements of the role that members have: their run's documents, and the project's storage."""
    parameters = f"arn:{partition}:ssm:*:*:parameter{secrets_path(project)}/*"
    statements: list[dict[str, Any]] = [
        {"Effect": "Allow", "Action": "ssm:GetParametersByPath", "Resource": parameters},
    ]
    if storage and storage.startswith("s3://"):
        bucket, _, prefix = storage.removeprefix("s3://").rstrip("/").partition("/")
        below = f"{prefix}/*" if prefix else "*"
        statements += [
            {
                "Effect": "Allow",
                "Action": [
                    f"s3:{verb}"
                    for verb in ("GetObject", "PutObject", "DeleteObject", "AbortMultipartUpload")
                ],
                "Resource": f"arn:{partition}:s3:::{bucket}/{below}",
            },
            {
                "Effect": "Allow",
                "Action": ["s3:ListBucket", "s3:GetBucketLocation"],
                "Resource": f"arn:{partition}:s3:::{bucket}",
            },
        ]
    return statements


def _given(arn: str | None) -> Any:
    async def same() -> str:
        return str(arn)

    return same() if arn else None


async def _cluster(account: Account, name: str, tags: Mapping[str, str]) -> str:
    answer = await account.call("ecs", "DescribeClusters", clusters=[name])
    found = [c["clusterArn"] for c in answer["clusters"] if c.get("status") == "ACTIVE"]
    if found:
        return str(found[0])
    request = {
        "clusterName": name,
        "capacityProviders": ["FARGATE", "FARGATE_SPOT"],
        "tags": [{"key": key, "value": value} for key, value in tags.items()],
    }
    for again in (True, True, True, False):
        try:
            made = await account.call("ecs", "CreateCluster", **request)
            return str(made["cluster"]["clusterArn"])
        except CallError as error:  # ECS makes its own role with an account's first cluster
            if "service linked role" not in error.said or not again:
                raise
        await asyncio.sleep(5)
    raise AssertionError


async def make_network(
    account: Account, options: AwsOptions, name: str, tags: Mapping[str, str]
) -> tuple[str, tuple[str, ...], bool, str]:
    """Return VPC, subnets, whether members get public addresses, and the group whose members they are."""
    subnets = await find_subnets(account, options)
    if not subnets:
        raise ClusterError(
            f"there are no subnets for members in {options.vpc or 'a default VPC'} of {options.region}",
            cure="name subnets in the target, or make the default VPC: aws ec2 create-default-vpc",
        )
    vpc = str(subnets[0]["VpcId"])
    ids = tuple(str(each["SubnetId"]) for each in subnets)
    group = await _security_group(account, name, vpc, tags)
    return vpc, ids, is_public(options, subnets), group


async def find_subnets(account: Account, options: AwsOptions) -> list[dict[str, Any]]:
    """Return the subnets that a target means: those that it names, all of its VPC, or the default ones."""
    asked: dict[str, Any] = {"Filters": [{"Name": "default-for-az", "Values": ["true"]}]}
    if options.vpc:
        asked = {"Filters": [{"Name": "vpc-id", "Values": [options.vpc]}]}
    if options.subnets:
        asked = {"SubnetIds": list(options.subnets)}
    found: list[dict[str, Any]] = (await account.call("ec2", "DescribeSubnets", **asked))["Subnets"]
    return found


def is_public(options: AwsOptions, subnets: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether members get public addresses."""
    if options.assign_public_ip is not None:
        return options.assign_public_ip
    return any(each.get("MapPublicIpOnLaunch") for each in subnets)


async def _security_group(account: Account, name: str, vpc: str, tags: Mapping[str, str]) -> str:
    """Return the group whose members reach each other at any port; nobody else reaches them."""
    found = await _find_group(account, name, vpc)
    if found is None:
        try:
            made = await account.call(
                "ec2",
                "CreateSecurityGroup",
                GroupName=name,
                Description="Members of Scalable reach each other",
                VpcId=vpc,
                TagSpecifications=[tag_specification("security-group", {"Name": name, **tags})],
            )
            found = {"GroupId": made["GroupId"], "IpPermissions": []}
        except CallError as error:
            if error.code != "InvalidGroup.Duplicate":
                raise
            found = await _find_group(account, name, vpc)
    assert found is not None
    if not found["IpPermissions"]:
        itself = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": found["GroupId"]}]}
        await allow(account, found["GroupId"], itself)
    return str(found["GroupId"])


async def _find_group(account: Account, name: str, vpc: str) -> dict[str, Any] | None:
    filters = [{"Name": "group-name", "Values": [name]}, {"Name": "vpc-id", "Values": [vpc]}]
    answer = await account.call("ec2", "DescribeSecurityGroups", Filters=filters)
    return next(iter(answer["SecurityGroups"]), None)


async def allow(account: Account, group: str, permission: Mapping[str, Any]) -> None:
    """Let something into a security group; a rule that is there already is no error."""
    try:
        await account.call(
            "ec2", "AuthorizeSecurityGroupIngress", GroupId=group, IpPermissions=[permission]
        )
    except CallError as error:
        if error.code != "InvalidPermission.Duplicate":
            raise


def tag_specification(kind: str, tags: Mapping[str, str]) -> dict[str, Any]:
    """Return how EC2 takes the tags of what it makes."""
    return {
        "ResourceType": kind,
        "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
    }


async def make_log_group(account: Account, name: str, tags: Mapping[str, str]) -> str:
    """Return the name of a log group that is there now."""
    answer = await account.call("logs", "DescribeLogGroups", logGroupNamePrefix=name, limit=1)
    if any(each["logGroupName"] == name for each in answer["logGroups"]):
        return name
    try:
        await account.call("logs", "CreateLogGroup", logGroupName=name, tags=dict(tags))
    except CallError as error:
        if error.code != "ResourceAlreadyExistsException":
            raise
    await account.call("logs", "PutRetentionPolicy", logGroupName=name, retentionInDays=RETENTION)
    return name


async def make_role(
    account: Account,
    name: str,
    statements: Sequence[Mapping[str, Any]],
    tags: Mapping[str, str],
    service: str = "ecs-tasks.amazonaws.com",
) -> str:
    """Return a role's ARN, with its policy as it must be now; the role's tag has the policy's hash."""
    policy = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    digest = hashlib.sha256(policy.encode()).hexdigest()[:16]
    try:
        role = (await account.call("iam", "GetRole", RoleName=name))["Role"]
    except CallError as error:
        if error.code not in ("NoSuchEntity", "NoSuchEntityException"):
            raise
        role = await _new_role(account, name, tags, service)
    known = {each["Key"]: each["Value"] for each in role.get("Tags", [])}
    if known.get("scalable-policy") != digest:
        await account.call(
            "iam", "PutRolePolicy", RoleName=name, PolicyName="scalable", PolicyDocument=policy
        )
        mark = [{"Key": "scalable-policy", "Value": digest}]
        await account.call("iam", "TagRole", RoleName=name, Tags=mark)
    return str(role["Arn"])


async def _new_role(
    account: Account, name: str, tags: Mapping[str, str], service: str
) -> dict[str, Any]:
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": service},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    try:
        answer = await account.call(
            "iam",
            "CreateRole",
            RoleName=name,
            Path="/scalable/",
            AssumeRolePolicyDocument=json.dumps(trust),
            Description="Made by Scalable",
            Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
        )
    except CallError as error:
        if error.code not in ("EntityAlreadyExists", "EntityAlreadyExistsException"):
            raise
        answer = await account.call("iam", "GetRole", RoleName=name)
    role: dict[str, Any] = answer["Role"]
    return role
