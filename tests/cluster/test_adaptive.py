"""How many workers each group should have, decided without a cluster."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalable_core.cluster.adaptive import AdaptivePolicy, GroupLoad, WorkerLoad, share_out


def load(name, tasks=0, seconds=1.0, workers=(), absent=0, **facts):
    """A group with workers given as (tasks, nbytes) and some that have not arrived."""
    there = tuple(
        WorkerLoad(name=f"{name}-{i}", tasks=busy, nbytes=nbytes, running=float(10 - i) * busy)
        for i, (busy, nbytes) in enumerate(workers)
    )
    planned = tuple(f"{name}-{i}" for i in range(len(there) + absent))
    return GroupLoad(
        name=name,
        threads=facts.pop("threads", 1),
        tasks=tasks,
        occupancy=tasks * seconds,
        planned=planned,
        workers=there,
        **facts,
    )


@pytest.mark.parametrize(
    ("tasks", "seconds", "threads", "wanted"),
    [
        (0, 1.0, 1, 0),  # nothing to do
        (1, 0.001, 1, 1),  # a short call needs a worker too
        (100, 0.5, 1, 10),  # fifty seconds of work, to be done in five
        (4, 3600.0, 1, 4),  # long calls want a thread each
        (4, 3600.0, 4, 1),  # which one worker has
        (5, 3600.0, 4, 2),
    ],
)
def test_workers_follow_the_work(tasks, seconds, threads, wanted):
    """As many as finish the known work in the target duration, and no more than there are calls."""
    policy = AdaptivePolicy(target_duration=5.0)

    assert {"a": wanted} == policy.targets([load("a", tasks, seconds, threads=threads)])


def test_it_grows_at_once():
    """Workers are asked for at the first look."""
    decision = AdaptivePolicy(maximum=10).decide([load("a", 8, 100.0)])

    assert decision.grow == {"a": 8}
    assert decision.retire == ()


def test_workers_on_their_way_are_counted():
    """What was asked for is not asked for again."""
    decision = AdaptivePolicy(maximum=10).decide([load("a", 8, 100.0, absent=8)])

    assert decision.grow == {}


def test_idle_workers_go_only_after_some_looks():
    """A worker that is idle for a moment stays; one that is idle for long goes, the emptiest first."""
    policy = AdaptivePolicy(wait_count=3)
    groups = [load("a", 1, 100.0, workers=[(1, 0), (0, 500), (0, 0)])]

    assert [policy.decide(groups).retire for _ in range(2)] == [(), ()]
    assert policy.decide(groups).retire == ("a-2", "a-1")


def test_a_worker_that_gets_work_again_starts_anew():
    """Idleness is counted in a row."""
    policy = AdaptivePolicy(wait_count=2)
    idle, busy = [load("a", workers=[(0, 0)])], [load("a", 1, workers=[(1, 0)])]

    assert [policy.decide(groups).retire for groups in (idle, busy, idle, busy)] == [()] * 4


def test_workers_that_have_not_arrived_are_given_up_first():
    """When the work is gone, those on their way are cancelled before those that are there."""
    policy = AdaptivePolicy(wait_count=1, minimum=1)

    assert policy.decide([load("a", workers=[(0, 0)], absent=2)]).retire == ("a-2", "a-1")


def test_a_busy_worker_is_not_given_up():
    """Not even when the work could be done by fewer."""
    policy = AdaptivePolicy(wait_count=1)

    assert policy.decide([load("a", 4, 0.01, workers=[(1, 0)] * 4)]).retire == ()


def test_the_last_worker_stays_while_it_holds_results():
    """There is nowhere to move them; without results it goes."""
    policy = AdaptivePolicy(wait_count=1)

    full, empty = [load("a", workers=[(0, 9)])], [load("a", workers=[(0, 0)])]

    assert policy.decide(full).retire == ()
    assert policy.decide(empty).retire == ("a-0",)


def test_results_of_several_idle_workers_end_on_the_fullest():
    """All but one of the holders go, whichever group they are of."""
    policy = AdaptivePolicy(wait_count=1)
    groups = [load("a", workers=[(0, 5), (0, 9)]), load("b", workers=[(0, 7)])]

    assert {"a-0", "b-0"} == set(policy.decide(groups).retire)


def test_the_total_is_shared_in_proportion_and_nobody_gets_nothing():
    """Ten workers for ninety calls of one component and nine of another."""
    targets = AdaptivePolicy(maximum=10).targets([load("a", 90, 100.0), load("b", 9, 100.0)])

    assert targets == {"a": 9, "b": 1}


def test_a_group_grows_into_the_room_that_another_leaves():
    """The total is never passed, and the group that lacks most comes first."""
    policy = AdaptivePolicy(maximum=4, wait_count=1)
    groups = [load("a", 0, workers=[(0, 0)] * 3), load("b", 9, 100.0, workers=[(9, 0)])]

    decision = policy.decide(groups)

    assert len(decision.retire) == 3
    assert decision.grow == {"b": 4}


def test_the_fewest_workers_are_kept_over_all_groups_and_in_each():
    """The total's minimum is filled up in turn; a group's own minimum is its own."""
    assert AdaptivePolicy(minimum=3).targets([load("a"), load("b")]) == {"a": 2, "b": 1}
    assert AdaptivePolicy().targets([load("a"), load("b", minimum=2)]) == {"a": 0, "b": 2}


def test_a_starving_group_gets_a_place_after_a_while():
    """One worker of a group that has several is given up: the one whose call has run least."""
    policy = AdaptivePolicy(maximum=3, patience=3)
    groups = [load("a", 30, 100.0, workers=[(9, 0)] * 3), load("b", 1, 100.0)]

    retired = [policy.decide(groups).retire for _ in range(3)]

    assert retired == [(), (), ("a-2",)]


def test_no_group_gives_up_its_only_worker_to_another():
    """With fewer places than groups the others wait."""
    policy = AdaptivePolicy(maximum=1, patience=1)
    groups = [load("a", 30, 100.0, workers=[(9, 0)]), load("b", 1, 100.0)]

    assert [policy.decide(groups).retire for _ in range(5)] == [()] * 5


def test_shares_follow_the_weights_and_stop_at_them():
    """Nobody gets more than its weight, and what nobody wants is left over."""
    assert share_out(4, {"a": 3, "b": 1}) == {"a": 3, "b": 1}
    assert share_out(9, {"a": 2, "b": 2}) == {"a": 2, "b": 2}
    assert share_out(1, {"a": 5, "b": 1}) == {"a": 1, "b": 0}


groups_of_load = st.lists(
    st.tuples(
        st.integers(0, 50),
        st.floats(0, 1000),
        st.lists(st.tuples(st.integers(0, 3), st.integers(0, 10)), max_size=6),
        st.integers(0, 3),
        st.integers(1, 4),
    ),
    min_size=1,
    max_size=4,
)


@given(groups_of_load, st.integers(0, 5), st.integers(5, 12), st.integers(1, 10))
def test_bounds_hold_whatever_the_load(facts, minimum, maximum, looks):
    """Growth never passes the total, and what is given up is there and given up once."""
    policy = AdaptivePolicy(minimum=minimum, maximum=maximum, wait_count=2, patience=3)
    groups = [
        load(f"g{i}", tasks, seconds, workers=workers, absent=absent, threads=threads)
        for i, (tasks, seconds, workers, absent, threads) in enumerate(facts)
    ]
    names = {name for group in groups for name in group.planned}

    for _ in range(looks):
        decision = policy.decide(groups)
        left = {g.name: len(set(g.planned) - set(decision.retire)) for g in groups}

        assert set(decision.retire) <= names
        assert len(set(decision.retire)) == len(decision.retire)
        assert all(size > left[name] for name, size in decision.grow.items())
        assert not decision.grow or sum((left | dict(decision.grow)).values()) <= maximum
