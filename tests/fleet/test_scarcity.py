"""A fleet goes on with what can be had, tries the other offers, and says why there is no more."""

from __future__ import annotations

import pytest

from scalable_core.cluster.launcher import LaunchFailure, Offer, Rate
from scalable_core.errors import ClusterError, NoCapacityError

SPOT = Offer(name="spot", capacity="spot", hourly=0.03)
DEMAND = Offer(name="on-demand", hourly=0.1)


def square(x):
    """The smallest work."""
    return x * x


def test_twelve_wanted_and_nine_to_be_had_is_a_fleet_of_nine(make_plan, hive_launcher, start):
    """Partial success is success, and the rest is asked for again later."""
    launcher = hive_launcher(capacity={"on-demand": 9})
    fleet, client = start(make_plan(12, min_workers=3), launcher, workers=9)

    assert client.gather(client.map(square, range(100))) == [x * x for x in range(100)]
    assert len(client.scheduler_info(n_workers=-1)["workers"]) == 9
    assert "no more than 9" in fleet.sink.texts("fleet.short")[0]

    launcher.capacity["on-demand"] = 12
    client.wait_for_workers(12, timeout=60)


def test_workers_that_spot_does_not_have_are_bought_on_demand(make_plan, hive_launcher, start):
    """The next offer is taken at once, for the missing ones only."""
    launcher = hive_launcher(offers=(SPOT, DEMAND), capacity={"spot": 2})
    fleet, _ = start(make_plan(5), launcher, workers=5)

    bought = [seat.offer.name for seat in fleet.crew.seats.values() if seat.group == "analysis"]
    assert sorted(bought) == ["on-demand"] * 3 + ["spot"] * 2


def test_no_worker_at_all_ends_the_calls_with_what_every_offer_said(
    make_plan, hive_launcher, start
):
    """Nobody waits for what will not come."""
    launcher = hive_launcher(offers=(SPOT, DEMAND), capacity={"spot": 0, "on-demand": 0})
    _, client = start(make_plan(2), launcher, patience=1.0)

    with pytest.raises(NoCapacityError, match=r"component 'analysis'.*spot: .*; on-demand: "):
        client.submit(square, 1, resources={"component:analysis": 0}).result(timeout=60)


def test_fewer_workers_than_the_least_is_no_run(make_plan, hive_launcher, start, wait_until):
    """With less than min_workers the calls end, although some workers are there."""
    launcher = hive_launcher(capacity={"on-demand": 2})
    fleet, _ = start(make_plan(6, min_workers=4), launcher, patience=1.0)

    assert wait_until(lambda: "analysis" in fleet.failures)
    assert isinstance(fleet.failures["analysis"], NoCapacityError)


@pytest.mark.parametrize("kind", ["image", "permission"])
def test_what_no_other_try_can_mend_ends_the_group_at_once(make_plan, hive_launcher, start, kind):
    """A wrong image is launched once, not again and again."""
    failure = LaunchFailure(kind=kind, message="it is not there", cure="mend it")
    launcher = hive_launcher(refuse={"analysis": failure})
    _, client = start(make_plan(3), launcher)

    with pytest.raises(ClusterError, match="it is not there") as caught:
        client.submit(square, 1).result(timeout=60)
    assert caught.value.cure == "mend it"
    assert (
        sum(call == "launch" and about[0] == "analysis" for _, call, about in launcher.calls) == 1
    )


def test_launches_keep_to_the_rate_that_the_launcher_gives(make_plan, hive_launcher, start):
    """With the service's own rate nothing is ever refused."""
    launcher = hive_launcher(
        batch=2,
        rates={"launch": Rate(burst=2, per_second=5)},
        limit=Rate(burst=3, per_second=5),
    )
    fleet, _ = start(make_plan(16), launcher, workers=16)

    assert launcher.count("launch") == 9
    assert fleet.sink.texts("fleet.short") == []
    times = [moment for moment, call, _ in launcher.calls if call == "launch"]
    assert all(later - first >= 0.9 for first, later in zip(times, times[6:], strict=False))


def test_a_service_that_refuses_calls_is_asked_again_more_slowly(make_plan, hive_launcher, start):
    """Being throttled is no failure."""
    launcher = hive_launcher(batch=2, limit=Rate(burst=2, per_second=2))
    fleet, _ = start(make_plan(8), launcher, workers=8)

    assert "too many requests" in fleet.sink.texts("fleet.short")[0]


def test_a_scheduler_that_cannot_be_had_is_an_error_and_leaves_nothing(
    make_plan, hive_launcher, start, hive
):
    """Provisioning fails with the service's own words."""
    failure = LaunchFailure(kind="permission", message="you may not", cure="ask for it")
    launcher = hive_launcher(refuse={"scheduler": failure})

    with pytest.raises(ClusterError, match="you may not"):
        start(make_plan(1), launcher, client=False)
    assert not launcher.documents.exists()
    assert hive.alive(launcher.fleet.run) == {}
