"""The policy that is printed, and the calls of whole runs: nothing is missing, and nothing is too much."""

from __future__ import annotations

import fnmatch
import json
import os
import subprocess
import sys
import uuid

import pytest
from aws.ecr import Ecr

from aws import registry
from scalable_aws.options import Ec2Options, FargateOptions
from scalable_aws.policy import grants, required_permissions
from scalable_core.types import (
    Plan,
    Project,
    Stores,
    Target,
    WorkerGroup,
)

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/solar:amd64"
MANIFEST = """\
version: 1
project: {{name: {project}, default_storage: s3://{bucket}/runs}}
targets:
  aws: {{provider: aws, region: us-east-1, cluster_type: {kind}, image: "{image}", n_workers: 2}}
components: {{physics: {{cpus: 1, memory: 2G}}}}
tasks: {{double: {{component: physics}}}}
"""
WORKFLOW = """\
from pathlib import Path
from scalable import ScalableSession, store_artifact

def double(x):
    return store_artifact("results/double.json", {"value": 2 * x}).uri

if __name__ == "__main__":
    with ScalableSession.from_yaml(Path(__file__).parent / "scalable.yaml") as client:
        print("STORED", client.submit(double, 3, task="double").result())
        client.wait_for_workers(2)
        client.cluster.logs("physics-0")
        client.cluster.scale(1)
        assert client.submit(abs, -3, task="double").result() == 3
"""
#: From the first look to the removal of what stands.
LIFE = (
    ["doctor", "--target", "aws"],
    ["run", "--target", "aws", "--yes"],
    ["status", "--target", "aws"],
    ["logs"],
    ["artifacts", "rm", "--run", "run", "--yes"],
    ["down", "--all", "--standing", "--yes"],
)
#: What such a life does without, by kind of cluster: statement and part of it, and what would need it.
SPARED = {
    "fargate": {
        ("KeepRuns", "s3:AbortMultipartUpload"),  # an upload that fails
        ("MakeRoles", "arn:aws:iam::*:role/scalable-{project}-*"),  # two who make it at once
    },
    "ec2": {
        ("KeepRuns", "s3:AbortMultipartUpload"),
        ("MakeRoles", "arn:aws:iam::*:role/scalable-{project}-*"),
        ("MakeProfile", "arn:aws:iam::*:instance-profile/scalable-{project}-*"),
        ("FindTasks", "ecs:DescribeTasks"),  # tasks of a target that was on Fargate before
        ("FindTasks", "arn:aws:ecs:us-east-1:*:task/scalable-{project}/*"),
        ("Look", "ec2:DescribeNetworkInterfaces"),
    },
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


@pytest.fixture
def project(real_bed, become, tmp_path, monkeypatch):
    """Makes the folder of a project in an empty account, but for its bucket and its image in ECR."""
    real_bed.reset()
    become(real_bed)
    ecr, (digest, manifest) = real_bed.client("ecr"), registry.manifest("amd64")
    ecr.create_repository(repositoryName="solar")
    ecr.put_image(
        repositoryName="solar", imageTag="amd64", imageDigest=digest, imageManifest=manifest
    )

    def project(kind):
        folder = tmp_path / f"solar-{uuid.uuid4().hex[:6]}"
        folder.mkdir()
        real_bed.client("s3").create_bucket(Bucket=f"bucket-{folder.name}")
        names = {"project": folder.name, "bucket": f"bucket-{folder.name}"}
        (folder / "scalable.yaml").write_text(MANIFEST.format(kind=kind, image=IMAGE, **names))
        (folder / "workflow.py").write_text(WORKFLOW)
        return folder

    with Ecr(tmp_path, real_bed, IMAGE.partition("/")[0]) as ecr:
        for name, value in ecr.environment.items():
            monkeypatch.setenv(name, value)
        yield project
    real_bed.tell("permits", {})


def scalable(folder, *words):
    command = [sys.executable, "-m", "scalable", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240)


@pytest.mark.parametrize("kind", ["fargate", "ec2"])
def test_the_policy_is_what_a_whole_run_needs_and_no_more(kind, real_bed, project):
    """Users with it alone, and members with their roles alone, do all; each part of it allows something."""
    folder = project(kind)
    printed = json.loads(scalable(folder, "doctor", "--target", "aws", "--print-policy").stdout)
    key = os.environ["AWS_ACCESS_KEY_ID"]
    real_bed.tell("permits", {key: printed})
    before = len(real_bed.get("calls"))
    for words in LIFE:
        done = scalable(folder, *words)
        assert done.returncode == 0, (words, done.stdout + done.stderr)

    calls = real_bed.get("calls")[before:]
    assert {call["key"][:4] for call in calls} >= {"AKIA", "ASIA"}
    names = [(call["service"], call["action"], call["status"]) for call in calls]
    assert [each for each in names if each[2] in (0, 403, 500)] == []
    used = {(sid, part) for sid, *both in real_bed.get(f"used/{key}") for part in both}
    spared = {(sid, part.format(project=folder.name)) for sid, part in SPARED[kind]}
    assert parts_of(printed) - used == spared


def parts_of(policy):
    """Return all actions and resources of a policy, each with the name of its statement."""
    return {
        (each["Sid"], part)
        for each in policy["Statement"]
        for part in [*each["Action"], *each["Resource"]]
    }


@pytest.mark.parametrize(
    ("kind", "sid", "action"),
    [
        ("fargate", "StartTasks", "ecs:RunTask"),
        ("ec2", "HandOnRoles", "iam:PassRole"),
    ],
)
def test_a_permission_that_lacks_is_named_and_nothing_is_left(kind, sid, action, real_bed, project):
    """The same policy without one of its statements is not enough."""
    folder = project(kind)
    policy = json.loads(scalable(folder, "doctor", "--target", "aws", "--print-policy").stdout)
    policy["Statement"] = [each for each in policy["Statement"] if each["Sid"] != sid]
    real_bed.tell("permits", {os.environ["AWS_ACCESS_KEY_ID"]: policy})
    done = scalable(folder, "run", "--target", "aws", "--yes")
    real_bed.tell("permits", {})

    assert done.returncode != 0
    assert action in done.stderr
    assert "Traceback" not in done.stderr
    status = json.loads(scalable(folder, "status", "--json", "--target", "aws").stdout)
    assert status["runs"] == []


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
