"""What a run has paid is launch prices times worker seconds, as the service bills them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalable_core.session.meter import Meter
from scalable_core.types import HourlyRates, PaidWorker, ServiceProfile

RATES = HourlyRates(workers={"model": 3.6, "post": 36.0}, shared=0.36, once=0.5)


def added(name: str, time: float, component: str | None = "model") -> dict[str, object]:
    """A worker that came."""
    return {"event": "added", "name": name, "component": component, "time": time}


def removed(name: str, time: float) -> dict[str, object]:
    """A worker that went."""
    return {"event": "removed", "name": name, "time": time}


def paid(meter: Meter, moments: Sequence[float]) -> float:
    """What the rows of several counts sum up to."""
    rows = [row for moment in moments for row in meter.count(moment)]
    assert sum(row.amount for row in rows) == pytest.approx(meter.spent)
    return meter.spent


def test_each_group_has_its_price() -> None:
    """10 s of model are 0.01, 5 s of post 0.05, 20 s of the run itself 0.002: 0.062."""
    meter = Meter(RATES, ServiceProfile(), started=0.0)
    meter.hear([added("m-0", 10.0), added("p-0", 15.0, "post")])
    meter.hear([removed("m-0", 20.0), removed("p-0", 20.0)])

    rows = meter.count(20.0)

    assert meter.spent == pytest.approx(0.062)
    assert [(row.item, row.component, row.seconds) for row in rows] == [
        ("workers", "model", 10.0), ("workers", "post", 5.0), ("shared", None, 20.0),
    ]  # fmt: skip


def test_what_is_paid_once_is_counted_at_the_end() -> None:
    """Egress does not grow with time."""
    meter = Meter(RATES, ServiceProfile(), started=0.0)

    assert meter.count(0.0) == []
    (row,) = meter.count(0.0, last=True)
    assert (row.item, row.amount, meter.spent) == ("once", 0.5, 0.5)


def test_a_launch_is_billed_for_a_minimum_and_in_steps() -> None:
    """With 60 s at least and whole seconds: 5 s are 60, and 61.2 s are 62; 122 s at 0.001 are 0.122."""
    profile = ServiceProfile(billed_minimum=60.0, billed_step=1.0)
    meter = Meter(HourlyRates(workers={"model": 3.6}), profile, started=0.0)
    meter.hear([added("a", 0.0), removed("a", 5.0), added("b", 5.0)])

    assert meter.total(5.0) == pytest.approx(0.120)  # the minimum is owed from the start
    meter.hear([removed("b", 66.2)])
    assert paid(meter, [66.2]) == pytest.approx(0.122)


def test_a_replacement_is_a_launch_of_its_own() -> None:
    """It has the name of the lost one; the minimum is due twice."""
    profile = ServiceProfile(billed_minimum=60.0)
    meter = Meter(HourlyRates(workers={"model": 3.6}), profile, started=0.0)
    meter.hear([added("a", 0.0), {**removed("a", 1.0), "event": "lost"}, added("a", 2.0)])

    assert meter.total(3.0) == pytest.approx(0.120)
    assert meter.leave(3.0) == ("a",)


def test_a_cluster_that_tells_of_its_launches_is_believed() -> None:
    """It knows when each was paid from and at what price; arrivals count no more."""
    meter = Meter(HourlyRates(workers={"model": 3.6}), ServiceProfile(), started=0.0)
    meter.hear([added("a", 50.0)])
    meter.told([
        PaidWorker(name="a", component="model", since=10.0),
        PaidWorker(name="b", component="model", since=0.0, until=20.0, price=1.8),
    ])  # fmt: skip

    assert meter.total(60.0) == pytest.approx(50 * 0.001 + 20 * 0.0005)
    assert (dict(meter.workers), meter.hourly) == ({"model": 1}, 3.6)


@given(
    lives=st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 1e4)), max_size=20),
    looks=st.lists(st.floats(0, 2e4), max_size=10),
)
def test_rows_sum_up_however_often_it_is_counted(
    lives: list[tuple[float, float]], looks: list[float]
) -> None:
    """One count at the end gives the same sum as many on the way, and the sum never falls."""
    rows = []
    for number, (since, seconds) in enumerate(lives):
        rows += [added(f"w-{number}", since), removed(f"w-{number}", since + seconds)]
    rows.sort(key=lambda row: (row["time"], row["event"] != "added"))
    often, once = (Meter(RATES, ServiceProfile(billed_minimum=60.0), started=0.0) for _ in "ab")
    before, spent = 0, 0.0
    for moment in [*sorted(looks), 3e4]:
        now = sum(row["time"] <= moment for row in rows)
        often.hear(rows[before:now])
        often.count(moment)
        assert often.spent >= spent - 1e-9
        before, spent = now, often.spent
    once.hear(rows)
    once.count(3e4)

    assert often.spent == pytest.approx(once.spent)


def test_what_the_run_itself_needs_is_paid_from_when_it_is_there() -> None:
    """Nothing before, then its minimum of 60 s at once: 0.36 an hour are 0.006 a minute."""
    profile = ServiceProfile(billed_minimum=60.0, billed_step=1.0)
    meter = Meter(RATES, profile, started=None)

    assert meter.total(100.0) == 0.0
    meter.begin(100.0)
    assert meter.total(101.0) == pytest.approx(0.006)
    assert meter.total(220.0) == pytest.approx(0.012)
