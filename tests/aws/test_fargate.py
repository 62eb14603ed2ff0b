"""A fleet on Fargate, against a local AWS that runs its members."""

from __future__ import annotations

import json
import os
import re
import time
import uuid

import pytest

from scalable_aws import release
from scalable_aws.fargate import FargateLauncher
from scalable_aws.options import FargateOptions
from scalable_aws.standing import standing_name
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
    monkeypatch.setattr(FargateLauncher, "poll_interval", 0.3)
    monkeypatch.setattr(release, "LOOK_EVERY", 0.3)
    monkeypatch.setattr(release, "SETTLING", 1.0)


@pytest.fixture
def project():
    """A project that nobody else has."""
    return f"study-{uuid.uuid4().hex[:6]}"


@pytest.fixture
def make_plan(project):
    """Makes a `Plan` for Fargate: make_plan(12, capacity="spot")."""

    def make_plan(count=1, *, env=None, image="solar:1.0", **options):
        group = WorkerGroup(
            name="analysis",
            cpus=1.0,
            threads=1,
            minimum=0,
            maximum=count,
            image=image,
            env=env or {},
        )
        target = Target(
            name="there",
            provider="aws",
            cluster_type="fargate",
            options=FargateOptions(region="us-east-1", **options),
        )
        return Plan(
            project=Project(name=project),
            target=target,
            manifest="/nowhere/scalable.yaml",
            workflow="/nowhere/workflow.py",
            lock="sha256:0",
            groups=(group,),
            minimum=count,
            maximum=count,
            stores=Stores(records="/nowhere", artifacts="/nowhere", cache="/nowhere"),
        )

    return make_plan


@pytest.fixture
def start(tmp_path, make_plan):
    """Starts a fleet and a client; ``fleet.sink`` has its events."""
    from distributed import Client

    from scalable_core.cluster.fleet import FleetCluster

    opened = []

    def start(plan, *, workers=None, run=None, **knobs):
        sink = Sink()
        run = run or f"run-{uuid.uuid4().hex[:8]}"
        context = HookContext(
            project=plan.project.name, run=run, run_dir=tmp_path / run, events=sink
        )
        fleet = FleetCluster(
            plan, FargateLauncher(plan.target.options), context, **({"eager": True} | knobs)
        )
        fleet.sink = sink
        opened.append(fleet)
        opened.append(client := Client(fleet))
        if workers:
            client.wait_for_workers(workers, timeout=120)
        return fleet, client

    yield start
    for thing in reversed(opened):
        thing.close()


@pytest.fixture
def wait_until():
    """Waits for a condition and returns its first true answer."""

    def wait_until(condition, timeout=90.0):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if answer := condition():
                return answer
            time.sleep(0.1)
        raise AssertionError("it did not come true in time")

    return wait_until


def left_of(bed, project, run=None):
    """Return what is there of a project's runs, as somebody sees it who asks AWS."""
    path = f"/scalable/{standing_name(project)}/"
    tags = [{"Name": "tag:scalable-project", "Values": [project]}]
    tags += [{"Name": "tag-key", "Values": ["scalable-run"]}]
    names = bed.client("ssm").get_parameters_by_path(Path=path, Recursive=True)["Parameters"]
    groups = bed.client("ec2").describe_security_groups(Filters=tags)["SecurityGroups"]
    tasks = bed.tasks(standing_name(project))
    return [
        *(task["taskArn"] for task in tasks if run in (None, task["startedBy"])),
        *(group["GroupName"] for group in groups if run is None or run in group["GroupName"]),
        *(each["Name"] for each in names if run is None or f"/{run}/" in each["Name"]),
    ]


