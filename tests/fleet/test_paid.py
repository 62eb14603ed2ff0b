"""What a budget needs of a fleet: how many may be launched, and what each launch is paid."""

from __future__ import annotations

import time

from scalable_core.cluster.launcher import Offer
from scalable_core.cluster.payroll import Payroll
from scalable_core.types import WorkerGroup

SPOT = Offer(name="spot", capacity="spot", hourly=0.03)
DEMAND = Offer(name="on-demand", hourly=0.1)


def _launched(launcher, group="analysis"):
    return {
        name
        for _, call, about in launcher.calls
        if call == "launch" and about[0] == group
        for name in about[1]
    }


def test_no_more_workers_are_launched_than_the_limit_lets(
    make_plan, hive_launcher, start, wait_until
):
    """A limit that comes before the workers holds from the first launch; a higher one lets more come."""
    launcher = hive_launcher()
    fleet, client = start(make_plan(6), launcher, eager=False)
    fleet.limit_workers(2)
    fleet.request_workers()
    client.wait_for_workers(2, timeout=120)
    assert len(_launched(launcher)) == 2

    fleet.limit_workers(4)
    client.wait_for_workers(4, timeout=120)
    assert len(_launched(launcher)) == 4
    fleet.limit_workers(1)
    fleet.scale(6)
    wait_until(lambda: fleet.crew.groups["analysis"].wanted == 6)
    assert len(_launched(launcher)) == 4
    assert len(fleet.members("analysis")) == 4


def test_components_share_what_may_be_launched(make_plan, hive_launcher, start):
    """None of them takes it all."""
    groups = [
        WorkerGroup(name=name, cpus=1.0, threads=1, minimum=0, maximum=4)
        for name in ("small", "large")
    ]
    launcher = hive_launcher()
    fleet, client = start(make_plan(groups=groups), launcher, eager=False)
    fleet.limit_workers(4)
    fleet.request_workers()
    client.wait_for_workers(4, timeout=120)

    assert (len(_launched(launcher, "small")), len(_launched(launcher, "large"))) == (2, 2)


def test_each_launch_is_paid_from_the_call_to_the_end_at_its_own_price(
    make_plan, hive_launcher, start
):
    """Spot at the price of spot, the scheduler by itself, and nobody any more once all is closed."""
    before = time.time()
    launcher = hive_launcher(offers=(SPOT, DEMAND), capacity={"spot": 2})
    fleet, client = start(make_plan(3), launcher, workers=3)

    paid = fleet.paid_workers()
    assert sorted(each.price for each in paid) == [0.03, 0.03, 0.1]
    assert all(before <= each.since <= time.time() and each.until is None for each in paid)
    assert {each.component for each in paid} == {"analysis"}
    assert before <= fleet.paid_since <= time.time()

    client.close()
    fleet.close()
    assert all(each.since < each.until <= time.time() for each in fleet.paid_workers())


def test_a_launch_that_failed_is_not_paid():
    """Only what the service has taken on."""
    payroll = Payroll()
    payroll.begin(["a-0", "a-1"], "a", 0.5, now=10.0)
    payroll.drop(["a-1"])
    payroll.reprice("a-0", 0.4)
    payroll.end(["a-0"], now=30.0)
    payroll.end_all(now=40.0)

    (only,) = payroll.of(but="scheduler")
    assert (only.name, only.since, only.until, only.price) == ("a-0", 10.0, 30.0, 0.4)
    assert payroll.since("scheduler") is None
