"""How long and how many: as asked, as before, as expected, or one hour."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from attrs import evolve

from scalable_core.plan import plan_document, read_plan, restore_plan, write_plan
from scalable_core.plan.forecast import make_forecast
from scalable_core.types import (
    Expect,
    Forecast,
    History,
    Manifest,
    NoHistory,
    PastRun,
    PastTask,
    Plan,
    Project,
    ServiceProfile,
    Stores,
    Target,
    Task,
    WorkerGroup,
)

AT_ONCE = ServiceProfile(boot=0.0, boot_high=0.0)


def plan_of(
    *bounds: tuple[int, int],
    maximum: int,
    adaptive: bool = False,
    minimum: int = 0,
    **expect: Expect | None,
) -> Plan:
    """A plan with groups g0, g1, ... of one thread, and tasks on g0."""
    groups = tuple(
        WorkerGroup(name=f"g{i}", cpus=1.0, threads=1, minimum=low, maximum=high)
        for i, (low, high) in enumerate(bounds)
    )
    return Plan(
        project=Project(name="study"),
        target=Target(name="aws", provider="aws"),
        manifest="/study/scalable.yaml",
        workflow="/study/workflow.py",
        lock="sha256:0",
        groups=groups,
        adaptive=adaptive,
        minimum=minimum,
        maximum=maximum,
        tasks={k: Task(name=k, component="g0", expect=v) for k, v in expect.items()},
        stores=Stores(records="/r", artifacts="/a", cache="/c"),
    )


def past(
    task: str = "run", *, calls: int = 10, seconds: float = 60.0, measured: int = 10
) -> PastTask:
    """Calls that all took the same time and gave 1000 bytes each."""
    return PastTask(
        task=task, component="g0", calls=calls, measured=measured, mean=seconds, p10=seconds,
        p50=seconds, p90=seconds, longest=seconds, nbytes=1000 * measured,
    )  # fmt: skip


class Earlier:
    """A history of runs, newest first: each its target and its tasks."""

    def __init__(self, *runs: tuple[str, Sequence[PastTask]], stored: int | None = None) -> None:
        self._runs = {f"run-{i}": run for i, run in enumerate(runs)}
        self._stored = stored

    def runs(self) -> Sequence[PastRun]:
        """All of them."""
        return [PastRun(run=name, target=target) for name, (target, _) in self._runs.items()]

    def tasks(self, run: PastRun) -> Sequence[PastTask]:
        """What one computed."""
        return self._runs[run.run][1]

    def stored(self, run: PastRun) -> int | None:
        """The same for each."""
        return self._stored


def forecast(plan: Plan, history: History | None = None, **asked: float | int) -> Forecast:
    """The forecast of a plan on a service that boots at once."""
    return make_forecast(plan, history=history or NoHistory(), profile=AT_ONCE, **asked)


def workers(forecast: Forecast) -> list[int]:
    """Most workers of each group."""
    return [group.workers for group in forecast.groups.values()]


def test_hours_asked_are_exact() -> None:
    """10 workers for 2 h are 20 worker-hours, with no band, whatever the history says."""
    asked = forecast(
        plan_of((10, 10), maximum=10), Earlier(("aws", [past()])), hours=2, output_size=50
    )

    group = asked.groups["g0"]
    assert (group.worker_hours, group.low, group.high, group.workers) == (20, 20, 20, 10)
    assert (asked.wall_hours, asked.low_wall_hours, asked.high_wall_hours) == (2, 2, 2)
    assert (asked.output_bytes, asked.download_bytes) == (50, None)
    assert asked.basis == "2 h as asked"


@pytest.mark.parametrize(
    ("bounds", "maximum", "shares"),
    [
        ([(3, 3), (2, 2)], 5, [3, 2]),
        ([(0, 7), (0, 7)], 7, [4, 3]),
        ([(0, 2), (0, 9), (0, 9)], 9, [2, 4, 3]),
        ([(0, 2), (0, 2)], 9, [2, 2]),
    ],
)
def test_the_groups_share_the_most_workers(
    bounds: list[tuple[int, int]], maximum: int, shares: list[int]
) -> None:
    """Evenly, the earlier ones first, none above its own and together never above the plan's."""
    assert workers(forecast(plan_of(*bounds, maximum=maximum), hours=1)) == shares


def test_nothing_known_is_one_hour() -> None:
    """And says so."""
    unknown = forecast(plan_of((4, 4), maximum=4, run=None))

    assert unknown.basis == "1 h assumed: no history"
    assert unknown.groups["g0"].worker_hours == 4
    assert (unknown.output_bytes, unknown.download_bytes) == (None, None)


