"""A fleet on machines of EC2, against a local AWS that runs their user data."""

from __future__ import annotations

import time
import uuid
from collections import Counter

import pytest

from scalable_aws import ec2, machines, release
from scalable_aws import ec2_requests as requests
from scalable_aws.ec2 import Ec2Launcher
from scalable_aws.fleet import launcher_of
from scalable_aws.options import Ec2Options
from scalable_core.errors import ClusterError
from scalable_core.types import (
    ClusterRecord,
    HookContext,
    Plan,
    Project,
    Secret,
    Stores,
    Target,
    WorkerGroup,
)
from scalable_core.types.units import GIB


class Sink:
    """Keeps the events of a fleet."""

    def __init__(self):
        self.events = []

    def emit(self, event):
        self.events.append(event)

    def texts(self, kind):
        return [event.message for event in self.events if event.kind == kind]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Looks often, so that tests need not wait."""
    monkeypatch.setattr(Ec2Launcher, "poll_interval", 0.3)
    monkeypatch.setattr(machines, "LOOK_EVERY", 0.3)
    monkeypatch.setattr(release, "LOOK_EVERY", 0.3)
    monkeypatch.setattr(release, "SETTLING", 1.0)


@pytest.fixture
def bed(real_bed, become):
    """The local AWS, and this process as one of its users."""
    become(real_bed)
    real_bed.reset()
    yield real_bed
    real_bed.tell("capacity", {})


def make_plan(count, *, cpus=1.0, env=None, image="solar:1.0", **options):
    group = WorkerGroup(
        name="analysis",
        cpus=cpus,
        memory=GIB,
        threads=1,
        minimum=0,
        maximum=count,
        image=image,
        env=env or {},
    )
    target = Target(
        name="there",
        provider="aws",
        cluster_type="ec2",
        options=Ec2Options(region="us-east-1", **options),
    )
    return Plan(
        project=Project(name=f"study-{uuid.uuid4().hex[:6]}"),
        target=target,
        manifest="/nowhere/scalable.yaml",
        workflow="/nowhere/workflow.py",
        lock="sha256:0",
        groups=(group,),
        minimum=count,
        maximum=count,
        stores=Stores(records="/nowhere", artifacts="/nowhere", cache="/nowhere"),
    )


@pytest.fixture
def start(tmp_path, bed):
    """Starts a fleet and a client; ``fleet.sink`` has its events."""
    from distributed import Client

    from scalable_core.cluster.fleet import FleetCluster

    opened = []

    def start(plan, *, workers, **knobs):
        run = f"run-{uuid.uuid4().hex[:8]}"
        sink = Sink()
        context = HookContext(
            project=plan.project.name, run=run, run_dir=tmp_path / run, events=sink
        )
        fleet = FleetCluster(plan, launcher_of(plan), context, **({"eager": True} | knobs))
        fleet.sink = sink
        opened.append(fleet)
        opened.append(client := Client(fleet))
        client.wait_for_workers(workers, timeout=120)
        return fleet, client

    yield start
    for thing in reversed(opened):
        thing.close()


def live(bed):
    """Instances that have not ended."""
    pages = bed.client("ec2").describe_instances()["Reservations"]
    found = [each for page in pages for each in page["Instances"]]
    return [each for each in found if each["State"]["Name"] in ("pending", "running")]


def check_templates(bed, run):
    """Tags on all, the second version of IMDS alone, and a shutdown that ends the bill."""
    import base64

    ec2 = bed.client("ec2")
    templates = ec2.describe_launch_templates()["LaunchTemplates"]
    assert len(templates) == 2
    for template in templates:
        (version,) = ec2.describe_launch_template_versions(
            LaunchTemplateId=template["LaunchTemplateId"]
        )["LaunchTemplateVersions"]
        data = version["LaunchTemplateData"]
        assert data["MetadataOptions"]["HttpTokens"] == "required"
        assert data["InstanceInitiatedShutdownBehavior"] == "terminate"
        assert len(base64.b64decode(data["UserData"])) < 16384
        tags = {each["ResourceType"]: each["Tags"] for each in data["TagSpecifications"]}
        assert {"instance", "volume", "network-interface"} <= set(tags)
        for each in tags.values():
            assert {"Key": "scalable-run", "Value": run} in each


def test_small_workers_share_machines_and_a_run_leaves_nothing(start, bed):
    """Two workers of one vCPU on a machine of two; after the end there is no machine, template or group."""
    env = {"KEY": Secret(value="hunter2", template="${KEY}")}
    plan = make_plan(3, instance_type="c5.large", env=env)
    fleet, client = start(plan, workers=3)

    def where(number):
        import os

        return os.environ["SCALABLE_HOST"], os.environ["KEY"], number

    found = client.gather(client.map(where, range(30), pure=False))
    assert {key for _, key, _ in found} == {"hunter2"}
    workers = client.scheduler_info()["workers"].values()
    assert {worker["name"] for worker in workers} == {"analysis-0", "analysis-1", "analysis-2"}
    assert len({worker["host"] for worker in workers}) == 2
    assert len(live(bed)) == 3  # the scheduler has its own
    fleet.scale(4)  # the free place is taken, and no machine is started for it
    client.wait_for_workers(4, timeout=60)
    assert len(live(bed)) == 3

    check_templates(bed, fleet.fleet.run)
    client.close()
    fleet.close()
    ec2 = bed.client("ec2")
    assert live(bed) == []
    assert ec2.describe_launch_templates()["LaunchTemplates"] == []
    groups = {group["GroupName"] for group in ec2.describe_security_groups()["SecurityGroups"]}
    assert not [name for name in groups if "run-" in name]
    assert all(
        "hunter2" not in call["parameters"] for call in bed.calls(None) if call["service"] == "ec2"
    )
    assert all("0.0.0.0/0" not in call["parameters"] for call in bed.calls(None))
    assert fleet.fleet.ledger.entries == ()
    deadline = time.monotonic() + 30
    while bed.get("processes") and time.monotonic() < deadline:
        time.sleep(0.2)
    assert bed.get("processes") == []


def end_container(client, address):
    """End all processes of a worker's container, as too little memory does."""

    def end():
        import os
        import signal

        print("scenario 17 takes all there is", flush=True)
        for process in (os.getppid(), os.getpid()):
            os.kill(process, signal.SIGKILL)

    return client.submit(end, workers=[address], pure=False)