def test_members_are_processes_that_find_each_other_over_tls(real_bed, become, start, make_plan):
    """Each at its own address, from an image that has nothing of ours; with the component's environment."""
    become(real_bed)
    plan = make_plan(2, env={"SIZE": "small", "TOKEN": Secret("swordfish", template="${TOKEN}")})
    fleet, client = start(plan, workers=2)

    def look():
        import os

        return os.environ["SIZE"], os.environ["TOKEN"], os.getpid()

    seen = client.run(look)

    assert fleet.scheduler_address.startswith("tls://127.")
    assert all(address.startswith("tls://127.") for address in seen)
    assert len({address.rpartition(":")[0] for address in seen}) == 2
    assert {(size, token) for size, token, _ in seen.values()} == {("small", "swordfish")}
    assert {pid for *_, pid in seen.values()}.isdisjoint(real_bed.get("processes"))  # under nannies
    assert client.gather(client.map(lambda x: x + 1, range(10))) == list(range(1, 11))


def test_a_member_that_uses_too_much_memory_is_replaced_and_its_end_explained(
    real_bed, become, start, make_plan, project, wait_until
):
    """Exit code 137 is told with its cure, and the work goes on elsewhere."""
    become(real_bed)
    fleet, client = start(make_plan(1), workers=1)
    tasks = real_bed.tasks(standing_name(project))
    (worker,) = [task for task in tasks if _group(task) == "analysis"]

    real_bed.tell("kill", {"tasks": [worker["taskArn"]]})

    (said,) = wait_until(lambda: fleet.sink.texts("worker.lost"))
    assert said.startswith("analysis-0 ended: ")
    assert "exit code 137" in said
    client.wait_for_workers(1, timeout=90)
    assert client.submit(sum, (1, 2)).result(timeout=90) == 3


def test_an_image_that_is_not_there_ends_the_run_with_one_sentence(bed, become, start, make_plan):
    """What ECS says, and what to look at."""
    become(bed)

    with pytest.raises(ClusterError, match="CannotPullContainerError") as caught:
        start(make_plan(1, image="missing:1.0"))

    assert (
        caught.value.cure == "check the image's name, and that the role that pulls it may read it"
    )


def test_a_second_run_makes_nothing_that_stands(bed, become, start, make_plan, project):
    """Cluster, roles, groups, logs and task definitions are found again, and nothing of a run is in them."""
    become(bed)
    plan = make_plan(2)
    for thing in reversed(start(plan, workers=2)):
        thing.close()
    key = become(bed)
    for thing in reversed(start(plan, workers=2)):
        thing.close()

    making = ("Create", "Register", "PutRole", "PutRetention", "Tag")
    made = {name: n for name, n in bed.count(key).items() if name.split(":")[1].startswith(making)}
    assert made == {"ec2:CreateSecurityGroup": 1}  # that of the run
    assert left_of(bed, project) == []


def test_a_hundred_workers_need_few_calls_and_none_is_throttled(bed, become, start, make_plan):
    """Ten tasks for each call that starts, a hundred for each that looks; the service's floor is not far."""
    become(bed)
    for thing in reversed(start(make_plan(1), workers=1)):
        thing.close()
    key = become(bed)
    fleet, client = start(make_plan(100), workers=100)

    calls, count = bed.calls(key), bed.count(key)
    looks = fleet.crew.watch.polls
    assert count["ecs:RunTask"] == 11
    assert count["ecs:DescribeTasks"] <= 1.5 * looks + 3
    watching = ("DescribeTasks", "ListTasks", "PutParameter")
    assert sum(call["action"] not in watching for call in calls) <= 24
    assert not [call for call in calls if call["status"] >= 400]
    assert client.gather(client.map(lambda x: x + 1, range(300))) == list(range(1, 301))


def test_twelve_are_wanted_and_nine_are_there(bed, become, start, make_plan):
    """A fleet that is smaller than asked is a fleet."""
    become(bed)
    bed.tell("capacity", {"FARGATE": 10})  # the scheduler is one
    try:
        fleet, client = start(make_plan(12), workers=9)
        assert client.gather(client.map(lambda x: x + 1, range(50))) == list(range(1, 51))
        (said,) = fleet.sink.texts("fleet.short")
        assert "Capacity is unavailable at this time" in said
        client.close()
        fleet.close()
    finally:
        bed.tell("capacity", {})


