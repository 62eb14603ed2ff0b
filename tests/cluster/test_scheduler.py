"""What the scheduler of groups adds to Dask's."""

from __future__ import annotations

import pytest

from scalable_core.cluster import component_resource, task_resource


@pytest.fixture
def cluster():
    """A scheduler of groups and one worker of one thread, of component a."""
    from distributed import SpecCluster, Worker

    from scalable_core.cluster.scheduler import GroupScheduler

    worker = {
        "cls": Worker,
        "options": {
            "nthreads": 1,
            "resources": component_resource("a"),
            "dashboard_address": "127.0.0.1:0",
        },
    }
    scheduler = {
        "cls": GroupScheduler,
        "options": {
            "protocol": "inproc://",
            "host": None,
            "dashboard_address": "127.0.0.1:0",
            "allowed_failures": 2,
        },
    }
    with SpecCluster(workers={"a-0": worker}, scheduler=scheduler, worker=worker) as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    """A client of the cluster."""
    from distributed import Client

    with Client(cluster) as client:
        yield client


@pytest.fixture
def gate(tmp_path):
    """A call that ends once ``gate.touch()`` has been called, and the gate."""
    path = str(tmp_path / "gate")

    def wait_for(i):
        import pathlib
        import time

        while not pathlib.Path(path).exists():
            time.sleep(0.01)
        return i

    return wait_for, tmp_path / "gate"


def demand(client):
    return client.sync(client.scheduler.group_demand, default="a")


def test_demand_counts_what_waits_and_what_runs_for_each_component(client, gate, wait_until):
    """Calls on a component without workers count for it, calls without one for the default."""
    wait_for, door = gate
    running = client.map(wait_for, range(3), resources=task_resource("a"))
    waiting = [client.submit(abs, -i, resources=task_resource("b")) for i in range(5)]
    anywhere = client.map(abs, range(1000, 1100))
    wait_until(lambda: demand(client)["a"]["tasks"] == 103)

    found = demand(client)
    door.touch()

    assert found["a"]["tasks"] == 103
    assert found["a"]["occupancy"] > 0
    assert [(w["name"], w["tasks"] > 0) for w in found["a"]["workers"]] == [("a-0", True)]
    assert found["b"]["tasks"] == 5
    assert found["b"]["workers"] == []
    client.gather([*running, *anywhere])
    del waiting


def test_a_call_that_has_seceded_wants_no_thread_but_keeps_its_worker_busy(
    client, tmp_path, wait_until
):
    """It waits for others, and its worker is not idle."""
    folder = str(tmp_path)

    def secede_and_wait():
        import pathlib
        import time

        from distributed import secede

        secede()
        pathlib.Path(folder, "seceded").touch()
        while not pathlib.Path(folder, "gate").exists():
            time.sleep(0.01)

    future = client.submit(secede_and_wait)
    wait_until(lambda: (tmp_path / "seceded").exists() and not demand(client)["a"]["tasks"])
    (worker,) = demand(client)["a"]["workers"]
    (tmp_path / "gate").touch()

    assert worker["tasks"] == 1
    future.result(timeout=60)


def test_only_calls_that_may_have_run_are_suspected_of_killing_their_worker(
    cluster, client, gate, wait_until
):
    """Of a hundred calls assigned to a worker of one thread one runs, and the others are not to blame."""
    suspicions = lose_worker(cluster, client, gate, wait_until, expected=False)

    assert len(suspicions) == 100
    assert suspicions[0] == 0
    assert suspicions[-1] == 1
    assert sum(suspicions) <= 2


def test_a_worker_that_leaves_as_expected_makes_nobody_suspect(cluster, client, gate, wait_until):
    """Retiring is no failure."""
    assert lose_worker(cluster, client, gate, wait_until, expected=True) == [0] * 100


def lose_worker(cluster, client, gate, wait_until, *, expected):
    """Remove the worker while a hundred calls are assigned to it; return how suspect each is then."""
    wait_for, door = gate
    scheduler = cluster.scheduler
    futures = client.map(wait_for, range(100), resources=task_resource("a"))
    wait_until(
        lambda: (
            len(futures) == [t.state for t in list(scheduler.tasks.values())].count("processing")
        )
    )

    async def remove():
        address = cluster.workers["a-0"].address
        await scheduler.remove_worker(address, stimulus_id="test", expected=expected)
        return sorted(task.suspicious for task in scheduler.tasks.values())

    suspicions = cluster.sync(remove)
    door.touch()
    return suspicions


def test_calls_that_wait_for_a_failed_group_end_with_its_reason(cluster, client):
    """Those there and those to come; calls on other components and on none go on."""
    reason = RuntimeError("no licence")
    before = client.submit(abs, -1, resources=task_resource("b"))

    async def fail():
        cluster.scheduler.fail_group("b", reason, last=False)

    cluster.sync(fail)
    after = client.submit(abs, -2, resources=task_resource("b"))

    for future in (before, after):
        with pytest.raises(RuntimeError, match="no licence"):
            future.result(timeout=60)
    assert client.submit(abs, -3, resources=task_resource("a")).result(timeout=60) == 3
    assert client.submit(abs, -4).result(timeout=60) == 4


def test_a_revived_group_is_waited_for_again(cluster, client):
    """New calls wait instead of failing."""
    from distributed import TimeoutError

    async def fail_and_revive():
        cluster.scheduler.fail_group("b", RuntimeError("no licence"), last=False)
        cluster.scheduler.revive_group("b")

    cluster.sync(fail_and_revive)

    with pytest.raises(TimeoutError):
        client.submit(abs, -1, resources=task_resource("b")).result(timeout=1)


def test_only_workers_that_stay_are_told_who_retires(cluster, client):
    """Of a thousand that retire at once, each would hear of all others."""
    cluster.scale(3)
    client.wait_for_workers(3, timeout=60)
    told = {}
    for address, comm in cluster.scheduler.stream_comms.items():
        told[address] = []

        def send(*messages, messages_of=told[address], send=comm.send):
            messages_of.extend(messages)
            send(*messages)

        comm.send = send
    first, second, third = told

    client.retire_workers(workers=[first, second], close_workers=True, remove=True)

    gone = {
        address: {each["worker"] for each in messages if each["op"] == "remove-worker"}
        for address, messages in told.items()
    }
    assert gone == {first: set(), second: set(), third: {first, second}}
