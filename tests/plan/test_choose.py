"""Which of several ways to do the work is chosen, whatever they cost and however long they take."""

from __future__ import annotations

from itertools import pairwise

import pytest
from attrs import evolve, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from scalable_core.plan.choose import (
    OBJECTIVES,
    Wish,
    fewest_workers,
    search,
    with_workers,
    worker_counts,
)
from scalable_core.plan.ways import Choice, Way, choice_document
from scalable_core.types import (
    CostEstimate,
    CostLine,
    Forecast,
    GroupForecast,
    Plan,
    Project,
    Stores,
    Target,
    WorkerGroup,
)


@frozen(kw_only=True)
class Options:
    """As a provider's, as far as the plan reads them."""

    min_workers: int = 1


def plan_of(*maxima: int, adaptive: bool = False, minimum: int = 0, kept: int = 1) -> Plan:
    """A plan with a group for each number of workers."""
    groups = tuple(
        WorkerGroup(name=f"g{i}", cpus=1.0, threads=1, minimum=0 if adaptive else n, maximum=n)
        for i, n in enumerate(maxima)
    )
    most = max(maxima) if adaptive else sum(maxima)
    return Plan(
        project=Project(name="study"),
        target=Target(name="cloud", provider="acme", options=Options(min_workers=kept)),
        manifest="/study/scalable.yaml",
        workflow="/study/workflow.py",
        lock="sha256:0",
        groups=groups,
        adaptive=adaptive,
        minimum=minimum if adaptive else most,
        maximum=most,
        stores=Stores(records="/r", artifacts="/a", cache="/c"),
    )


def appraised(plan: Plan, hours: float, usd: float | None) -> Plan:
    """A plan that takes so long and costs so much, half as much again at p90; None has no price."""
    forecast = Forecast(
        basis="a table",
        wall_hours=hours,
        low_wall_hours=hours / 2,
        high_wall_hours=1.5 * hours,
        groups={"g0": GroupForecast(worker_hours=hours, low=hours, high=hours, workers=1)},
    )
    line = CostLine(item="Compute", component="g0", unit="vCPU-h", amount=usd)
    cost = CostEstimate(
        provider="acme", expected=usd, low=usd, high=usd and 1.5 * usd, lines=(line,)
    )
    return evolve(plan, forecast=forecast, cost=cost)


def ways_of(plan: Plan, *labels: str) -> list[Way]:
    """The same plan, bought in several ways."""
    return [
        Way(target="cloud", label=label, plan=evolve(plan, changes={"kind": label}))
        for label in labels
    ]


def decide(
    wish: Wish, hours: dict[int, float], usd: dict[int, float | None], *, most: int = 8
) -> Choice:
    """Choose among plans of 1 to 8 workers that take and cost what two tables say."""
    kinds = ways_of(plan_of(most, adaptive=True), "")
    return search(
        kinds,
        wish,
        most=most,
        appraise=lambda plan: appraised(plan, hours[plan.maximum], usd[plan.maximum]),
    )


#: Eight workers are eight times as fast as one, and each costs a little for its own start.
HOURS = {n: 8 / n for n in range(1, 9)}
USD: dict[int, float | None] = {n: 8.0 + n for n in range(1, 9)}


def test_a_deadline_alone_is_kept_as_cheaply_as_can_be() -> None:
    """8 h of work within 3 h at p90, which is 1.5 times what is expected: 4 workers, 1.5 x 8 / 4 = 3 h."""
    choice = decide(Wish(deadline=3.0, objective="minimize cost"), HOURS, USD)

    assert choice.chosen is not None
    assert choice.chosen.workers == 4


def test_what_is_expected_is_nearer_than_what_is_at_p90() -> None:
    """8 h of work in 2 h and 40 min as expected: 3 workers."""
    choice = decide(Wish(deadline=8 / 3, objective="minimize cost", likely=True), HOURS, USD)

    assert choice.chosen is not None
    assert choice.chosen.workers == 3


def test_a_budget_alone_buys_as_much_time_as_it_can() -> None:
    """21 USD at p90 are 14 as expected: 8 + 6 workers."""
    choice = decide(Wish(budget=21.0, objective="minimize time"), HOURS, USD)

    assert choice.chosen is not None
    assert choice.chosen.workers == 6


def test_when_nothing_keeps_to_both_the_nearest_is_told() -> None:
    """7 workers: 1.71 h of 1 h, and 22.50 USD of 12, which is 1.88 times; with 6 it is 2 h, with 8 24 USD."""
    choice = decide(Wish(deadline=1.0, budget=12.0, objective="minimize cost"), HOURS, USD)

    assert choice.chosen is None
    assert choice.nearest.workers == 7


def test_a_cost_that_is_not_known_keeps_to_no_budget() -> None:
    """Nor is it cheaper than one that is known."""
    unknown: dict[int, float | None] = {**USD, **dict.fromkeys((1, 2, 3), None)}

    frugal = decide(Wish(budget=100.0, objective="minimize cost"), HOURS, unknown)
    assert frugal.chosen is not None
    assert frugal.chosen.workers == 4
    lost = decide(Wish(budget=1e9, objective="minimize cost"), HOURS, dict.fromkeys(USD))
    assert lost.chosen is None


def test_balance_is_the_least_time_times_cost() -> None:
    """(8 / n) x (8 + n) falls with n, so all 8 are taken."""
    choice = decide(Wish(objective="balance"), HOURS, USD)

    assert choice.chosen is not None
    assert choice.chosen.workers == 8


