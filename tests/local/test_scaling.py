"""How many workers there are, and when."""

from __future__ import annotations

import time

from scalable_core.cluster import task_resource
from scalable_core.types import Adaptive, LazyCluster


def busy(client, component, count, seconds=1.0):
    """Calls on a component that take a while."""
    return client.map(
        lambda _: time.sleep(seconds), range(count), pure=False, resources=task_resource(component)
    )


def test_no_worker_starts_before_it_is_asked_for(start, make_plan, group):
    """The scheduler answers at once; the workers of the plan come with the first request, and only once."""
    cluster, client = start(make_plan(group(maximum=2)), workers=False)
    assert isinstance(cluster, LazyCluster)
    assert client.scheduler_info()["workers"] == {}
    assert cluster.worker_spec == {}

    cluster.request_workers()
    cluster.request_workers()
    client.wait_for_workers(2, timeout=60)

    assert {"analysis-0", "analysis-1"} == cluster.plan == cluster.observed


def test_calls_submitted_before_the_workers_wait_for_them(start, make_plan):
    """A call may come before any worker."""
    cluster, client = start(make_plan(), workers=False)

    future = client.submit(abs, -1)
    cluster.request_workers()

    assert future.result(timeout=60) == 1


def test_closing_at_once_after_the_request_leaves_nothing(start, make_plan, group):
    """A run that ends while its workers still start does not wait for them."""
    import os

    import psutil

    before = {child.pid for child in psutil.Process(os.getpid()).children()}
    cluster, client = start(make_plan(group(maximum=3)), workers=False)
    cluster.request_workers()

    client.close()
    cluster.close()

    left = [p for p in psutil.Process(os.getpid()).children() if p.pid not in before]
    assert [p for p in left if p.status() != "zombie"] == []


def test_scale_works_as_dask_users_expect(start, make_plan, group, wait_until):
    """``cluster.scale(n)`` goes up beyond the plan and down again, and its repr and widget text follow."""
    cluster, _ = start(make_plan(processes=False), workers=False)

    cluster.scale(3)
    wait_until(lambda: len(cluster.observed) == 3)
    cluster.request_workers()
    assert len(cluster.plan) == 3
    assert "workers=3" in repr(cluster)
    assert "Workers: 3" in cluster._scaling_status()

    cluster.scale(1)
    wait_until(lambda: len(cluster.observed) == 1)


def test_scale_shares_workers_over_the_groups_as_the_plan_does(start, make_plan, group, wait_until):
    """Four more workers for a plan of 3 to 1 are 3 and 1 more."""
    plan = make_plan(group("big", maximum=3), group("small", maximum=1), processes=False)
    cluster, _ = start(plan, workers=False)

    cluster.scale(8)

    assert len(cluster.members("big")) == 6
    assert len(cluster.members("small")) == 2


def test_scaling_down_loses_no_result(start, make_plan, group, wait_until, tmp_path):
    """What a worker alone holds is moved before it stops, and not computed again."""
    log = tmp_path / "log"
    cluster, client = start(make_plan(group(maximum=3)))

    def compute(i, log=str(log)):
        with open(log, "a") as file:
            file.write("x")
        return i

    futures = client.map(compute, range(30))
    client.gather(futures)

    cluster.scale(1)
    wait_until(lambda: len(cluster.observed) == 1)

    assert list(range(30)) == client.gather(futures)
    assert len(log.read_text()) == 30


def test_a_worker_that_is_retired_on_purpose_is_not_replaced(start, make_plan, group, wait_until):
    """``client.retire_workers`` means what it says, with processes and with threads."""
    for processes in (True, False):
        cluster, client = start(make_plan(group(maximum=2), processes=processes))

        client.retire_workers(names=["analysis-0"])

        wait_until(lambda cluster=cluster: cluster.plan == cluster.observed == {"analysis-1"})
        assert client.submit(abs, -1).result(timeout=60) == 1


