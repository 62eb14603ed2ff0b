"""A project's own past errors say how sure the next estimate is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalable_core.plan.band import past_ratios, with_past_errors
from scalable_core.records.past import PastRuns
from scalable_core.types import Forecast, GroupForecast

FORECAST = Forecast(
    basis="history: 5 runs on aws",
    wall_hours=2.0,
    low_wall_hours=1.8,
    high_wall_hours=2.4,
    groups={"model": GroupForecast(worker_hours=10.0, low=9.0, high=12.0, workers=5)},
    known=True,
)


def test_errors_that_were_small_narrow_the_band() -> None:
    """5 runs at 0.98 to 1.02 weigh 5 of 8: 9.0 x 3/8 + 9.84 x 5/8 = 9.525, 12.0 x 3/8 + 10.16 x 5/8 = 10.85."""
    found = with_past_errors(FORECAST, [1.0, 0.98, 1.02, 0.99, 1.01])

    group = found.groups["model"]
    assert (group.low, group.worker_hours, group.high) == pytest.approx((9.525, 10.0, 10.85))
    assert found.basis == "history: 5 runs on aws; band from 5 past runs"
    assert 1.8 < found.low_wall_hours < 2.0 < found.high_wall_hours < 2.4


def test_errors_that_were_large_widen_the_band() -> None:
    """3 runs at half, as much and twice as much weigh as much as the simulation."""
    group = with_past_errors(FORECAST, [0.5, 1.0, 2.0]).groups["model"]

    assert group.low == pytest.approx(0.5 * 9.0 + 0.5 * 6.0)  # the tenth percentile is 0.6
    assert group.high == pytest.approx(0.5 * 12.0 + 0.5 * 18.0)  # the ninetieth is 1.8


def test_two_runs_say_nothing_yet() -> None:
    """The band stays the simulation's."""
    assert with_past_errors(FORECAST, [0.2, 3.0]) == FORECAST


@given(st.lists(st.floats(0.01, 100.0), max_size=12))
def test_what_is_expected_stays_in_its_band(ratios: Sequence[float]) -> None:
    """Whatever the errors were, the middle does not move and the band stays around it."""
    found = with_past_errors(FORECAST, ratios)

    group = found.groups["model"]
    assert group.worker_hours == 10.0
    assert 0 <= group.low <= 10.0 <= group.high
    assert 0 <= found.low_wall_hours <= found.wall_hours == 2.0 <= found.high_wall_hours


def write_runs(folder: Path, *runs: tuple[str, dict[str, Any] | None]) -> PastRuns:
    """Runs by target and cost, the oldest first."""
    for number, (target, cost) in enumerate(runs):
        run = folder / f"run-20261124-{number:06d}-calm-otter-0000"
        run.mkdir(parents=True)
        record = {"schema": "scalable.run/1", "status": "done", "target": target, "cost": cost}
        (run / "run.json").write_text(json.dumps(record))
    return PastRuns(folder)


def test_only_runs_that_can_be_compared_count(tmp_path: Path) -> None:
    """Not those on other targets, nor with results from the cache, nor without a price or an estimate."""
    history = write_runs(
        tmp_path,
        ("aws", {"spent": 1.0, "estimate": 2.0, "comparable": True}),
        ("aws", {"spent": 3.0, "estimate": 2.0, "comparable": True}),
        ("gcp", {"spent": 9.0, "estimate": 2.0, "comparable": True}),
        ("aws", {"spent": 9.0, "estimate": 2.0, "comparable": False}),
        ("aws", {"spent": 9.0, "estimate": None, "comparable": True}),
        ("aws", {"spent": 9.0, "estimate": 0.0, "comparable": True}),
        ("aws", None),
    )

    assert past_ratios(history, "aws") == [1.5, 0.5]


def test_runs_that_did_all_their_work_are_compared(project: Path, scalable) -> None:
    """The first had nothing to rest on, the next rests on it, and what the cache saves is no error."""
    from paid_project import record_of, runs_of

    manifest = project / "scalable.yaml"
    threads = manifest.read_text().replace("max_workers: 2", "max_workers: 2, processes: false")
    manifest.write_text(threads.replace("cache: true", "cache: false"))
    for _ in range(2):
        assert scalable("run", "--yes", "-q", "--", "6", "0.3").returncode == 0
    manifest.write_text(manifest.read_text().replace("cache: false", "cache: true"))
    for _ in range(2):
        assert scalable("run", "--yes", "-q", "--", "6", "0.3").returncode == 0

    costs = [record_of(folder)["cost"] for folder in runs_of(project)]
    assert [cost["comparable"] for cost in costs] == [False, True, True, False]
    assert costs[1]["estimate"] != costs[0]["estimate"] == 72.0
    text = scalable("report", runs_of(project)[1].name).stdout
    page = project / "page.html"
    page.write_text(scalable("report", runs_of(project)[1].name, "--format", "html").stdout)
    estimate = f"estimate ${costs[1]['estimate']:.2g}"
    assert "COST\n  spent $0.0" in text
    assert estimate in text
    saved = scalable("report").stdout
    assert "because 6 of 6 results came from the cache" in saved
    runs = scalable("runs").stdout.splitlines()
    assert runs[0].split()[-2:] == ["EST", "SPENT"]
    assert runs[4].split()[-2] == "$72.00"
