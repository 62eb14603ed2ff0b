"""IAM, as far as policies of users and of tasks' roles go: what a call needs, and whether a policy allows it.

moto checks actions alone. Here each call is taken apart into all that AWS checks in its course, as its Service
Authorization Reference has it: actions, the resources they are on, and the keys of conditions; also what is
implied, such as tags that come with what is made, and roles that are handed on. A call that is not known here
fails, so that nothing goes by unchecked.
"""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aws.machines import all_instances
from moto.ec2 import ec2_backends
from moto.ecs.models import ecs_backends
from moto.iam import iam_backends

ACCOUNT = "123456789012"
#: They are on everything, or IAM cannot tell on what.
_ANYWHERE = re.compile(
    r"ec2:Describe\w+|ecr:GetAuthorizationToken|ecs:(Describe|Deregister)TaskDefinition"
    r"|ecs:ListTaskDefinition\w+|logs:DescribeLogGroups|ssm:DescribeParameters|sts:GetCallerIdentity"
    r"|servicequotas:GetServiceQuota|iam:SimulatePrincipalPolicy|iam:GetInstanceProfile"
)
_ROLES = {"CreateRole", "GetRole", "PutRolePolicy", "TagRole", "DeleteRolePolicy", "DeleteRole"}
_PROFILES = {
    f"{word}InstanceProfile" for word in ("Create", "Delete", "AddRoleTo", "RemoveRoleFrom")
}
#: What is on things of EC2 that are there, known by their tags: action to the field that names them.
_OWNED = {
    "AuthorizeSecurityGroupIngress": "GroupId",
    "DeleteSecurityGroup": "GroupId",
    "DeleteLaunchTemplate": "LaunchTemplateId",
    "TerminateInstances": "InstanceId",
}
_KINDS = {"sg": "security-group", "lt": "launch-template", "i": "instance"}


#: What allows something: a statement's name, one of its actions and one of its resources, as they are written.
Use = tuple[str, str, str]


@dataclass(frozen=True)
class Need:
    """One thing that must be allowed: an action, on each of some resources, under circumstances."""

    action: str
    resources: tuple[str, ...] = ("*",)
    keys: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Question:
    """A call: service, action, region, and what it is about; path and query of S3's."""

    service: str
    action: str
    region: str
    body: str = ""
    path: str = ""
    query: str = ""

    def arn(self, service: str, what: str) -> str:
        """Return the ARN of something of the account, in the region of the call."""
        where = "" if service in ("iam", "s3") else self.region
        return f"arn:aws:{service}:{where}:{ACCOUNT}:{what}"


def missing(
    question: Question, statements: list[dict[str, Any]], used: set[Use] | None = None
) -> str | None:
    """Return what statements lack for a call, as AWS says it; None when they allow it.

    Args:
        question: The call.
        statements: Of a policy.
        used: Takes what allows it.
    """
    found: set[Use] = set()
    for need in needs(question):
        for resource in need.resources:
            uses = {use for each in statements for use in _uses(each, need, resource)}
            if not uses:
                return f"is not authorized to perform: {need.action} on resource: {resource}"
            found |= uses
    if used is not None:
        used |= found
    return None


def statements_of_member(key: str) -> list[dict[str, Any]]:
    """Return what the role of the task, or of the machine, that has an access key allows."""
    for instance in all_instances():
        if key.endswith(instance.id[2:18].upper()):
            fleet = instance.ec2_backend.fleets[instance._fleet_id or instance._spot_fleet_id]
            profile = fleet.launch_specs[0].iam_instance_profile[
                "Arn"
            ]  # moto puts what it got there
            return [each for arn in _roles_of(profile) for each in _statements(arn)]
    for backends in ecs_backends.values():
        for backend in backends.values():
            for tasks in list(backend.tasks.values()):
                for task in list(tasks.values()):
                    if key.endswith(task.id[:16].upper().replace("-", "")):
                        made = backend.describe_task_definition(task.task_definition_arn)
                        return _statements(str(made.task_role_arn))
    return []


def _statements(arn: str) -> list[dict[str, Any]]:
    role = _role(arn.rpartition("/")[2])
    texts = role.policies.values() if role else ()
    return [statement for text in texts for statement in json.loads(text)["Statement"]]


# -- what calls need -----------------------------------------------------------------------------------


def needs(question: Question) -> Iterator[Need]:
    """Yield all that must be allowed for a call."""
    name = f"{question.service.replace('service-quotas', 'servicequotas')}:{question.action}"
    if _ANYWHERE.fullmatch(name):
        yield Need(name)
    else:
        yield from globals()[f"_of_{question.service}"](question, name)


