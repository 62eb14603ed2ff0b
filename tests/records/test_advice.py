"""Advice is as sure as it says, and says when it cannot be."""

from __future__ import annotations

import random

import pytest
from records_rows import call, failure, worker

from scalable_core.records.advice import advise, bound, rank_of_bound, roomy, wall_of

MIB = 2**20


@pytest.mark.parametrize(
    ("count", "rank"), [(58, None), (59, 59), (92, 92), (93, 92), (124, 122), (1000, 962)]
)
def test_ranks_are_those_of_the_tables(count: int, rank: int | None) -> None:
    """One-sided nonparametric tolerance limits for 95% of a population with 95% confidence."""
    assert rank_of_bound(count, confidence=0.95) == rank


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_bounds_hold_as_often_as_they_say(confidence: float) -> None:
    """Of many samples of a skewed quantity, at least that part has a bound above the true quantile."""
    chance = random.Random(7)
    quantile = 2.718281828459045**1.6448536269514722  # the 95% quantile of exp(N(0, 1))
    samples = ([chance.lognormvariate(0, 1) for _ in range(150)] for _ in range(1500))
    held = sum(bound(sample, confidence=confidence).value >= quantile for sample in samples)

    assert held / 1500 >= confidence - 0.02


def test_too_few_calls_get_no_bound_but_what_they_are_worth(made) -> None:
    """The count that is needed, and how sure the largest value would be."""
    one = bound([1.0] * 12, confidence=0.95)

    assert (one.value, one.count, one.needed) == (None, 12, 59)
    assert one.reached == pytest.approx(1 - 0.95**12)


def test_calls_that_were_killed_for_memory_are_not_forgotten(made) -> None:
    """They count as larger than all that were measured, so that survivors alone give no low bound."""
    values = [float(n) for n in range(100)]

    assert bound(values, confidence=0.95).value == 98.0
    assert bound(values, confidence=0.95, beyond=1).value == 99.0
    assert bound(values, confidence=0.95, beyond=5).value is None


def test_memory_is_advised_with_room_above_the_bound(made) -> None:
    """The bound is at most 80% of what to ask for, in a size that people would write."""
    rows = [call(n, peak=(100 + n) * MIB) for n in range(59)]
    advice = advise([made(tasks=rows, workers=[worker(memory=600 * MIB)])], "simulate")

    assert advice.memory.value == 158 * MIB
    assert advice.ask_memory == 256 * MIB
    assert (advice.component, advice.limit, advice.calls, advice.runs) == (
        "model",
        600 * MIB,
        59,
        1,
    )


def test_sizes_are_those_that_people_write() -> None:
    """Whole 64M, then 256M, then G."""
    assert [roomy(size * MIB) // MIB for size in (1, 64, 65, 1025, 8193)] == [
        64,
        64,
        128,
        1280,
        9216,
    ]


def test_all_runs_on_the_latest_target_are_looked_at(made) -> None:
    """Times of another target say nothing about this one."""
    elsewhere = made("run-1", record={"target": "aws"}, tasks=[call(n) for n in range(40)])
    before = made("run-2", tasks=[call(n) for n in range(30)])
    other = made("run-3", tasks=[call(1, task="reduce")])
    last = made("run-4", tasks=[call(n) for n in range(29)], workers=[worker()])
    advice = advise([elsewhere, before, other, last], "simulate")

    assert (advice.target, advice.runs, advice.calls) == ("local", 2, 59)
    assert advice.duration.value == 1.0


def test_a_task_without_results_gets_no_advice(made) -> None:
    """Failed and cached calls say nothing about sizes."""
    rows = [call(1, state="failed"), call(2, state="cached", started=None)]

    assert advise([made(tasks=rows)], "simulate") is None
    assert advise([made(tasks=rows)], "simulat") is None


def test_calls_stopped_by_their_timeout_count_for_time_only(made) -> None:
    """Memory that was measured stays a bound."""
    rows = [call(n) for n in range(59)]
    stopped = [failure(n, kind="timeout") for n in range(60, 70)]
    advice = advise([made(tasks=rows, failures=stopped)], "simulate")

    assert advice.duration.value is None
    assert advice.duration.beyond == 10
    assert advice.memory.value is not None


def test_workers_are_advised_until_the_longest_call_decides(made) -> None:
    """Nine short calls and a long one: more than two workers cannot help."""
    rows = [call(n) for n in range(9)] + [call(10, finished=call(10)["started"] + 9)]
    advice = advise([made(tasks=rows, workers=[worker()])], "simulate")

    assert advice.enough_workers == 2
    assert {choice.workers: choice.wall for choice in advice.choices}[1] == 18
    assert wall_of([1.0, 1.0, 1.0], 2) == 2.0
