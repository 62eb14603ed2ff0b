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


def missing(question: Question, statements: list[dict[str, Any]]) -> str | None:
    """Return what statements lack for a call, as AWS says it; None when they allow it."""
    for need in needs(question):
        for resource in need.resources:
            if not any(_allows(each, need, resource) for each in statements):
                return f"is not authorized to perform: {need.action} on resource: {resource}"
    return None


def statements_of_member(key: str) -> list[dict[str, Any]]:
    """Return what the role of the task that has an access key allows."""
    for backends in ecs_backends.values():
        for backend in backends.values():
            for tasks in list(backend.tasks.values()):
                for task in list(tasks.values()):
                    if key.endswith(task.id[:16].upper().replace("-", "")):
                        made = backend.describe_task_definition(task.task_definition_arn)
                        role = _role(str(made.task_role_arn).rpartition("/")[2])
                        texts = role.policies.values() if role else ()
                        return [s for text in texts for s in json.loads(text)["Statement"]]
    return []


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
    assert question.action in _ROLES, name
    fields = _form(question)
    role = _role(fields["RoleName"])
    path = fields.get("Path") or (role.path if role else None) or "/"
    arn = role.arn if role else question.arn("iam", f"role{path}{fields['RoleName']}")
    yield Need(name, (arn,))
    if question.action == "CreateRole" and any(key.startswith("Tags.") for key in fields):
        yield Need("iam:TagRole", (arn,))


def _of_ec2(question: Question, name: str) -> Iterator[Need]:
    fields = _form(question)
    if question.action == "CreateSecurityGroup":
        made = question.arn("ec2", "security-group/sg-00000000000000000")
        yield Need(name, (made, question.arn("ec2", f"vpc/{fields['VpcId']}")))
        yield Need("ec2:CreateTags", (made,), {"ec2:CreateAction": question.action})
        return
    assert question.action in ("AuthorizeSecurityGroupIngress", "DeleteSecurityGroup"), name
    backend = ec2_backends[ACCOUNT][question.region]
    group = backend.get_security_group_from_id(fields["GroupId"])
    tags = {each["key"]: each["value"] for each in group.get_tags()} if group else {}
    keys = {f"aws:ResourceTag/{key}": value for key, value in tags.items()}
    yield Need(name, (question.arn("ec2", f"security-group/{fields['GroupId']}"),), keys)


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
        yield from _handed_on(fields["executionRoleArn"], fields["taskRoleArn"])
    elif question.action == "RunTask":
        definition = fields["taskDefinition"]
        yield Need(name, (definition,), inside)
        yield Need("ecs:TagResource", (question.arn("ecs", f"task/{plain}/0"),))
        found = ecs_backends[ACCOUNT][question.region].describe_task_definition(definition)
        yield from _handed_on(found.execution_role_arn, found.task_role_arn)
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


def _handed_on(*roles: str) -> Iterator[Need]:
    yield Need("iam:PassRole", roles, {"iam:PassedToService": "ecs-tasks.amazonaws.com"})


def _form(question: Question) -> dict[str, str]:
    return {key: values[0] for key, values in urllib.parse.parse_qs(question.body).items()}


def _role(name: str) -> Any:
    roles = list(iam_backends[ACCOUNT]["aws"].roles.values())
    return next((role for role in roles if role.name == name), None)


# -- what policies allow -------------------------------------------------------------------------------


def _allows(statement: Mapping[str, Any], need: Need, resource: str) -> bool:
    assert statement["Effect"] == "Allow"
    actions, resources = _listed(statement["Action"]), _listed(statement["Resource"])
    return (
        any(_fits(pattern.lower(), need.action.lower()) for pattern in actions)
        and any(_fits(pattern, resource) for pattern in resources)
        and all(
            _holds(operator, pattern, need.keys.get(key))
            for operator, pairs in statement.get("Condition", {}).items()
            for key, pattern in pairs.items()
        )
    )


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
