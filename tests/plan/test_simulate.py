"""A run is played through: how long it takes, how long its workers are there."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scalable_core.plan.simulate import Durations, GroupBounds, Outcome, Stage, simulate
from scalable_core.types import ServiceProfile

AT_ONCE = ServiceProfile(boot=0.0, boot_high=0.0)


def even(seconds: float) -> Durations:
    """Calls that all take the same time."""
    return Durations(mean=seconds, p10=seconds, p50=seconds, p90=seconds, longest=seconds)


def play(
    calls: int = 100,
    seconds: float = 60.0,
    *,
    workers: int = 10,
    threads: int = 1,
    adaptive: bool = False,
    profile: ServiceProfile = AT_ONCE,
    uncertainty: float = 0.0,
) -> Outcome:
    """One stage of equal calls on one group."""
    return simulate(
        [Stage(group="a", calls=calls, durations=(even(seconds),))],
        [
            GroupBounds(
                name="a", threads=threads, minimum=0 if adaptive else workers, maximum=workers
            )
        ],
        adaptive=adaptive,
        maximum=workers,
        profile=profile,
        uncertainty=uncertainty,
    )


def test_equal_calls_fill_the_workers_in_rounds() -> None:
    """100 calls of 60 s on 10 workers of one thread: 10 rounds, 600 s; 10 workers for 600 s are 6000 s."""
    outcome = play()

    assert outcome.wall.expected == pytest.approx(600.0)
    assert outcome.workers["a"].expected == pytest.approx(6000.0)
    assert outcome.most == {"a": 10}


def test_a_worker_runs_as_many_calls_as_it_has_threads() -> None:
    """The same calls on 4 threads each: 100 / 40 is 3 rounds, 180 s, the last of them not full."""
    assert play(threads=4).wall.expected == pytest.approx(180.0)


def test_a_fixed_number_of_workers_boots_once_and_stays_to_the_end() -> None:
    """60 s of boot, between 48 s and 60 s at its quickest half, come before the 600 s."""
    outcome = play(profile=ServiceProfile(boot=60.0, boot_high=60.0))

    assert 600.0 + 48.0 <= outcome.wall.low <= outcome.wall.high <= 600.0 + 60.0
    assert outcome.workers["a"].expected == pytest.approx(10 * outcome.wall.expected)


def test_adaptive_workers_are_no_more_than_the_calls() -> None:
    """3 calls want 3 of 10 workers; they are there for 60 s each."""
    outcome = play(3, adaptive=True)

    assert outcome.most == {"a": 3}
    assert outcome.workers["a"].expected == pytest.approx(180.0)


def test_adaptive_workers_are_no_more_than_short_calls_are_worth() -> None:
    """20 calls of half a second are 10 s of work: 2 workers do them in the 5 s that are aimed at."""
    outcome = play(20, 0.5, adaptive=True)

    assert outcome.most == {"a": 2}
    assert outcome.wall.expected == pytest.approx(5.0)


def test_the_workers_of_a_stage_that_is_over_are_gone() -> None:
    """Each group of an adaptive plan is there for its own stage: 10 x 60 s, then 1 x 120 s."""
    outcome = simulate(
        [
            Stage(group="a", calls=10, durations=(even(60.0),)),
            Stage(group="b", calls=1, durations=(even(120.0),)),
        ],
        [GroupBounds(name=name, threads=1, minimum=0, maximum=10) for name in "ab"],
        adaptive=True,
        maximum=10,
        profile=AT_ONCE,
        uncertainty=0.0,
    )

    assert outcome.workers["a"].expected == pytest.approx(600.0)
    assert outcome.workers["b"].expected == pytest.approx(120.0)
    assert outcome.wall.expected == pytest.approx(180.0)


def test_the_total_bounds_a_group_beside_the_workers_kept_for_others() -> None:
    """Of 5 workers 2 are kept for b, so a has 3: 9 calls of 60 s take it 3 rounds."""
    outcome = simulate(
        [Stage(group="a", calls=9, durations=(even(60.0),))],
        [
            GroupBounds(name="a", threads=1, minimum=0, maximum=5),
            GroupBounds(name="b", threads=1, minimum=2, maximum=5),
        ],
        adaptive=True,
        maximum=5,
        profile=AT_ONCE,
        uncertainty=0.0,
    )

    assert outcome.most == {"a": 3, "b": 2}
    assert outcome.wall.expected == pytest.approx(180.0)
    assert outcome.workers["b"].expected == pytest.approx(360.0)


def test_interruptions_cost_time_and_never_keep_a_run_from_its_end() -> None:
    """Also where no call is shorter than a worker's usual life."""
    calm = play(seconds=600.0)
    rough = play(seconds=600.0, profile=ServiceProfile(boot=60.0, interruptions=1.0))
    hopeless = play(seconds=36_000.0, profile=ServiceProfile(interruptions=10.0))

    assert rough.wall.expected > 1.05 * calm.wall.expected
    assert hopeless.wall.expected >= 36_000.0