def _of_s3(question: Question, name: str) -> Iterator[Need]:
    bucket, _, key = urllib.parse.unquote(question.path).lstrip("/").partition("/")
    arn = f"arn:aws:s3:::{bucket}"
    if not key:
        words = {"GET": "ListBucket", "HEAD": "ListBucket", "POST": "DeleteObject"}
        word = "GetBucketLocation" if "location" in question.query else words[question.action]
        yield Need(f"s3:{word}", (f"{arn}/*" if word == "DeleteObject" else arn,))
        return
    words = {"PUT": "PutObject", "POST": "PutObject", "GET": "GetObject", "HEAD": "GetObject"}
    cancel = "AbortMultipartUpload" if "uploadId=" in question.query else "DeleteObject"
    yield Need(f"s3:{words.get(question.action, cancel)}", (f"{arn}/{key}",))


def _of_ssm(question: Question, name: str) -> Iterator[Need]:
    fields = json.loads(question.body)
    names = fields.get("Names") or [fields.get("Name") or fields["Path"]]
    arns = tuple(question.arn("ssm", f"parameter{each}") for each in names)
    if names[0].startswith("/aws/service/"):  # which is no account's
        arns = tuple(arn.replace(ACCOUNT, "") for arn in arns)
    yield Need(name, arns)
    if fields.get("Tags"):
        yield Need("ssm:AddTagsToResource", arns)


def _of_logs(question: Question, name: str) -> Iterator[Need]:
    fields = json.loads(question.body)
    arn = question.arn("logs", f"log-group:{fields['logGroupName']}:")
    arn += f"log-stream:{fields['logStreamName']}" if "logStreamName" in fields else ""
    yield Need(name, (arn,))
    if fields.get("tags"):
        yield Need("logs:TagResource", (arn,))


def _of_ecr(question: Question, name: str) -> Iterator[Need]:
    fields = json.loads(question.body)
    yield Need(name, (question.arn("ecr", f"repository/{fields['repositoryName']}"),))


def _of_iam(question: Question, name: str) -> Iterator[Need]:
    fields = _form(question)
    tagged = any(key.startswith("Tags.") for key in fields)
    if question.action == "CreateServiceLinkedRole":
        service = fields["AWSServiceName"]
        yield Need(name, (question.arn("iam", f"role/aws-service-role/{service}/its-own"),))
    elif question.action in _PROFILES:
        own = fields["InstanceProfileName"]
        profile = next((each for each in _profiles() if each.name == own), None)
        path = fields.get("Path") or (profile.path if profile else "/")
        arn = question.arn("iam", f"instance-profile{path}{own}")
        yield Need(name, (arn,))
        if tagged:
            yield Need("iam:TagInstanceProfile", (arn,))
        if question.action == "AddRoleToInstanceProfile":
            yield _handed_on(_role(fields["RoleName"]).arn, to="ec2")
    else:
        assert question.action in _ROLES, name
        role = _role(fields["RoleName"])
        path = fields.get("Path") or (role.path if role else None) or "/"
        arn = role.arn if role else question.arn("iam", f"role{path}{fields['RoleName']}")
        yield Need(name, (arn,))
        if question.action == "CreateRole" and tagged:
            yield Need("iam:TagRole", (arn,))


def _of_ec2(question: Question, name: str) -> Iterator[Need]:
    fields = _form(question)
    backend = ec2_backends[ACCOUNT][question.region]
    if question.action == "CreateFleet":
        yield from _of_fleet(question, fields, backend)
    elif question.action in ("CreateSecurityGroup", "CreateLaunchTemplate"):
        new = {"CreateSecurityGroup": "security-group/sg-0"}.get(
            question.action, "launch-template/lt-0"
        )
        made = question.arn("ec2", new)
        within = [question.arn("ec2", f"vpc/{fields['VpcId']}")] if "VpcId" in fields else []
        yield Need(name, (made, *within))
        yield Need("ec2:CreateTags", (made,), {"ec2:CreateAction": question.action})
    else:
        ids = [v for key, v in fields.items() if key.split(".")[0] == _OWNED[question.action]]
        assert ids, name
        for own in ids:
            tags = backend.describe_tags(filters={"resource-id": [own]})
            keys = {f"aws:ResourceTag/{each['key']}": each["value"] for each in tags}
            kind = _KINDS[own.partition("-")[0]]
            yield Need(name, (question.arn("ec2", f"{kind}/{own}"),), keys)