def test_spot_falls_back_to_on_demand(bed, become, start, make_plan, project):
    """Within what the target allows."""
    become(bed)
    bed.tell("capacity", {"FARGATE_SPOT": 2})
    try:
        fleet, client = start(make_plan(5, capacity="spot_with_fallback"), workers=5)
        tasks = bed.tasks(standing_name(project))
        client.close()
        fleet.close()
    finally:
        bed.tell("capacity", {})

    bought = sorted(task["capacityProviderName"] for task in tasks if _group(task) == "analysis")
    assert bought == ["FARGATE"] * 3 + ["FARGATE_SPOT"] * 2


@pytest.mark.parametrize("code", ["SpotInterruption", "TerminationNotice"])
def test_spot_takes_half_of_the_workers_and_no_task_is_lost(
    bed, become, start, make_plan, project, wait_until, code
):
    """Others take their places, whatever ECS calls it, and calls that were under way are done again."""
    become(bed)
    fleet, client = start(make_plan(6, capacity="spot"), workers=6)
    futures = client.map(lambda x: time.sleep(0.1) or x, range(60))
    workers = [t["taskArn"] for t in bed.tasks(standing_name(project)) if _group(t) == "analysis"]

    bed.tell("interrupt", {"tasks": workers[:3], "code": code})

    assert client.gather(futures) == list(range(60))
    wait_until(lambda: len(fleet.members("analysis")) == 6)
    assert len(fleet.sink.texts("worker.lost") + fleet.sink.texts("worker.notice")) >= 3


def test_what_spot_takes_and_has_no_more_of_is_replaced_on_demand(
    bed, become, start, make_plan, project, wait_until
):
    """In the middle of the work, and no call is lost."""
    become(bed)
    fleet, client = start(make_plan(4, capacity="spot_with_fallback"), workers=4)
    futures = client.map(lambda x: time.sleep(0.1) or x, range(60))
    workers = [t["taskArn"] for t in bed.tasks(standing_name(project)) if _group(t) == "analysis"]
    bed.tell("capacity", {"FARGATE_SPOT": 2})

    def bought():
        tasks = bed.tasks(standing_name(project))
        return sorted(t["capacityProviderName"] for t in tasks if _group(t) == "analysis")

    try:
        bed.tell("interrupt", {"tasks": workers[:2]})
        assert client.gather(futures) == list(range(60))
        wait_until(lambda: bought() == ["FARGATE"] * 2 + ["FARGATE_SPOT"] * 2)
        client.wait_for_workers(4, timeout=90)
    finally:
        bed.tell("capacity", {})
    assert len(fleet.members("analysis")) == 4


def test_a_worker_that_spot_takes_hands_over_what_it_holds(
    real_bed, become, start, make_plan, project, wait_until
):
    """In the two minutes that it has: results that only it holds are not computed again."""
    become(real_bed)
    _, client = start(make_plan(2, capacity="spot"), workers=2)
    futures = client.map(lambda x: (os.getpid(), x), range(10))
    before = client.gather(futures)
    tasks = real_bed.tasks(standing_name(project))
    worker = next(task["taskArn"] for task in tasks if _group(task) == "analysis")

    real_bed.tell("interrupt", {"tasks": [worker]})

    wait_until(lambda: worker not in [t["taskArn"] for t in real_bed.tasks(standing_name(project))])
    assert client.gather(futures) == before
    assert len({process for process, _ in before}) == 2


def test_calls_that_are_throttled_or_fail_are_made_again(bed, become, start, make_plan, project):
    """A tenth of all calls is throttled, another tenth fails on AWS's side; the run ends right."""
    key = become(bed)
    bed.tell(
        "faults",
        [
            {"key": key, "service": "ecs", "code": "ThrottlingException", "share": 0.1},
            {"key": key, "service": "ssm", "code": "ThrottlingException", "share": 0.1},
            {"key": key, "code": "InternalError", "status": 500, "share": 0.1},
        ],
    )
    try:
        fleet, client = start(make_plan(12), workers=12)
        assert client.gather(client.map(lambda x: x + 1, range(50))) == list(range(1, 51))
        client.close()
        fleet.close()
    finally:
        bed.tell("faults", [])

    assert [call for call in bed.calls(key) if call["status"] >= 400]
    assert left_of(bed, project) == []