@settings(max_examples=60, deadline=None)
@given(
    calls=st.integers(1, 3000),
    seconds=st.floats(0.1, 1000),
    workers=st.integers(1, 60),
    more=st.integers(1, 60),
    adaptive=st.booleans(),
    interruptions=st.sampled_from([0.0, 0.01]),
)
def test_more_workers_are_not_slower(
    calls: int, seconds: float, workers: int, more: int, adaptive: bool, interruptions: float
) -> None:
    """Those that come too late are not waited for; what is left is chance, a few hundredths at most."""
    profile = ServiceProfile(boot=40.0, boot_high=90.0, interruptions=interruptions)
    few, many = (
        play(calls, seconds, workers=count, adaptive=adaptive, profile=profile, uncertainty=0.1)
        for count in (workers, workers + more)
    )

    assert many.wall.expected <= 1.05 * few.wall.expected
    assert many.wall.high <= 1.05 * few.wall.high


def test_what_a_launch_is_billed_for_at_least_is_counted() -> None:
    """3 workers for 10 s each, billed for 60 s each."""
    profile = ServiceProfile(boot=0.0, boot_high=0.0, billed_minimum=60.0)

    assert play(3, 10.0, adaptive=True, profile=profile).workers["a"].expected == 180.0


def test_a_run_that_is_slower_as_a_whole_is_in_the_band() -> None:
    """With 10% from run to run, p10 is about 0.88 and p90 about 1.14 of the usual."""
    wall = play(uncertainty=0.1).wall

    assert wall.low == pytest.approx(600 * 0.88, rel=0.03)
    assert wall.high == pytest.approx(600 * 1.14, rel=0.03)


@pytest.mark.parametrize("workers", [4, 64, 1000])
@pytest.mark.parametrize("adaptive", [False, True])
def test_a_large_count_is_scaled_down_without_changing_its_sums(
    workers: int, adaptive: bool
) -> None:
    """200 000 calls of 60 s are 12 000 000 s of work, whoever does them."""
    outcome = play(200_000, workers=workers, adaptive=adaptive)

    assert outcome.workers["a"].expected == pytest.approx(12_000_000, rel=0.03)
    assert outcome.wall.expected == pytest.approx(12_000_000 / workers, rel=0.03)
    assert outcome.most == {"a": workers}


def test_the_mean_of_skewed_durations_is_kept() -> None:
    """Quantiles say the shape; the sum of the calls is count x mean. 400 x 20 s on one worker are 8000 s."""
    skewed = Durations(mean=20.0, p10=1.0, p50=5.0, p90=60.0, longest=300.0)
    outcome = simulate(
        [Stage(group="a", calls=400, durations=(skewed,))],
        [GroupBounds(name="a", threads=1, minimum=1, maximum=1)],
        adaptive=False,
        maximum=1,
        profile=AT_ONCE,
        uncertainty=0.0,
    )

    assert outcome.wall.expected == pytest.approx(8000.0)


@settings(max_examples=40, deadline=None)
@example(calls=2622, seconds=63.0, workers=35, threads=1, adaptive=False, rate=0.0)
@given(
    calls=st.integers(0, 3000),
    seconds=st.floats(0.0, 1e5),
    workers=st.integers(1, 300),
    threads=st.integers(1, 96),
    adaptive=st.booleans(),
    rate=st.sampled_from([0.0, 0.05, 2.0]),
)
def test_whatever_is_played_is_sound_and_the_same_again(
    calls: int, seconds: float, workers: int, threads: int, adaptive: bool, rate: float
) -> None:
    """The work is never done in less than it takes, the band is in order, and nothing is left to chance."""
    profile = ServiceProfile(interruptions=rate)
    first, again = (
        play(calls, seconds, workers=workers, threads=threads, adaptive=adaptive, profile=profile)
        for _ in range(2)
    )

    assert first == again
    for band in (first.wall, *first.workers.values()):
        assert 0.0 <= band.low <= band.expected <= band.high
    assert first.workers["a"].expected * threads >= calls * seconds * 0.999
    assert first.most["a"] <= workers
