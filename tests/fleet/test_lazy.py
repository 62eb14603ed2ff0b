"""A fleet costs nothing until a call needs it; then all of it starts at once, and no call waits to be taken."""

from __future__ import annotations

import threading

import pytest

from scalable_core.cluster.launcher import LaunchFailure
from scalable_core.errors import ClusterError


def square(x):
    """The smallest work."""
    return x * x


@pytest.fixture
def wait_with(start):
    """Returns a fleet that nobody has asked for anything, and a session's client of it."""
    from scalable_core.session.client import ScalableClient

    opened = []

    def wait_with(plan, launcher, **knobs):
        fleet = start(plan, launcher, client=False, eager=False, **knobs)
        client = ScalableClient(fleet, plan, set_as_default=False)
        opened.append(client)
        return fleet, client

    yield wait_with
    for client in opened:
        client.close()


def test_nothing_is_asked_for_until_a_call_needs_it(make_plan, hive_launcher, wait_with, hive):
    """A client can be looked at and closed without a single call of the service."""
    launcher = hive_launcher()
    fleet, client = wait_with(make_plan(2), launcher)

    assert "not started" in repr(client)
    assert "FleetCluster" in client._repr_html_()
    assert fleet.paid_workers() == []
    assert fleet.paid_since is None
    client.close()
    fleet.close()
    assert launcher.calls == []
    assert (client.status, fleet.status.name) == ("closed", "closed")


def test_the_first_call_starts_scheduler_and_workers_together(make_plan, hive_launcher, wait_with):
    """Workers are launched before anybody knows the scheduler's address, and the call does not wait for it."""
    launcher = hive_launcher(delay=1.0)
    _, client = wait_with(make_plan(2), launcher)

    future = client.submit(square, 3)
    assert future.status == "pending"
    assert not client.is_connected
    assert future.result(timeout=120) == 9
    asked = [about for _, call, about in launcher.calls if call in ("publish", "launch")]
    known = asked.index(["address"])
    assert {about[0] for about in asked[1:known]} == {"scheduler", "analysis"}
    assert client.is_connected


@pytest.mark.parametrize("most", [1, 3])
def test_an_adaptive_fleet_starts_its_first_worker_with_the_scheduler(
    make_plan, hive_launcher, wait_with, most
):
    """The call that waits needs one; how many more, the scheduler says."""
    launcher = hive_launcher()
    _, client = wait_with(make_plan(most, adaptive=True), launcher)

    assert client.gather(client.map(square, range(8))) == [x * x for x in range(8)]
    asked = [about for _, call, about in launcher.calls if call in ("publish", "launch")]
    early = [name for about in asked[1 : asked.index(["address"])] for name in about[1]]
    assert sorted(early) == ["analysis-0", "scheduler-0"]


def test_calls_of_many_threads_are_taken_while_the_scheduler_starts(
    make_plan, hive_launcher, wait_with
):
    """One fleet comes of them, and all calls run."""
    launcher = hive_launcher(delay=0.5)
    _, client = wait_with(make_plan(2), launcher)
    results = {}

    def work(number):
        results[number] = client.gather(client.map(square, range(number, number + 5)))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(0, 40, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)

    assert [y for x in range(0, 40, 5) for y in results[x]] == [x * x for x in range(40)]
    assert (launcher.count("open"), launcher.count("publish")) == (1, 2)


def test_the_scheduler_gets_no_call_before_the_session_has_equipped_it(
    make_plan, hive_launcher, wait_with
):
    """What records, retries and ships code is there before the first call is."""
    _, client = wait_with(make_plan(1), hive_launcher())
    seen = []

    def tasks(dask_scheduler):
        return len(dask_scheduler.tasks)

    client.when_connected(lambda: seen.append(client.run_on_scheduler(tasks)))
    futures = client.map(square, range(5))

    assert client.gather(futures) == [0, 1, 4, 9, 16]
    assert seen == [0]


def test_what_asks_the_scheduler_starts_it_and_waits(make_plan, hive_launcher, wait_with):
    """Dask's other methods work as ever."""
    _, client = wait_with(make_plan(1), hive_launcher())

    client.set_metadata("word", 7)
    assert client.get_metadata("word") == 7
    client.wait_for_workers(1, timeout=120)
    assert client.gather(client.scatter([1, 2])) == [1, 2]


def test_a_fleet_that_cannot_start_ends_its_calls_with_the_reason(
    make_plan, hive_launcher, wait_with, hive
):
    """The one that has asked for it, and those that come later."""
    failure = LaunchFailure(kind="permission", message="you may not", cure="ask for it")
    launcher = hive_launcher(refuse={"scheduler": failure})
    _, client = wait_with(make_plan(1), launcher)

    future = client.submit(square, 1)
    with pytest.raises(ClusterError, match="you may not") as caught:
        future.result(timeout=60)
    assert caught.value.cure == "ask for it"
    with pytest.raises(ClusterError, match="you may not"):
        client.submit(square, 2)
    assert not launcher.documents.exists()
    assert hive.alive(launcher.fleet.run) == {}


def test_a_client_may_be_closed_while_its_fleet_starts(
    make_plan, hive_launcher, wait_with, wait_until, hive
):
    """What has been launched is removed, and the calls that waited end."""
    launcher = hive_launcher(delay=300.0)
    fleet, client = wait_with(make_plan(2), launcher)
    future = client.submit(square, 1)
    wait_until(lambda: launcher.count("launch") == 2)

    client.close()
    fleet.close()

    assert future.status in ("error", "cancelled")
    assert launcher.present == {}
    assert not launcher.documents.exists()
    assert launcher.count("close") == 1


def test_scaling_by_hand_starts_a_fleet_too(make_plan, hive_launcher, start, wait_until):
    """Whoever asks for workers needs the scheduler."""
    launcher = hive_launcher()
    fleet = start(make_plan(5), launcher, client=False, eager=False)

    fleet.scale(2)
    assert fleet.scheduler_address.startswith("tls://")
    wait_until(lambda: len(fleet.members("analysis")) == 2)