def test_each_group_grows_with_its_own_work_and_shrinks_after_it(
    start, make_plan, group, wait_until
):
    """Work on one component brings workers of that component only; idle ones go, and no result with them."""
    bounds = {"minimum": 0, "maximum": 4}
    plan = make_plan(
        group("one", **bounds),
        group("two", **bounds),
        adaptive=Adaptive(maximum=4),
        processes=False,
    )
    cluster, client = start(plan)
    kept = client.map(lambda i: i + 1, range(10), resources=task_resource("two"))
    client.gather(kept)

    work = busy(client, "one", 40)
    wait_until(lambda: len(cluster.members("one")) >= 3)
    assert len(cluster.plan) <= 4
    client.gather(work)
    del work

    wait_until(lambda: len(cluster.plan) == 1)
    assert list(range(1, 11)) == client.gather(kept)
    del kept
    wait_until(lambda: not cluster.plan)


def test_adaptive_grows_from_nothing_for_calls_without_a_component(start, make_plan, group):
    """The only group serves calls that name none."""
    plan = make_plan(group(minimum=0, maximum=2), adaptive=Adaptive(maximum=2))
    _, client = start(plan)

    assert client.submit(sum, [1, 2]).result(timeout=60) == 3


def test_adaptive_keeps_its_minimum(start, make_plan, group, wait_until):
    """The fewest workers are there without any work."""
    plan = make_plan(
        group(minimum=0, maximum=3), adaptive=Adaptive(minimum=2, maximum=3), processes=False
    )
    cluster, _ = start(plan)

    wait_until(lambda: len(cluster.observed) == 2)


def test_a_group_without_a_worker_gets_one_from_a_busy_group(start, make_plan, group, wait_until):
    """When the total is used up by one component, work on another still starts before the first is done."""
    bounds = {"minimum": 0, "maximum": 2}
    plan = make_plan(
        group("one", **bounds),
        group("two", **bounds),
        adaptive=Adaptive(maximum=2),
        processes=False,
    )
    cluster, client = start(plan)
    long = busy(client, "one", 400, seconds=0.5)
    wait_until(lambda: len(cluster.members("one")) == 2)

    assert client.submit(abs, -1, resources=task_resource("two")).result(timeout=60) == 1
    assert any(not future.done() for future in long)


def test_adapt_works_as_dask_users_expect(start, make_plan, wait_until):
    """``cluster.adapt(minimum=, maximum=)`` has its own bounds, and can be stopped."""
    cluster, client = start(make_plan(processes=False), workers=False)

    adaptive = cluster.adapt(minimum=1, maximum=3, interval="100ms")
    wait_until(lambda: len(cluster.observed) == 1)
    work = busy(client, "analysis", 60)
    wait_until(lambda: len(cluster.observed) == 3)
    assert "Adaptive" in cluster._scaling_status()
    adaptive.stop()

    assert "Manual" in cluster._scaling_status()
    del work


def test_dasks_own_adaptive_can_be_used(start, make_plan, wait_until):
    """A class of one's own may decide instead."""
    from distributed.deploy.adaptive import Adaptive as DaskAdaptive

    cluster, _ = start(make_plan(processes=False), workers=False)

    cluster.adapt(Adaptive=DaskAdaptive, minimum=2, maximum=2, interval="100ms")

    wait_until(lambda: len(cluster.observed) == 2)


def test_the_dashboard_link_is_on_this_machine_or_empty(start, make_plan):
    """Without a dashboard there is no link; with one it is a loopback address that answers."""
    import urllib.request

    cluster, _ = start(make_plan(processes=False), workers=False)
    assert cluster.dashboard_link == ""

    cluster, _ = start(make_plan(processes=False, dashboard=True), workers=False)
    assert cluster.dashboard_link.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(cluster.dashboard_link, timeout=60) as page:
        assert page.status == 200


def test_every_open_port_is_a_loopback_one(start, make_plan, group):
    """Neither scheduler nor workers can be reached from another machine."""
    import os

    import psutil

    for processes in (True, False):
        _, client = start(make_plan(group(maximum=2), processes=processes))
        pids = {os.getpid(), *client.run(os.getpid).values()}
        ports = [
            connection.laddr.ip
            for pid in pids
            for connection in psutil.Process(pid).net_connections()
            if connection.status == psutil.CONN_LISTEN
        ]

        assert {"127.0.0.1"} == set(ports)
