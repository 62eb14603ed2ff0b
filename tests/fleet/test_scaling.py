"""Each group follows its own work, up and back, and no result is lost on the way."""

from __future__ import annotations

import asyncio

from scalable_core.types import HookContext, WorkerGroup


def _groups():
    return tuple(
        WorkerGroup(name=name, cpus=1.0, threads=1, minimum=0, maximum=most)
        for name, most in (("small", 4), ("large", 2))
    )


def _on(name):
    return {f"component:{name}": 0}


def slow(x):
    """Work that takes a moment."""
    import time

    time.sleep(0.3)
    return x


def test_an_adaptive_fleet_grows_by_component_and_shrinks_without_losing_a_result(
    make_plan, hive_launcher, start, wait_until, tmp_path
):
    """What workers that go hold is moved to one that stays, not computed again."""
    fleet, client = start(make_plan(groups=_groups(), adaptive=True), hive_launcher(), eager=False)
    fleet.request_workers()
    counter = tmp_path / "calls"

    def counted(x):
        import time

        time.sleep(0.3)
        with counter.open("a") as file:
            file.write("x")
        return x

    assert fleet.members("small") == ()
    futures = client.map(counted, range(40), resources=_on("small"))
    wait_until(lambda: len(fleet.members("small")) == 4)
    assert fleet.members("large") == ()
    other = client.submit(slow, 7, resources=_on("large"))
    assert other.result(timeout=60) == 7
    wait_until(lambda: all(future.done() for future in futures))
    wait_until(lambda: len(fleet.members("small")) + len(fleet.members("large")) == 1)

    assert client.gather(futures) == list(range(40))
    assert len(counter.read_text()) == 40


def test_scaling_by_hand_shares_workers_over_the_groups(
    make_plan, hive_launcher, start, wait_until
):
    """As with any Dask cluster: scale up, down and by cores; what is held stays."""
    fleet, client = start(make_plan(groups=_groups()), hive_launcher(), workers=6)
    futures = client.map(slow, range(12), pure=False)
    assert sum(client.gather(futures)) == 66

    fleet.scale(3)
    wait_until(lambda: len(client.scheduler_info(n_workers=-1)["workers"]) == 3)
    assert (len(fleet.members("small")), len(fleet.members("large"))) == (2, 1)
    assert sum(client.gather(futures)) == 66
    fleet.scale(cores=4)
    client.wait_for_workers(4, timeout=60)
    assert "workers=4" in repr(fleet) or wait_until(lambda: "workers=4" in repr(fleet))
    assert "FleetCluster" in fleet._repr_html_()


def test_a_fleet_works_asynchronously_too(make_plan, hive_launcher, tmp_path):
    """Inside an event loop, as Dask's own clusters."""
    from distributed import Client

    from scalable_core.cluster.fleet import FleetCluster

    async def work():
        context = HookContext(project="test", run="run-async", run_dir=tmp_path / "run")
        launcher = hive_launcher()
        async with FleetCluster(
            make_plan(2), launcher, context, eager=True, asynchronous=True
        ) as fleet:
            async with Client(fleet, asynchronous=True) as client:
                assert await client.submit(slow, 3) == 3
            assert "scheduler-0" in launcher.present
        await fleet.close()
        return launcher

    launcher = asyncio.run(work())
    assert not launcher.documents.exists()


def test_the_scheduler_may_be_in_this_process(make_plan, hive_launcher, start, hive):
    """For a driver that runs where the workers are: only workers are members then."""
    fleet, client = start(make_plan(2), hive_launcher(), workers=2, driver_host="127.0.0.1")

    assert client.gather(client.map(slow, range(4))) == [0, 1, 2, 3]
    assert sorted(hive.alive(fleet.fleet.run)) == ["analysis-0", "analysis-1"]


def test_two_fleets_at_once_do_not_touch_each_other(make_plan, hive_launcher, start, hive):
    """Each run has its own members, certificates and ledger."""
    first, one = start(make_plan(2), hive_launcher(), workers=2)
    second, two = start(make_plan(3), hive_launcher(), workers=3)

    one.close()
    first.close()
    assert hive.alive(first.fleet.run) == {}
    assert len(hive.alive(second.fleet.run)) == 4
    assert two.submit(slow, 5).result(timeout=60) == 5