def test_where_nothing_is_paid_fewer_worker_hours_are_cheaper() -> None:
    """On one's own machine every way is free, and the faster ones are shown beside the more frugal."""
    choice = decide(
        Wish(deadline=100.0, objective="minimize cost"),
        {n: 8 / n + n for n in range(1, 9)},
        dict.fromkeys(range(1, 9), 0.0),
    )

    assert choice.chosen is not None
    assert choice.chosen.workers == 3  # 8 / 3 + 3 h is the least


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_the_choice_keeps_to_its_limits_and_none_that_does_is_better(data: st.DataObject) -> None:
    """Whatever the ways take and cost, in any order, known or not."""
    most = data.draw(st.integers(1, 60))
    positive = st.floats(0.01, 100)
    hours = data.draw(st.lists(positive, min_size=most, max_size=most))
    prices = st.none() | positive
    usd = {kind: data.draw(st.lists(prices, min_size=most, max_size=most)) for kind in ("a", "b")}
    limit = st.none() | st.floats(0.01, 150)
    wish = Wish(
        deadline=data.draw(limit),
        budget=data.draw(limit),
        objective=data.draw(st.sampled_from(OBJECTIVES)),
        likely=data.draw(st.booleans()),
    )
    tried: list[Plan] = []

    def appraise(plan: Plan) -> Plan:
        place = plan.maximum - 1
        tried.append(appraised(plan, hours[place], usd[plan.changes["kind"]][place]))
        return tried[-1]

    kinds = ways_of(plan_of(most, adaptive=True), "a", "b")
    choice = search(kinds, wish, most=most, appraise=appraise)

    all_ways = [Way(target="cloud", label=plan.changes["kind"], plan=plan) for plan in tried]
    fitting = [way for way in all_ways if wish.is_met_by(way)]
    assert (choice.chosen is None) == (not fitting)
    if choice.chosen is not None:
        assert wish.is_met_by(choice.chosen)
        assert choice.chosen in choice.ways
        assert wish.rank(choice.chosen)[:1] == min(wish.rank(way)[:1] for way in fitting)
    assert choice.nearest in choice.ways
    assert wish.excess(choice.nearest) == min(wish.excess(way) for way in all_ways)
    for faster, slower in pairwise(choice.ways):
        assert wish.hours(faster) < wish.hours(slower)
        assert wish.usd(faster) >= wish.usd(slower)
    # Eight numbers and at most four halvings in each of the seven gaps, for each of two kinds.
    assert len(tried) <= 2 * (8 + 7 * 4)


@settings(max_examples=100, deadline=None)
@given(
    maxima=st.lists(st.integers(1, 20), min_size=1, max_size=5),
    adaptive=st.booleans(),
    minimum=st.integers(0, 5),
    more=st.integers(0, 60),
)
def test_bounds_are_scaled_together(
    maxima: list[int], adaptive: bool, minimum: int, more: int
) -> None:
    """No group is left without a worker, and none shrinks when the plan grows."""
    plan = plan_of(*maxima, adaptive=adaptive, minimum=minimum)
    count = fewest_workers(plan) + more
    less, grown = with_workers(plan, count), with_workers(plan, count + 1)

    for scaled, number in ((less, count), (grown, count + 1)):
        assert scaled.maximum == number
        assert scaled.minimum <= number
        assert all(0 <= group.minimum <= group.maximum for group in scaled.groups)
        assert all(1 <= group.maximum <= number for group in scaled.groups)
        if not adaptive:
            assert sum(group.maximum for group in scaled.groups) == number
    assert all(a.maximum <= b.maximum for a, b in zip(less.groups, grown.groups, strict=True))


def test_the_plan_with_its_own_number_of_workers_is_itself() -> None:
    """So that what the manifest says is one of the ways."""
    for plan in (plan_of(3, 2), plan_of(7, 7, adaptive=True, minimum=2)):
        assert with_workers(plan, plan.maximum) == plan


@pytest.mark.parametrize(
    ("plan", "fewest"),
    [
        (plan_of(5, 5), 2),
        (plan_of(5, 5, adaptive=True), 1),
        (plan_of(5, adaptive=True, minimum=3), 3),
        (plan_of(5, adaptive=True, kept=4), 4),
    ],
)
def test_the_fewest_workers_are_those_that_the_run_waits_for(plan: Plan, fewest: int) -> None:
    """One for each group of a fixed number, what adaptive keeps, and what `min_workers` says."""
    assert fewest_workers(plan) == fewest


@given(fewest=st.integers(1, 50), more=st.integers(0, 2000))
def test_the_numbers_that_are_tried_span_all(fewest: int, more: int) -> None:
    """From the fewest to the most, at most eight of them."""
    counts = worker_counts(fewest, fewest + more)

    assert (counts[0], counts[-1]) == (fewest, fewest + more)
    assert len(counts) <= 8
    assert list(counts) == sorted(set(counts))


def test_a_choice_for_programs() -> None:
    """The limits, every way with its figures, and which was chosen."""
    document = choice_document(decide(Wish(deadline=3.0, objective="minimize cost"), HOURS, USD))

    assert document["schema"] == "scalable.plan-choice/1"
    assert (document["deadline"], document["budget"], document["at"]) == (3.0, None, "p90")
    assert document["ways"][document["chosen"]]["workers"] == 4
    assert document["ways"][document["chosen"]]["hours"]["high"] == 3.0
    assert document["ways"][0]["cost"]["unpriced"] == []