def test_half_an_expectation_is_named() -> None:
    """A count without a duration cannot be played through."""
    unknown = forecast(plan_of((4, 4), maximum=4, run=Expect(count=3)))

    assert unknown.basis == "1 h assumed: no history, and expect of run lacks count or duration"


def test_what_the_manifest_expects_is_played_through() -> None:
    """100 calls of 36 s are one worker-hour; each writes 20 bytes."""
    expected = forecast(
        plan_of((0, 10), maximum=10, adaptive=True, run=Expect(count=100, duration=36.0, output=20))
    )

    group = expected.groups["g0"]
    assert group.worker_hours == pytest.approx(1.0, rel=0.1)
    assert group.low < group.worker_hours < group.high
    assert expected.output_bytes == 2000
    assert expected.basis == "expect of run"


def test_tasks_that_the_manifest_does_not_know_of_are_named() -> None:
    """A forecast that leaves some out says which."""
    plan = plan_of((2, 2), maximum=2, run=Expect(count=1, duration=1.0), reduce=None)

    assert forecast(plan).basis == "expect of run; nothing is known of reduce"


def test_the_history_of_the_target_comes_before_what_is_expected() -> None:
    """Three runs on aws: the count of the last, 10 calls of 360 s, which is one worker-hour."""
    plan = plan_of((0, 5), maximum=5, adaptive=True, run=Expect(count=9999, duration=9999.0))
    runs = [("aws", [past(seconds=360.0)])] * 3
    known = forecast(plan, Earlier(("local", [past(calls=70)]), *runs, stored=123))

    assert known.basis == "history: 3 runs on aws"
    assert known.groups["g0"].worker_hours == pytest.approx(1.0, rel=0.05)
    assert known.output_bytes == 123
    assert known.download_bytes == 10 * 1000


def test_results_of_unknown_size_are_not_nothing() -> None:
    """What comes to the caller is unknown then, which is not 0 bytes."""
    unsized = evolve(past(), nbytes=None)

    assert forecast(plan_of((1, 1), maximum=1), Earlier(("aws", [unsized]))).download_bytes is None


def test_runs_on_other_targets_are_better_than_none() -> None:
    """The band is wider then, because another machine took these times."""
    plan = plan_of((2, 2), maximum=2)
    there = forecast(plan, Earlier(("local", [past(calls=100)])))
    here = forecast(plan, Earlier(("aws", [past(calls=100)])))

    assert there.basis == "history: 1 run on local, none on aws"
    assert there.high_wall_hours - there.low_wall_hours > 2 * (
        here.high_wall_hours - here.low_wall_hours
    )


def test_a_run_from_the_cache_says_how_many_and_not_how_long() -> None:
    """It is passed over: nothing was measured in it."""
    cached = past(measured=0, seconds=0.0)
    known = forecast(
        plan_of((1, 1), maximum=1), Earlier(("aws", [cached]), ("aws", [past(seconds=360.0)]))
    )

    assert known.basis == "history: 1 run on aws"
    assert known.wall_hours == pytest.approx(1.0, rel=0.05)


def test_the_fewest_workers_of_an_adaptive_plan_are_there_to_the_end() -> None:
    """2 of them, for the one hour that g0 needs: the share of g1 does nothing and is paid."""
    plan = plan_of((0, 2), (0, 2), maximum=2, adaptive=True, minimum=2)
    known = forecast(plan, Earlier(("aws", [past(seconds=360.0)])))

    assert known.groups["g0"].worker_hours == pytest.approx(1.0, rel=0.05)
    assert known.groups["g1"].worker_hours == pytest.approx(known.wall_hours)


def test_a_plan_that_was_kept_keeps_its_forecast(tmp_path: Path) -> None:
    """plan.json holds it, and a plan read back has it again."""
    plan = plan_of((2, 2), maximum=2)
    plan = evolve(plan, forecast=forecast(plan, hours=1.5, output_size=7))
    manifest = Manifest(
        version=1, path=Path("/study/scalable.yaml"), project=plan.project, target=plan.target,
        providers={}, components={}, tasks={}, lock=plan.lock, document={},
    )  # fmt: skip
    write_plan(plan, tmp_path / "plan.json")

    document = read_plan(tmp_path / "plan.json")
    assert document["forecast"]["groups"]["g0"]["worker_hours"] == 3.0
    assert json.loads(json.dumps(plan_document(plan)))["forecast"] == document["forecast"]
    assert restore_plan(document, evolve(plan, forecast=None), manifest).forecast == plan.forecast
