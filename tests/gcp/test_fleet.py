"""Fleets on Cloud Run, with real schedulers and workers, from the first call to the last."""

from __future__ import annotations

import json
import time

import pytest
from distributed import Client

from scalable_core.cluster.fleet import FleetCluster
from scalable_core.cluster.launcher import Limits
from scalable_core.cluster.ledger import read_record
from scalable_core.errors import ClusterError
from scalable_core.types import HookContext, Plan, Project, Stores, Target, WorkerGroup
from scalable_gcp import cloud_run, requests, restarts
from scalable_gcp.cloud_run import CloudRunLauncher
from scalable_gcp.options import CloudRunOptions
from scalable_gcp.release import release_cluster

pytestmark = pytest.mark.timeout(240)
RUN = "run-20261123-021804-brisk-otter-7f3a"
IMAGE = "us-central1-docker.pkg.dev/study-project/models/demeter:2"
NOTHING = {"pools": {}, "machines": {}, "secrets": {}, "rules": {}}


def travelling(function):
    """Let a function go to workers whole: they have no module of this name."""
    function.__module__ = "__main__"
    return function


def make_plan(count: int, **options) -> Plan:
    """Plan some workers of one component."""
    given = CloudRunOptions(region="us-central1", image=IMAGE, n_workers=count, **options)
    group = WorkerGroup(name="analysis", cpus=1.0, threads=1, minimum=0, maximum=count)
    return Plan(
        project=Project(name="study"),
        target=Target(name="gcp", provider="gcp", options=given),
        manifest="/nowhere/scalable.yaml",
        workflow="/nowhere/workflow.py",
        lock="sha256:0",
        groups=(group,),
        minimum=count,
        maximum=count,
        stores=Stores(records="/nowhere", artifacts="/nowhere", cache="/nowhere"),
    )


@pytest.fixture
def start(google, tmp_path, events, monkeypatch):
    """Starts a fleet of some workers: start(2, transport="vpc"); all end with the test."""
    monkeypatch.setattr(cloud_run, "RELAY", {**cloud_run.RELAY, "patience": 2.0})
    made = []

    def start(count: int = 2, *, limits: Limits | None = None, **options) -> FleetCluster:
        plan = make_plan(count, **options)
        context = HookContext(
            project="study", run=RUN, run_dir=tmp_path / "run", workdir=tmp_path, events=events
        )
        launcher = CloudRunLauncher(plan.target.options)
        launcher.poll_interval = 0.5
        made.append(FleetCluster(plan, launcher, context, eager=True, limits=limits))
        return made[-1]

    yield start
    for fleet in made:
        fleet.close()


def left(google) -> dict:
    """What there is that bills or stands open."""
    state = google.state
    return {kind: state[kind] for kind in NOTHING}


def wait_until(condition, timeout=90.0):
    """Wait for a condition, and return its first true answer."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if answer := condition():
            return answer
        time.sleep(0.1)
    raise AssertionError("it did not come true in time")


@travelling
def total(*parts: bytes) -> int:
    """Take the results of others, wherever they are."""
    return sum(map(len, parts))


@pytest.mark.parametrize("transport", ["vpc", "relay"])
def test_a_fleet_works_and_leaves_nothing(google, start, transport):
    """Calls, large results, dependencies between workers; then no pool, machine, secret or rule is left."""
    fleet = start(2, transport=transport)
    with Client(fleet) as client:
        client.wait_for_workers(2, timeout=90)
        one, two = sorted(client.scheduler_info()["workers"])
        hosts = {address.rpartition(":")[0] for address in (one, two)}
        assert len(hosts) == (1 if transport == "relay" else 2)
        assert client.gather(client.map(pow, range(100), [2] * 100)) == [n * n for n in range(100)]
        parts = [client.submit(bytes, 2**20 + n, workers=[at]) for n, at in enumerate((one, two))]
        assert client.submit(total, *parts, workers=[one]).result(timeout=60) == 2**21 + 1
        assert len(parts[1].result(timeout=60)) == 2**20 + 1
        assert client.run(lambda: 7) == {one: 7, two: 7}
    fleet.close()

    assert left(google) == NOTHING
    assert not fleet.fleet.ledger.entries


def test_what_is_asked_carries_labels_and_no_secret_and_opens_nothing_to_the_world(google, start):
    """Every request, as Google's own description of its APIs has it; keys are in the secret alone."""
    start(1, transport="relay").close()
    calls = google.calls

    assert {call["status"] for call in calls} <= {200, 404}
    bodies = {call["id"]: call["body"] for call in calls if call["body"]}
    labels = {"scalable-project": "study", "scalable-run": RUN}
    for made in (
        "run.projects.locations.workerPools.create",
        "compute.instances.insert",
        "secretmanager.projects.secrets.create",
    ):
        assert bodies[made]["labels"] == labels
    machine = bodies["compute.instances.insert"]
    assert machine["scheduling"]["instanceTerminationAction"] == "DELETE"
    assert machine["scheduling"]["maxRunDuration"] == {"seconds": str(86400 + 600)}
    assert "accessConfigs" not in machine["networkInterfaces"][0]
    rules = [call["body"] for call in calls if call["id"] == "compute.firewalls.insert"]
    ranges = sorted(each for rule in rules for each in rule["sourceRanges"])
    assert ranges == ["10.128.0.0/20", "35.235.240.0/20"]
    open_text = json.dumps(
        [call for call in calls if call["id"] != "secretmanager.projects.secrets.addVersion"]
    )
    assert "PRIVATE KEY" not in open_text
    assert "BEGIN CERTIFICATE" not in open_text
    assert "0.0.0.0/0" not in open_text