def test_a_container_that_uses_too_much_memory_is_told_with_its_last_lines(start, bed):
    """The machine says its exit code; another worker takes the place on the same machine, under a new name."""
    fleet, client = start(make_plan(2, instance_type="c5.large"), workers=2)
    before = {each["InstanceId"] for each in live(bed)}

    workers = client.scheduler_info()["workers"]
    (address,) = [own for own, each in workers.items() if each["name"] == "analysis-0"]
    lost = end_container(client, address)
    deadline = time.monotonic() + 120
    while not fleet.sink.texts("worker.lost") and time.monotonic() < deadline:
        time.sleep(0.2)
    lost.cancel()
    (event,) = [each for each in fleet.sink.events if each.kind == "worker.lost"]
    assert "analysis-0 ended" in event.message
    assert "exit code 137" in event.message
    assert "scenario 17 takes all there is" in event.data["log"]
    assert event.data["reason"] == "memory"

    client.wait_for_workers(2, timeout=120)
    names = {each["name"] for each in client.scheduler_info()["workers"].values()}
    assert names == {"analysis-1", "analysis-2"}
    assert {each["InstanceId"] for each in live(bed)} == before


def test_a_machine_on_which_nobody_is_any_more_is_ended(start, bed, monkeypatch):
    """Nobody may come for the place of a worker that was lost; who has a machine yet is left alone."""
    monkeypatch.setattr(ec2, "EMPTY", 1.0)
    fleet, client = start(make_plan(3, instance_type="c5.large"), workers=3)
    workers = client.scheduler_info()["workers"]
    hosts = Counter(each["host"] for each in workers.values())
    assert sorted(hosts.values()) == [1, 2]
    (alone,) = [address for address, each in workers.items() if hosts[each["host"]] == 1]
    (lost,) = [each for each in live(bed) if each["PrivateIpAddress"] == workers[alone]["host"]]
    before = {each["InstanceId"] for each in live(bed)}
    fleet.limit_workers(0)

    end = end_container(client, alone)
    deadline = time.monotonic() + 120
    while len(live(bed)) == 3 and time.monotonic() < deadline:
        time.sleep(0.2)
    end.cancel()
    assert {each["InstanceId"] for each in live(bed)} == before - {lost["InstanceId"]}
    assert client.submit(abs, -7).result(timeout=60) == 7