def _of_fleet(question: Question, fields: Mapping[str, str], backend: Any) -> Iterator[Need]:
    """Yield what it takes to start machines by a template: they run for who asks, by no role of EC2's own."""
    named = {
        word: sorted({v for key, v in fields.items() if key.endswith(f".{word}")})
        for word in ("LaunchTemplateId", "SubnetId")
    }
    (template,) = (backend.get_launch_template(each) for each in named["LaunchTemplateId"])
    data = template.latest_version().data
    groups = {group for each in data["NetworkInterfaces"] for group in each["Groups"]}
    kinds = ["instance", "volume", "network-interface"]
    if fields["TargetCapacitySpecification.DefaultTargetCapacityType"] == "spot":
        kinds.append("spot-instances-request")
    used = (
        f"arn:aws:ec2:{question.region}::image/{data['ImageId']}",
        question.arn("ec2", f"launch-template/{template.id}"),
        *(question.arn("ec2", f"subnet/{each}") for each in named["SubnetId"]),
        *(question.arn("ec2", f"security-group/{each}") for each in sorted(groups)),
        *(question.arn("ec2", f"{kind}/0") for kind in kinds),
    )
    fleet = question.arn("ec2", "fleet/fleet-0")
    yield Need("ec2:CreateFleet", (*used, fleet))
    yield Need("ec2:RunInstances", used)
    yield Need("ec2:CreateTags", (fleet,), {"ec2:CreateAction": "CreateFleet"})
    carried = [each["ResourceType"] for each in data["TagSpecifications"]]
    arns = tuple(question.arn("ec2", f"{kind}/0") for kind in carried if kind in kinds)
    yield Need("ec2:CreateTags", arns, {"ec2:CreateAction": "RunInstances"})
    yield _handed_on(*_roles_of(data["IamInstanceProfile"]), to="ec2")


def _of_ecs(question: Question, name: str) -> Iterator[Need]:
    fields = json.loads(question.body)
    named = fields.get("cluster") or fields.get("clusterName") or fields.get("clusters", "-")[0]
    plain = str(named).rpartition("/")[2]
    cluster = question.arn("ecs", f"cluster/{plain}")
    inside = {"ecs:cluster": cluster}
    if question.action == "RegisterTaskDefinition":
        made = question.arn("ecs", f"task-definition/{fields['family']}:1")
        yield Need(name)
        yield Need("ecs:TagResource", (made,))
        yield _handed_on(fields["executionRoleArn"], fields["taskRoleArn"])
    elif question.action == "RunTask":
        definition = fields["taskDefinition"]
        yield Need(name, (definition,), inside)
        yield Need("ecs:TagResource", (question.arn("ecs", f"task/{plain}/0"),))
        found = ecs_backends[ACCOUNT][question.region].describe_task_definition(definition)
        yield _handed_on(found.execution_role_arn, found.task_role_arn)
    elif question.action == "ListTasks":
        yield Need(name, keys=inside)
    elif question.action in ("DescribeTasks", "StopTask"):
        tasks = fields.get("tasks") or [fields["task"]]
        ids = [each.rpartition("/")[2] for each in tasks]
        yield Need(name, tuple(question.arn("ecs", f"task/{plain}/{each}") for each in ids), inside)
    else:
        assert question.action in ("CreateCluster", "DeleteCluster", "DescribeClusters"), name
        yield Need(name, (cluster,))
        if question.action == "CreateCluster":  # as if it were the account's first
            linked = "role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS"
            yield Need("ecs:TagResource", (cluster,))
            yield Need("iam:CreateServiceLinkedRole", (question.arn("iam", linked),))


def _handed_on(*roles: str, to: str = "ecs-tasks") -> Need:
    return Need("iam:PassRole", roles, {"iam:PassedToService": f"{to}.amazonaws.com"})


def _form(question: Question) -> dict[str, str]:
    return {key: values[0] for key, values in urllib.parse.parse_qs(question.body).items()}


def _role(name: str) -> Any:
    roles = list(iam_backends[ACCOUNT]["aws"].roles.values())
    return next((role for role in roles if role.name == name), None)


def _profiles() -> list[Any]:
    return list(iam_backends[ACCOUNT]["aws"].instance_profiles.values())


def _roles_of(profile: Mapping[str, str]) -> list[str]:
    """Return the ARNs of the roles in an instance profile, which is given by name or ARN."""
    named = profile.get("Name") or profile["Arn"].rpartition("/")[2]
    return [role.arn for each in _profiles() if each.name == named for role in each.roles]


# -- what policies allow -------------------------------------------------------------------------------


def _uses(statement: Mapping[str, Any], need: Need, resource: str) -> set[Use]:
    """Return by which of its actions and resources a statement allows something."""
    assert statement["Effect"] == "Allow"
    holds = all(
        _holds(operator, pattern, need.keys.get(key))
        for operator, pairs in statement.get("Condition", {}).items()
        for key, pattern in pairs.items()
    )
    return {
        (statement.get("Sid", ""), action, pattern)
        for action in _listed(statement["Action"])
        for pattern in _listed(statement["Resource"])
        if holds and _fits(action.lower(), need.action.lower()) and _fits(pattern, resource)
    }


def _holds(operator: str, pattern: str, value: str | None) -> bool:
    if operator == "StringEquals":
        return value == pattern
    assert operator in ("StringLike", "ArnLike"), operator
    return value is not None and _fits(pattern, value)


def _fits(pattern: str, text: str) -> bool:
    parts = (".*" if sign == "*" else "." if sign == "?" else re.escape(sign) for sign in pattern)
    return re.fullmatch("".join(parts), text, re.DOTALL) is not None


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
