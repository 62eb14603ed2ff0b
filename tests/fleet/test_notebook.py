"""What people who know Dask try with a cluster does here what they expect."""

from __future__ import annotations

import time


def test_a_fleet_shows_itself_before_it_has_started_and_after(make_plan, hive_launcher, start):
    """As text and as HTML, with its workers and the link to its dashboard."""
    fleet = start(make_plan(2), hive_launcher(), client=False, eager=False)
    assert fleet.name in fleet._repr_html_()
    assert repr(fleet).startswith("FleetCluster(")

    fleet.scale(2)
    deadline = time.monotonic() + 60
    while len(fleet.scheduler_info["workers"]) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    html = fleet._repr_html_()
    assert fleet.dashboard_link in html
    assert "analysis-0" in html
    assert "analysis-1" in html
    assert "workers=2" in repr(fleet)


def test_the_logs_of_all_are_to_be_had_as_of_any_cluster(make_plan, hive_launcher, start):
    """From the scheduler and the workers themselves; what the fleet did is among them."""
    fleet, client = start(make_plan(1), hive_launcher(), workers=1)
    (address,) = client.scheduler_info()["workers"]

    logs = fleet.get_logs()
    assert {"Cluster", "Scheduler", address} <= set(logs)
    assert "asked for" in logs["Cluster"]
    assert set(fleet.get_logs(cluster=False, scheduler=False)) == {address}
    assert "<details" in logs._repr_html_()


def test_a_fleet_that_was_told_to_adapt_follows_the_work_within_its_bounds(
    make_plan, hive_launcher, start, wait_until
):
    """As with any cluster of Dask; scaling by hand ends it."""
    fleet, client = start(make_plan(4), hive_launcher(), eager=False)
    fleet.adapt(minimum=1, maximum=3, interval="200ms")

    def slow(number):
        time.sleep(0.3)
        return number

    futures = client.map(slow, range(30), pure=False)
    most = 0
    while not all(future.done() for future in futures):
        most = max(most, len(fleet.members("analysis")))
        time.sleep(0.05)
    assert client.gather(futures) == list(range(30))
    assert most == 3
    del futures
    wait_until(lambda: len(fleet.members("analysis")) == 1)
    fleet.scale(2)
    wait_until(lambda: len(fleet.scheduler_info["workers"]) == 2)
    assert len(fleet.members("analysis")) == 2


def test_the_buttons_of_the_widget_scale_and_adapt(make_plan, hive_launcher, start, wait_until):
    """As a person clicks them in a notebook, with the numbers that were typed beside them."""
    fleet = start(make_plan(4), hive_launcher(), client=False, eager=False)
    scaling = fleet._widget().children[1]
    by_hand, adaptive = scaling.children[1].children

    number, scale = by_hand.children
    number.value = 2
    scale.click()
    wait_until(lambda: "Workers: 2<" in scaling.children[0].value)
    assert fleet.requested == fleet.observed == {"analysis-0", "analysis-1"}

    minimum, maximum, adapt = adaptive.children
    minimum.value, maximum.value = 1, 3
    adapt.click()
    wait_until(lambda: "Workers: 1<" in scaling.children[0].value)
    assert "Scaling mode: Adaptive" in scaling.children[0].value


def test_a_fleet_says_how_many_workers_have_yet_to_arrive(
    make_plan, hive_launcher, start, wait_until
):
    """As Dask's own clusters: those that are there, of those that were asked for."""
    fleet = start(make_plan(4), hive_launcher(capacity={"on-demand": 1}), client=False, eager=False)
    fleet.scale(3)
    wait_until(lambda: "Workers: 1 / 3<" in fleet._scaling_status())