def test_an_image_that_cannot_be_pulled_ends_the_run_with_what_docker_says(start, bed):
    """In one sentence with a cure, and nothing is left running."""
    with pytest.raises(ClusterError) as caught:
        start(make_plan(1, instance_type="c5.large", image="missing:1.0"), workers=1)

    assert "its image missing:1.0 cannot be pulled: manifest for missing:1.0" in str(caught.value)
    assert "check the image's name" in caught.value.cure
    assert live(bed) == []


def test_what_spot_lacks_is_bought_on_demand(start, bed):
    """One machine of two is to be had as Spot."""
    bed.tell("capacity", {"spot": 1})
    fleet, _ = start(make_plan(2, instance_type="c5.large", cpus=2.0, spot=True), workers=2)

    assert "InsufficientInstanceCapacity" in fleet.sink.texts("fleet.short")[0]
    lifecycles = [each.get("InstanceLifecycle", "on-demand") for each in live(bed)]
    assert sorted(lifecycles) == ["on-demand", "on-demand", "spot"]


def test_a_worker_hands_over_and_ends_when_spot_tells_it_so(start, bed):
    """What it holds moves to others, its machine ends, and another one takes its place."""
    plan = make_plan(2, instance_type="c5.large", cpus=2.0, capacity="spot")
    _, client = start(plan, workers=2)
    kept = client.map(lambda n: n + 1, range(20), pure=False)
    client.gather(kept)
    (one, *_) = [each["InstanceId"] for each in live(bed) if each.get("InstanceLifecycle")]
    bed.tell("notice", {"instances": [one]})

    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        names = {each["name"] for each in client.scheduler_info()["workers"].values()}
        if "analysis-2" in names and one not in {each["InstanceId"] for each in live(bed)}:
            break
        time.sleep(0.3)
    assert "analysis-2" in names
    assert one not in {each["InstanceId"] for each in live(bed)}
    assert client.gather(kept) == [n + 1 for n in range(20)]


def test_a_run_is_released_from_its_record_alone(start, bed):
    """Also one whose driver is gone: machines, templates, documents and group, found by tag."""
    plan = make_plan(1, instance_type="c5.large")
    fleet, _ = start(plan, workers=1)
    data = dict(fleet.crew.launcher.data)
    record = ClusterRecord(
        provider="aws",
        run=fleet.fleet.run,
        project=plan.project.name,
        target="there",
        created="",
        data=data,
    )
    context = HookContext(project=plan.project.name)
    found = release.find(plan.target.options, fleet.fleet.run, context)
    kinds = sorted(each.kind for each in found)
    assert kinds.count("ec2:launch-template") == 2
    assert kinds.count("ec2:instance") == 3  # two places on one machine, and the scheduler
    assert all(each.hourly for each in found if each.kind == "ec2:instance")

    report = release.release(record, context, provider="aws")
    assert report.remaining == ()
    assert live(bed) == []
    assert release.find(plan.target.options, fleet.fleet.run, context) == ()


INSTANCE = {
    "InstanceId": "i-1",
    "State": {"Name": "terminated"},
    "StateReason": {"Code": "Client.InstanceInitiatedShutdown", "Message": "it shut down"},
}


@pytest.mark.parametrize(
    ("said", "state", "facts"),
    [
        (None, "running", ("running", None, None, None)),
        ({"member": "i-1.0", "code": 137}, "running", ("stopped", None, 137, None)),
        (None, "terminated", ("stopped", "it shut down", None, None)),
        (
            {"machine": "i-1", "said": "its image x cannot be pulled: denied"},
            "terminated",
            ("stopped", "its image x cannot be pulled: denied", None, "image"),
        ),
        (
            {"machine": "i-1", "said": "[Errno 28] No space left on device"},
            "terminated",
            ("stopped", "[Errno 28] No space left on device", None, "other"),
        ),
    ],
)
def test_a_machine_knows_better_than_ec2_why_a_member_ended(said, state, facts):
    """EC2 says the same of every machine that shuts itself down."""
    instance = {**INSTANCE, "State": {"Name": state}}
    member = requests.member_of(instance, "analysis-0", "i-1.0", None, shared=False, said=said)

    assert (member.state, member.reason, member.exit_code, member.failure) == facts
