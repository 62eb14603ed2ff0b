"""The crash matrix on machines: whenever a driver dies, what it has started is found and ended."""

from __future__ import annotations

import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scalable_aws import machines, release
from scalable_aws.standing import standing_name

sys.path.append(str(Path(__file__).parent))

import test_fargate_crash as fargate

MANIFEST = """\
version: 1
project: {{name: {project}, default_storage: "s3://crashes/{project}"}}
targets:
  aws:
    provider: aws
    cluster_type: ec2
    instance_type: c5.large
    region: us-east-1
    image: {image}
    n_workers: 2
components:
  work: {{cpus: 1, memory: 1G}}
tasks:
  add: {{component: work}}
"""
#: Calls that make or end something: a driver is killed after each of them; after others once of each kind.
CHANGES = ("Create", "Put", "Run", "Authorize", "Add", "Terminate", "Delete", "Tag")
#: Objects that are the ledger's; others are records, for which nobody is billed.
LEDGER = "/ledger/"
#: Calls of which a run makes as many as it needs.
VARYING = {"ec2:TerminateInstances", "s3:PUT", "ssm:PutParameter"}
#: Those that start and end what bills.
BILLED = ("ec2:CreateFleet", "ec2:CreateLaunchTemplate", "ec2:TerminateInstances")


@pytest.fixture
def drivers(real_bed, become, tmp_path, monkeypatch):
    """Drivers of runs on machines, and this process as somebody else who looks after them."""
    become(real_bed)
    monkeypatch.setattr(fargate, "MANIFEST", MANIFEST)
    for module in (release, machines):
        monkeypatch.setattr(module, "LOOK_EVERY", 0.3)
    monkeypatch.setattr(release, "SETTLING", 1.0)
    real_bed.client("s3").create_bucket(Bucket="crashes")
    drivers = fargate.Drivers(real_bed, tmp_path)
    yield drivers
    drivers.close()


def live(bed, project):
    """Ids of a project's instances that have not ended."""
    filters = [
        {"Name": "tag:scalable-project", "Values": [project]},
        {"Name": "instance-state-name", "Values": ["pending", "running"]},
    ]
    pages = bed.client("ec2").describe_instances(Filters=filters)["Reservations"]
    return [each["InstanceId"] for page in pages for each in page["Instances"]]


def left_of(bed, project):
    """Return what is there of a project's runs, as somebody sees it who asks AWS."""
    tags = [{"Name": "tag:scalable-project", "Values": [project]}]
    tags += [{"Name": "tag-key", "Values": ["scalable-run"]}]
    ec2, path = bed.client("ec2"), f"/scalable/{standing_name(project)}/"
    groups = ec2.describe_security_groups(Filters=tags)["SecurityGroups"]
    templates = ec2.describe_launch_templates(Filters=tags)["LaunchTemplates"]
    names = bed.client("ssm").get_parameters_by_path(Path=path, Recursive=True)["Parameters"]
    return [
        *live(bed, project),
        *(group["GroupName"] for group in groups),
        *(template["LaunchTemplateName"] for template in templates),
        *(each["Name"] for each in names),
    ]


def steps_of(calls):
    """Return after which of a whole run's calls drivers are killed, as the local AWS is told."""
    seen = Counter()
    for call in calls:
        name = f"{call['service']}:{call['action']}"
        on = LEDGER if name == "s3:PUT" and LEDGER in call["parameters"] else ""
        seen[name, on] += 1
        if on or call["action"].startswith(CHANGES) or seen[name, on] == 1:
            yield {"at": name, "on": on, "after": seen[name, on]}


@pytest.fixture
def steps(real_bed, drivers):
    """Where drivers are killed in a whole run in an empty account."""
    _, key, code = drivers.run(after=0)
    assert code == 0
    return list(steps_of(call for call in real_bed.get("calls") if call["key"] == key))


@pytest.fixture
def crash(real_bed, drivers):
    """Kills a driver at each of some steps, sees that nothing is left, and returns those that none came to.

    Half of the ends come from the driver's own folder, the others from another machine, which has the manifest
    alone.
    """

    def crash_one(number, step):
        folder, _, code = drivers.run(**step)
        project = folder.name
        if number % 2:
            folder = folder.with_name(f"{project}-elsewhere")
            fargate.write_manifest(real_bed, folder, project)
        assert fargate.down(folder) == [], (project, step)
        assert left_of(real_bed, project) == [], (project, step)
        return code == -9

    def crash(steps):
        with ThreadPoolExecutor(fargate.AT_ONCE) as pool:
            found = [pool.submit(crash_one, n, step) for n, step in enumerate(steps)]
            killed = [each.result() for each in found]
        print(sum(killed), "drivers killed")
        return [step for step, was in zip(steps, killed, strict=True) if not was]

    return crash


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_whenever_a_driver_of_machines_is_killed_down_leaves_nothing(steps, crash):
    """After each call that changes something, carried out but not answered, and once after each that looks."""
    assert len(steps) >= 30
    spared = crash(steps)
    assert {step["at"] for step in spared} <= VARYING
    assert all(step["after"] > 1 for step in spared)


def test_when_a_driver_dies_as_machines_start_or_end_down_leaves_nothing(steps, crash):
    """After each call that makes or ends what bills."""
    steps = [step for step in steps if step["at"] in BILLED]
    assert {step["at"] for step in steps} == set(BILLED)
    assert {step["at"] for step in crash(steps)} <= VARYING


@pytest.mark.slow
def test_without_anybody_machines_end_themselves(real_bed, drivers):
    """The scheduler ends when nobody drives it, the workers with it, and each machine with its containers."""
    limits = {"no_driver": 2.0, "join": 10.0}
    folder, _, code = drivers.run(limits=limits, after=1, at="ec2:TerminateInstances")
    assert code == -9
    assert live(real_bed, folder.name)

    end = time.monotonic() + 120
    while live(real_bed, folder.name) and time.monotonic() < end:
        time.sleep(0.3)
    assert live(real_bed, folder.name) == []
