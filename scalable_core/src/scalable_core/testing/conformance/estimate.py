"""Estimates: offline, pure, monotone and additive, and honest about what is not known."""

from __future__ import annotations

import math
from collections import defaultdict
from itertools import pairwise

from attrs import evolve

from scalable_core.testing.conformance.base import Conformance, skip
from scalable_core.testing.conformance.subject import FIRST, SECOND
from scalable_core.types import CostEstimate, CostLine, Plan, to_data

_NEAR = 1e-6


class EstimateChecks(Conformance):
    """`estimate_cost`."""

    def test_an_estimate_says_what_it_rests_on(self) -> None:
        """Its provider and a sentence of basis."""
        cost = self._cost(self.subject.plan(hours=2))
        assert cost.provider == self.provider, f"the estimate is by {cost.provider!r}"
        assert cost.basis.strip(), "the estimate has no basis"

    def test_an_estimate_is_the_same_each_time(self) -> None:
        """In this process, for the same plan."""
        plan = evolve(self.subject.plan(hours=2), cost=None)
        assert self._cost(plan) == self._cost(plan), "the second estimate of a plan differs"

    def test_an_estimate_is_the_same_on_every_machine(self) -> None:
        """In another time zone, another language, another folder, another order of hashes."""
        first = self.subject.probe()["estimate"]
        other = self.subject.probe(TZ="Pacific/Apia", LC_ALL="C", PYTHONHASHSEED="7")["estimate"]
        assert first == other, "the estimate depends on the machine"

    def test_an_estimate_does_not_change_the_plan(self) -> None:
        """Records are frozen, all the way down."""
        plan = self.subject.plan(hours=2)
        before = to_data(plan)
        self._cost(plan)
        assert to_data(plan) == before, "estimate_cost() changes the plan"

    def test_more_hours_never_cost_less(self) -> None:
        """For the expected amount and both ends of the band."""
        costs = [self._cost(self.subject.plan(hours=hours)) for hours in (1, 2, 5, 24, 240)]
        self._rises(costs, "hours")

    def test_more_workers_never_cost_less(self) -> None:
        """For the same hours."""
        if self.subject.count(2) == 1:
            skip("no option says how many workers there are")
        costs = [self._cost(self.subject.plan(hours=2, workers=n)) for n in (1, 2, 5, 20)]
        self._rises(costs, "workers")

    def test_a_larger_output_never_costs_less(self) -> None:
        """Stored and fetched bytes only add."""
        plan = self.subject.plan(hours=2)
        assert plan.forecast is not None
        costs = []
        for size in (0, 2**20, 2**30, 2**40):
            forecast = evolve(plan.forecast, output_bytes=size, download_bytes=size)
            costs.append(self._cost(evolve(plan, forecast=forecast)))
        self._rises(costs, "bytes of output")

    def test_the_total_is_the_sum_of_the_lines(self) -> None:
        """Nothing is hidden, nothing counted twice."""
        cost = self._cost(self.subject.plan(hours=3))
        for name, lines in (
            ("expected", [line for line in cost.lines if not line.monthly]),
            ("monthly", [line for line in cost.lines if line.monthly]),
        ):
            total = getattr(cost, name)
            priced = [line.amount for line in lines if line.amount is not None]
            if total is None:
                assert not any(priced), f"{name} is unknown although lines have amounts"
                continue
            assert math.isclose(total, sum(priced), rel_tol=_NEAR, abs_tol=1e-9), (
                f"{name} is {total}, its lines add up to {sum(priced)}"
            )

    def test_components_do_not_change_the_cost_of_each_other(self) -> None:
        """The lines of one are the same whether the other is there or not."""
        both = {FIRST: self.component, SECOND: self.component}
        plan = self.subject.plan(hours=2, components=both, workers=4)
        alone = evolve(plan, groups=(plan.group(FIRST),), unused=())
        joint, single = self._cost(plan), self._cost(alone)
        assert _of(joint, FIRST) == _of(single, FIRST), (
            f"the lines of one component change with the other: {_of(joint, FIRST)} and {_of(single, FIRST)}"
        )

    def test_what_is_unknown_is_never_0(self) -> None:
        """No price, no amount; an amount of 0 has a price of 0, or nothing of it is used."""
        cost = self._cost(self.subject.plan(hours=2))
        assert cost.lines, "the estimate has no lines: not even what is unknown"
        for line in cost.lines:
            if line.unit_price is None or line.quantity is None:
                assert line.amount is None, f"{line.item} has an amount without price or quantity"
            if line.amount == 0:
                assert not (line.unit_price and line.quantity), f"{line.item} is said to be free"
        if all(line.amount is None for line in cost.lines):
            assert cost.expected is None, "nothing has a price, and the total is a number"

    def test_amounts_are_within_their_bands(self) -> None:
        """Low, expected, high: in that order, finite, not negative."""
        cost = self._cost(self.subject.plan(hours=2))
        ends = [("the total", cost.low, cost.expected, cost.high)]
        ends += [(line.item, line.low, line.amount, line.high) for line in cost.lines]
        for name, low, amount, high in ends:
            known = [each for each in (low, amount, high) if each is not None]
            assert all(math.isfinite(each) and each >= 0 for each in known), f"{name}: {known}"
            ordered = all(a <= b * (1 + _NEAR) + 1e-12 for a, b in pairwise(known))
            assert ordered, f"{name} is not within its band: {known}"

    def test_an_amount_is_at_most_quantity_times_price(self) -> None:
        """A free part makes it less, nothing makes it more."""
        for line in self._cost(self.subject.plan(hours=2)).lines:
            if None not in (line.amount, line.quantity, line.unit_price):
                product = line.quantity * line.unit_price  # type: ignore[operator]
                assert line.amount <= product * 1.001 + 1e-9, (  # type: ignore[operator]
                    f"{line.item} is {line.amount}, more than {line.quantity} x {line.unit_price}"
                )

    def test_a_price_says_where_it_comes_from(self) -> None:
        """So that a reader can look it up."""
        for line in self._cost(self.subject.plan(hours=2)).lines:
            if line.amount:
                assert line.source, f"{line.item} has a price of unknown source"

    def _cost(self, plan: Plan) -> CostEstimate:
        return self.subject.host.estimate_cost(evolve(plan, cost=None), self.subject.context)

    def _rises(self, costs: list[CostEstimate], what: str) -> None:
        for end in ("low", "expected", "high"):
            amounts = [getattr(cost, end) for cost in costs]
            known = [each for each in amounts if each is not None]
            assert len(known) in (0, len(amounts)), f"{end} is known for some {what} only"
            falls = any(b < a * (1 - _NEAR) for a, b in pairwise(known))
            assert not falls, f"{end} falls with more {what}: {known}"


def _of(cost: CostEstimate, component: str) -> dict[str, list[float | None]]:
    lines: dict[str, list[float | None]] = defaultdict(list)
    for line in _lines(cost, component):
        lines[line.item].append(None if line.amount is None else round(line.amount, 9))
    return dict(lines)


def _lines(cost: CostEstimate, component: str) -> list[CostLine]:
    return [line for line in cost.lines if line.component == component]