@pytest.mark.parametrize(
    "slow", [("RunTask", "DescribeTasks"), pytest.param((None,), marks=pytest.mark.slow)]
)
def test_a_slow_service_is_waited_for(bed, become, start, make_plan, project, slow):
    """Two seconds for each call that starts tasks or looks at them, or for each call of all."""
    key = become(bed)
    bed.tell("faults", [{"key": key, "action": each, "seconds": 2.0} for each in slow])
    try:
        fleet, client = start(make_plan(2), workers=2)
        assert client.submit(sum, (1, 2)).result(timeout=60) == 3
        client.close()
        fleet.close()
    finally:
        bed.tell("faults", [])

    assert left_of(bed, project) == []


@pytest.mark.parametrize(
    "fault",
    [
        {"service": "ecs", "code": "ExpiredTokenException"},
        {"service": "ec2", "code": "RequestExpired"},
        {"service": "ecs", "action": "RunTask", "code": "ExpiredTokenException"},
    ],
)
def test_expired_credentials_are_one_sentence(bed, become, start, make_plan, fault):
    """Wherever they are met first, with the cure."""
    key = become(bed)
    bed.tell("faults", [{**fault, "key": key}])
    try:
        with pytest.raises(ClusterError, match="the AWS credentials have expired") as caught:
            start(make_plan(2))
    finally:
        bed.tell("faults", [])

    assert "aws sso login" in (caught.value.cure or "")


def test_credentials_that_expire_in_mid_run_cost_no_result_and_what_is_left_can_be_removed(
    bed, become, start, make_plan, project
):
    """The scheduler needs none; closing says that they have expired, and somebody else ends the run."""
    key = become(bed)
    fleet, client = start(make_plan(2), workers=2)
    run = fleet.fleet.run
    bed.tell("faults", [{"key": key, "code": "ExpiredTokenException"}])
    try:
        assert client.gather(client.map(lambda x: x + 1, range(50))) == list(range(1, 51))
        client.close()
        with pytest.raises(ClusterError, match="the AWS credentials have expired") as caught:
            fleet.close()
    finally:
        bed.tell("faults", [])

    assert "aws sso login" in (caught.value.cure or "")
    assert (caught.value.cure or "").endswith(f"scalable down {run}")
    assert left_of(bed, project)
    context = HookContext(project=project)
    record = ClusterRecord(
        provider="aws", run=run, project=project, target="there", created="",
        data={"region": "us-east-1"},
    )  # fmt: skip
    assert release.release(record, context, provider="aws").remaining == ()
    assert left_of(bed, project) == []


def test_a_call_whose_answer_is_lost_starts_no_second_member(
    bed, become, start, make_plan, project
):
    """It is made again with the same token."""
    from scalable_core.cluster.launcher import MemberGroup, Offer

    become(bed)
    fleet, _ = start(make_plan(1), workers=1)
    launcher = fleet.crew.launcher
    before = len(bed.tasks(standing_name(project)))
    group, offer = (
        MemberGroup(name="analysis", cpus=1.0, image="solar:1.0"),
        Offer(name="on-demand"),
    )

    async def twice():
        first = await launcher.launch(group, ["analysis-90", "analysis-91"], offer)
        return first, await launcher.launch(group, ["analysis-90", "analysis-91"], offer)

    first, second = fleet.sync(twice)

    assert first.launched == second.launched
    assert len(bed.tasks(standing_name(project))) == before + 2


def test_no_port_is_open_to_the_world_and_no_secret_is_anywhere(
    real_bed, become, start, make_plan, tmp_path
):
    """Rules name one address or the group itself; keys are in Parameter Store, encrypted, and nowhere else."""
    key = become(real_bed)
    plan = make_plan(1, env={"TOKEN": Secret("swordfish-4711", template="${TOKEN}")})
    for thing in reversed(start(plan, workers=1)):
        thing.close()

    calls = real_bed.calls(key)
    rules = [c["parameters"] for c in calls if c["action"] == "AuthorizeSecurityGroupIngress"]
    assert sum("127.0.0.1%2F32" in rule for rule in rules) == 1
    assert all("FromPort=8786" in rule for rule in rules if "CidrIp" in rule)
    for call in calls:
        assert not re.search(r"0\.0\.0\.0|%3A%3A%2F0|::/0", call["parameters"])
        if call["action"] == "PutParameter":
            parameters = json.loads(call["parameters"])
            assert (parameters["Type"], parameters["Tier"]) == ("SecureString", "Standard")
            assert len(parameters["Value"]) <= 4096
        else:
            _assert_no_secret(call["parameters"].encode(), call["action"])
    for place in (tmp_path, real_bed.folder):
        for path in place.rglob("*"):
            if path.is_file():
                _assert_no_secret(path.read_bytes(), path)
    assert any(path.suffix == ".log" for path in real_bed.folder.iterdir())


