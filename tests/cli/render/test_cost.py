"""An estimate as text: every line says how its amount comes about, and what is unknown is never nothing."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from attrs import evolve

from scalable_core.cli.render.cost import costs_money, render_cost
from scalable_core.cli.terminal import Look, display_width
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

COMPUTE = CostLine(
    item="Compute", component="model", quantity=80.0, unit="vCPU-h", unit_price=0.04048,
    amount=3.2384, note="10 workers x 4 vCPU x 2 h",
)  # fmt: skip
MEMORY = CostLine(
    item="Memory", component="model", quantity=320.0, unit="GB-h", unit_price=0.004445,
    amount=1.4224, note="10 workers x 16 GB x 2 h",
)  # fmt: skip
STORAGE = CostLine(
    item="Storage", quantity=50.0, unit="GB-month", unit_price=0.023, amount=1.15, monthly=True
)


def plan_of(*lines: CostLine, forecast: Forecast | None = None, **totals: float | str) -> Plan:
    """A plan of 10 workers with these lines."""
    return Plan(
        project=Project(name="study"),
        target=Target(name="aws", provider="aws", options=SimpleNamespace(region="us-east-1")),
        manifest="/study/scalable.yaml",
        workflow="/study/workflow.py",
        lock="sha256:0",
        groups=(WorkerGroup(name="model", cpus=4, threads=4, minimum=10, maximum=10),),
        minimum=10,
        maximum=10,
        stores=Stores(records="/r", artifacts="/a", cache="/c"),
        forecast=forecast,
        cost=CostEstimate(provider="aws", lines=lines, **totals),
    )


def forecast(wall: float = 2.0, low: float = 2.0, high: float = 2.0) -> Forecast:
    """Two hours as asked."""
    return Forecast(
        basis="2 h as asked",
        wall_hours=wall,
        low_wall_hours=low,
        high_wall_hours=high,
        groups={"model": GroupForecast(worker_hours=20, low=20, high=20, workers=10)},
    )


def shown(plan: Plan, width: int = 100_000) -> list[str]:
    """The estimate's lines."""
    return render_cost(plan, Look(width=width))


def test_the_whole_estimate() -> None:
    """3.2384 + 1.4224 = 4.6608; 50 GB x 0.023 = 1.15 a month."""
    plan = plan_of(
        COMPUTE, MEMORY, STORAGE, forecast=forecast(), expected=4.6608, low=4.6608, high=4.6608,
        monthly=1.15, as_of="2026-11-20", basis="list prices",
    )  # fmt: skip

    assert shown(plan) == [
        "Cost Estimate for target 'aws':",
        "  Compute: $3.24 (10 workers x 4 vCPU x 2h x $0.04048/vCPU-h)",
        "  Memory:  $1.42 (10 workers x 16 GB x 2h x $0.004445/GB-h)",
        "  Storage: $1.15/month (50 GB-month x $0.023/GB-month)",
        "  Total:   ~$4.66 one-time + $1.15/month (storage)",
        "  Prices:  list, snapshot 2026-11-20, us-east-1, offline",
        "  Basis:   2 h as asked; 2h00m from start to end",
    ]


def test_the_snapshot_is_named_and_a_price_that_is_much_older() -> None:
    """2024-07-01 is more than 90 days before 2026-09-29; a date that is only a year counts as its last day."""
    old = evolve(COMPUTE, item="Logs", as_of="2024-07-01")
    known = {"as_of": "2026-09-29", "snapshot": "2026-10-06-2a91a147"}

    aged = shown(plan_of(COMPUTE, old, expected=6.4768, **known))
    year = evolve(COMPUTE, item="Logs", as_of="2026")
    young = shown(plan_of(COMPUTE, year, expected=6.4768, **known))
    prices = "  Prices:  list, snapshot 2026-09-29, us-east-1, offline, id 2026-10-06-2a91a147"
    assert f"{prices}; older: Logs of 2024-07-01" in aged
    assert prices in young