def test_a_rule_that_cannot_be_made_ends_the_start_and_leaves_nothing(google, start):
    """With the permission that is missing; nobody waits for workers that could never be reached."""
    google.tell("settings", denied=["compute.firewalls.insert"])
    with pytest.raises(ClusterError, match=r"compute\.firewalls\.insert") as caught:
        start(1, transport="vpc")

    assert "doctor --print-policy" in (caught.value.cure or "")
    assert left(google) == NOTHING


def test_a_public_scheduler_is_open_to_this_machine_alone(google, start, monkeypatch):
    """One port, one address, for as long as the run lasts."""
    monkeypatch.setenv("SCALABLE_CALLER_ADDRESS", "127.0.0.1/32")
    fleet = start(1, public=True, transport="relay")
    rules = google.state["rules"].values()
    driver = next(rule for rule in rules if rule["name"].endswith("-driver"))

    assert driver["sourceRanges"] == ["127.0.0.1/32"]
    assert driver["allowed"] == [{"IPProtocol": "tcp", "ports": ["8786"]}]
    assert driver["targetTags"]
    fleet.close()
    assert left(google) == NOTHING


@pytest.mark.parametrize("forbidden", [False, True])
def test_auto_takes_the_relay_when_the_scheduler_cannot_dial_a_worker(
    google, start, events, forbidden
):
    """It says which way it is and why in one line, and all of Dask works either way."""
    google.tell("settings", forbid_inbound=forbidden)
    fleet = start(2, transport="auto")
    with Client(fleet) as client:
        client.wait_for_workers(2, timeout=90)
        assert client.gather(client.map(pow, range(20), [2] * 20)) == [n * n for n in range(20)]
        ports = {int(address.rpartition(":")[2]) for address in client.scheduler_info()["workers"]}
        assert ports == ({8800, 8801} if forbidden else {8080})
        said = wait_until(lambda: [e.message for e in events if e.kind == "fleet.transport"])

    (line,) = said
    if forbidden:
        assert line.startswith("transport relay: the scheduler cannot reach analysis-")
        assert line.endswith("the connection is closed")
    else:
        assert line.startswith("transport vpc: the scheduler reaches analysis-")


@travelling
def count_itself(number: int, folder: str) -> bytes:
    """Leave a mark for each time that it runs."""
    import os
    import time
    import uuid

    time.sleep(0.05)
    open(os.path.join(folder, f"{number}-{uuid.uuid4().hex}"), "w").close()
    return bytes([number]) * 1000


@pytest.mark.parametrize("transport", ["vpc", "relay"])
def test_scaling_down_during_work_loses_nothing(google, start, tmp_path, transport):
    """A pool goes whole, once all of its workers have handed over: no call runs twice."""
    marks = tmp_path / "marks"
    marks.mkdir()
    fleet = start(1, transport=transport)
    with Client(fleet) as client:
        client.wait_for_workers(1, timeout=90)
        fleet.scale(3)
        client.wait_for_workers(3, timeout=90)
        assert len(google.state["pools"]) == 2
        futures = client.map(count_itself, range(60), folder=str(marks))
        wait_until(lambda: len(list(marks.iterdir())) > 15)
        fleet.scale(1)
        assert client.gather(futures) == [bytes([n]) * 1000 for n in range(60)]
        wait_until(lambda: len(google.state["pools"]) == 1)
        assert client.gather(futures)[59] == bytes([59]) * 1000

    assert (
        len(list(marks.iterdir())) <= 60 + 3
    )  # a call that runs when its worker is retired may run again
    assert len({path.name.partition("-")[0] for path in marks.iterdir()}) == 60


def test_a_worker_whose_process_dies_comes_back_under_its_name(google, start):
    """Cloud Run starts its container again, and the run goes on."""
    fleet = start(2, transport="vpc")
    with Client(fleet) as client:
        client.wait_for_workers(2, timeout=90)
        before = {w["name"] for w in client.scheduler_info()["workers"].values()}
        victim = next(i for i in google.state["instances"] if "analysis" in i)
        futures = client.map(count_slowly, range(40))
        google.tell("kill", id=victim)
        assert client.gather(futures) == list(range(40))
        wait_until(lambda: len(client.scheduler_info()["workers"]) == 2)
        assert {w["name"] for w in client.scheduler_info()["workers"].values()} == before


@travelling
def count_slowly(number: int) -> int:
    """Take a moment."""
    import time

    time.sleep(0.1)
    return number