def test_two_users_at_once_do_not_touch_each_other(bed, become, start, make_plan, project):
    """They make what stands together, and the end of one leaves the other's run."""
    become(bed)
    one, first = start(make_plan(2), workers=2)
    two, second = start(make_plan(2), workers=2)

    first.close()
    one.close()

    assert left_of(bed, project, one.fleet.run) == []
    assert len(left_of(bed, project, two.fleet.run)) >= 3 + 1
    assert second.gather(second.map(lambda x: x + 1, range(20))) == list(range(1, 21))


def test_what_is_left_is_found_and_released_without_the_process_that_made_it(
    bed, become, start, make_plan, project
):
    """From the record alone: no ledger, no folder."""
    become(bed)
    fleet, _ = start(make_plan(3), workers=3)
    run = fleet.fleet.run
    _forsake(fleet)
    options = fleet._plan.target.options
    context = HookContext(project=project)

    found = release.find(options, run, context)
    kinds = sorted({each.kind for each in found})
    assert kinds == ["ec2:security-group", "ecs:task", "ssm:parameters"]
    assert all(each.run == run for each in found)
    assert all(each.hourly > 0 for each in found if each.kind == "ecs:task")

    record = ClusterRecord(
        provider="aws",
        run=run,
        project=project,
        target="there",
        created="",
        data={"region": "us-east-1"},
        resources=found,
    )
    report = release.release(record, context, provider="aws")

    assert report.remaining == ()
    assert report.released == found
    assert left_of(bed, project) == []
    assert release.release(record, context, provider="aws").remaining == ()


def test_standing_things_are_listed_apart_and_removed_on_request(
    bed, become, start, make_plan, project
):
    """Seven of them, which cost nothing."""
    become(bed)
    for thing in reversed(start(make_plan(1), workers=1)):
        thing.close()
    options = FargateOptions(region="us-east-1")
    standing = release.find(options, None, HookContext(project=project))
    assert sorted(each.kind for each in standing) == [
        "ec2:security-group",
        "ecs:cluster",
        "ecs:task-definition",
        "ecs:task-definition",
        "iam:role",
        "iam:role",
        "logs:log-group",
    ]
    assert {each.run for each in standing} == {None}

    record = ClusterRecord(
        provider="aws", run="", project=project, target="there", created="",
        data={"region": "us-east-1"}, resources=standing,
    )  # fmt: skip
    context = HookContext(project=project, data={"standing": True})
    assert release.release(record, context, provider="aws").remaining == ()
    assert release.find(options, None, HookContext(project=project)) == ()


def test_the_rates_that_the_engine_is_told_are_below_the_published_ones():
    """RunTask on Fargate: 20 calls a second; tasks: 100 at once and 20 a second after."""
    rates = FargateLauncher.rates

    assert max(rates["launch"].per_second, rates["members"].per_second) < 20
    assert rates["launch"].burst <= 20
    assert rates["members"].burst <= 100
    assert FargateLauncher.batch == 10


def _forsake(fleet):
    """Have nobody look after a fleet any more, as when its driver is gone."""

    async def forsake():
        for task in (*fleet._tasks, *fleet.crew._tasks):
            task.cancel()

    fleet.sync(forsake)


def _group(task):
    return task["overrides"]["containerOverrides"][0]["command"][1]


def _assert_no_secret(text, where):
    assert not re.search(rb"swordfish|PRIVATE KEY", text), where