def test_what_is_free_in_a_month_follows_the_total() -> None:
    """Gross is what the list says, net what is left when nothing else has used it up."""
    lines = shown(plan_of(COMPUTE, STORAGE, expected=3.2384, monthly=1.15, net=0.52))

    total = "~$3.24 one-time + $1.15/month (storage); $0.52 after what is free in a month"
    assert f"  Total:   {total}" in lines


def test_a_band_is_shown_where_there_is_one() -> None:
    """Money and time each have theirs."""
    plan = plan_of(COMPUTE, forecast=forecast(2, 1.5, 2.5), expected=3.2384, low=2.4, high=4.1)

    lines = shown(plan)
    assert "  Total:   ~$3.24 one-time (p10-p90 $2.40 - $4.10)" in lines
    assert lines[-1].endswith("2h00m from start to end (1h30m - 2h30m)")


def test_what_has_no_price_is_a_question_mark_and_counted() -> None:
    """By name, and never as $0."""
    logs = CostLine(item="Logs", unit="GB", note="what the workers write")
    lines = shown(plan_of(COMPUTE, logs, expected=3.2384, basis="list prices"))

    assert "  Logs:    ? (no price for GB; what the workers write)" in lines
    assert "  Total:   ~$3.24 one-time; 1 line not priced: Logs" in lines


def test_without_any_price_the_total_is_a_question_mark() -> None:
    """And what the estimate rests on stands where the prices would."""
    lines = shown(plan_of(CostLine(item="Nodes", unit="h"), basis="the target gives no price"))

    assert "  Total:  ? one-time; 1 line not priced: Nodes" in lines
    assert "  Prices: the target gives no price" in lines


@pytest.mark.parametrize(
    ("note", "said"),
    [
        ("20 x 4 vCPU x 1 h", "20 x 4 vCPU x 1h x $0.04048/vCPU-h"),
        (
            "10 workers x 4 vCPU x 2 h, rounded up from 3 vCPU",
            "10 workers x 4 vCPU x 2h x $0.04048/vCPU-h, rounded up from 3 vCPU",
        ),
        ("at most 10 x 4 vCPU", "80 vCPU-h x $0.04048/vCPU-h; at most 10 x 4 vCPU"),
        ("10 workers x 4 vCPU x 3 h", "80 vCPU-h x $0.04048/vCPU-h; 10 workers x 4 vCPU x 3 h"),
        ("1,000 workers x 0.08 h", "1,000 workers x 0.08h x $0.04048/vCPU-h"),
        ("", "80 vCPU-h x $0.04048/vCPU-h"),
    ],
)
def test_only_factors_that_come_to_the_quantity_are_shown_as_a_product(
    note: str, said: str
) -> None:
    """A product that a reader multiplies must give the amount."""
    assert f"  Compute: $3.24 ({said})" in shown(plan_of(evolve(COMPUTE, note=note)))


def test_with_several_groups_each_line_names_its_own() -> None:
    """With one it would only repeat itself."""
    plan = plan_of(COMPUTE)
    two = evolve(plan, groups=(*plan.groups, evolve(plan.groups[0], name="other")))

    assert any(line.startswith("  Compute (model): $3.24") for line in shown(two))


@pytest.mark.parametrize("width", [50, 80])
def test_a_narrow_terminal_is_kept(width: int) -> None:
    """Long lines go on below."""
    plan = plan_of(COMPUTE, MEMORY, forecast=forecast(), as_of="2026-11-20")

    assert max(map(display_width, shown(plan, width))) <= width


def test_what_is_billed_and_what_is_not() -> None:
    """Nothing known to be owed is free; unknown, monthly and unestimated cost money."""
    free = plan_of(expected=0.0)

    assert not costs_money(free)
    assert costs_money(plan_of(COMPUTE, expected=3.2384))
    assert costs_money(plan_of(STORAGE, expected=0.0, monthly=1.15))
    assert costs_money(plan_of(CostLine(item="Nodes", unit="h"), expected=0.0))
    assert costs_money(evolve(free, cost=None))