def test_a_relay_whose_lines_break_gives_workers_their_ports_again(google, start):
    """The same addresses, so Dask does not notice; calls and results go on."""

    def break_lines(dask_scheduler) -> int:
        relay = dask_scheduler._exchange._relay.result()
        for door in relay._doors.values():
            door.line.abort()
        return len(relay._doors)

    fleet = start(2, transport="relay")
    with Client(fleet) as client:
        client.wait_for_workers(2, timeout=90)
        before = sorted(client.scheduler_info()["workers"])
        futures = client.map(bytes, [2**16] * 40)
        assert client.run_on_scheduler(break_lines) == 2
        assert client.gather(futures) == [bytes(2**16)] * 40
        assert len(client.run(lambda: 1)) == 2
        assert sorted(client.scheduler_info()["workers"]) == before


def test_a_worker_that_is_cut_off_is_replaced_and_its_calls_run_elsewhere(google, start):
    """Its process ends when it has lost the scheduler, and Cloud Run starts it anew."""

    def cut_off(dask_scheduler) -> None:
        address = next(iter(dask_scheduler.workers))
        dask_scheduler.stream_comms[address].comm.abort()

    fleet = start(2, transport="vpc")
    with Client(fleet) as client:
        client.wait_for_workers(2, timeout=90)
        futures = client.map(count_slowly, range(40))
        client.run_on_scheduler(cut_off)
        assert client.gather(futures) == list(range(40))
        wait_until(lambda: len(client.scheduler_info()["workers"]) == 2)


def test_a_scheduler_whose_machine_is_lost_ends_the_run_with_the_reason(google, start):
    """And nothing of it is left after that."""
    fleet = start(1, transport="vpc")
    with Client(fleet) as client:
        client.wait_for_workers(1, timeout=90)
        machine = next(i for i in google.state["instances"] if "scheduler" in i)
        google.tell("kill", id=machine)
        reason = wait_until(lambda: fleet.failure, timeout=60)
    fleet.close()

    assert reason.message.startswith(
        "the scheduler is lost, and the run with it: scheduler-0 ended"
    )
    assert left(google) == NOTHING


def test_a_fleet_without_a_driver_removes_what_bills_by_itself(google, start, tmp_path):
    """The scheduler's machine deletes the pools, the secret and itself; the record is enough for the rest."""
    limits = Limits(no_driver=3.0)
    fleet = start(1, transport="vpc", limits=limits)
    for task in fleet._tasks:
        fleet.loop.add_callback(task.cancel)
    fleet.loop.add_callback(fleet.crew.ending.set)

    wait_until(lambda: not (left(google)["pools"] or left(google)["machines"]))
    assert not left(google)["secrets"]
    record = read_record(tmp_path / "run")
    report = release_cluster(record, HookContext(), provider="gcp")
    assert not report.remaining
    assert left(google) == NOTHING


@pytest.mark.slow
def test_pools_whose_scheduler_is_lost_end_by_themselves(google, start):
    """Nobody drives: workers that start anew and find no scheduler delete their pool."""
    fleet = start(2, transport="vpc", limits=Limits(join=25.0))
    with Client(fleet) as client:
        client.wait_for_workers(2, timeout=90)
    for task in fleet._tasks:
        fleet.loop.add_callback(task.cancel)
    fleet.loop.add_callback(fleet.crew.ending.set)
    google.tell("kill", id=next(i for i in google.state["instances"] if "scheduler" in i))

    wait_until(lambda: not left(google)["pools"], timeout=120)


def test_logs_are_those_of_the_member(google, start):
    """The scheduler's from its machine, the workers' from their pool."""
    fleet = start(1, transport="vpc")
    with Client(fleet) as client:
        client.wait_for_workers(1, timeout=90)
        client.run(print, "here I am")
        wait_until(lambda: any("here I am" in line for line in fleet.logs("analysis-0", 50)))
        assert any("Scheduler" in line for line in fleet.logs("scheduler-0", 50))
        assert not any("here I am" in line for line in fleet.logs("scheduler-0", 50))


def test_containers_that_end_at_once_end_the_run_with_what_they_said(google, start, monkeypatch):
    """Cloud Run would start them again for ever; after some tries the calls end, and nothing is left."""
    monkeypatch.setattr(restarts, "EVERY", 0.5)
    monkeypatch.setattr(requests, "worker_pool", with_broken_program(requests.worker_pool))
    fleet = start(1, transport="vpc")
    with Client(fleet) as client:
        future = client.submit(pow, 2, 3)
        with pytest.raises(ClusterError, match="the model's library is not there") as caught:
            future.result(timeout=150)
        assert "there are no workers for component 'analysis'" in str(caught.value)
    made = [c for c in google.calls if c["id"] == "run.projects.locations.workerPools.create"]
    assert 1 <= len(made) <= 3
    fleet.close()
    assert left(google) == NOTHING


def with_broken_program(worker_pool):
    """Let pools have a container that says one thing and ends."""

    def make(*arguments, **more):
        program = "import sys; sys.exit('the model\\'s library is not there')"
        return worker_pool(*arguments, **{**more, "program": program})

    return make
