"""The crash matrix on machines: whenever a driver dies, what it has started is found and ended."""

from __future__ import annotations

import sys
import time
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
CHANGES = ("Create", "Put", "Run", "Authorize", "Add", "Terminate", "Delete", "Tag", "PUT")


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


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_whenever_a_driver_of_machines_is_killed_down_leaves_nothing(real_bed, drivers):
    """After each call that changes something, carried out but not answered, and once after each that looks.

    Half of the ends come from the driver's own folder, the others from another machine, which has the manifest
    alone.
    """
    _, key, code = drivers.run(after=0)
    assert code == 0
    whole = fargate.calls_of(real_bed, key)
    wanted = []
    for kind in dict.fromkeys(whole):
        often = whole.count(kind) if kind.partition(":")[2].startswith(CHANGES) else 1
        wanted += [(kind, nth) for nth in range(1, often + 1)]
    assert len(wanted) >= 30

    def crash(number, kind, nth):
        folder, _, code = drivers.run(at=kind, after=nth)
        project = folder.name
        if number % 2:
            folder = folder.with_name(f"{project}-elsewhere")
            fargate.write_manifest(real_bed, folder, project)
        assert fargate.down(folder) == [], (project, kind, nth)
        assert left_of(real_bed, project) == [], (project, kind, nth)
        return (kind, nth) if code == -9 else None

    with ThreadPoolExecutor(2) as pool:
        found = [pool.submit(crash, n, *each) for n, each in enumerate(wanted)]
        ends = {each.result() for each in found} - {None}
    print(len(whole), "calls;", len(ends), "drivers killed")
    assert {kind for kind, _ in ends} == set(whole)


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
