"""Which offer is next, when a group is given up, and who may be stopped: decided without a clock of its own."""

from __future__ import annotations

import pytest

from scalable_core.cluster.explain import explain_end
from scalable_core.cluster.launcher import LaunchFailure, Member, MemberGroup, Offer
from scalable_core.cluster.seats import COOL_FIRST, GroupState, Seat, lack, whole_units

SPOT, DEMAND = Offer(name="spot", capacity="spot"), Offer(name="on-demand")
NONE_LEFT = LaunchFailure(kind="no-capacity", message="there is none")


@pytest.fixture
def group():
    """A group with two offers."""
    return GroupState(group=MemberGroup(name="part"), offers=(SPOT, DEMAND), wanted=4)


def test_an_offer_without_capacity_is_left_alone_for_a_while(group):
    """Then the next one is taken, and later the first is tried again; each time after a longer while."""
    group.note_failure(SPOT, NONE_LEFT, 0.0)
    assert group.next_offer(1.0) is DEMAND
    assert group.next_offer(COOL_FIRST) is SPOT
    group.note_failure(SPOT, NONE_LEFT, COOL_FIRST)
    assert group.next_offer(2 * COOL_FIRST) is DEMAND
    group.note_launch(SPOT)
    assert group.next_offer(2 * COOL_FIRST) is SPOT


def test_a_group_lacks_capacity_once_no_offer_has_any(group):
    """What each offer has said is told."""
    group.note_failure(SPOT, NONE_LEFT, 0.0)
    assert group.lacking_since is None
    group.note_failure(DEMAND, LaunchFailure(kind="quota", message="6 vCPU"), 1.0)

    assert (group.lacking_since, group.next_offer(2.0)) == (1.0, None)
    assert lack(group).message == "spot: there is none; on-demand: 6 vCPU"


def test_a_launch_whose_members_never_come_to_be_is_no_sign_of_capacity(group):
    """Who takes every request and has no room lacks it since the request; a member that joins is a sign."""
    for offer, asked, end in ((SPOT, 0.0, 300.0), (DEMAND, 300.0, 600.0)):
        group.note_launch(offer)
        group.note_failure(offer, NONE_LEFT, end, asked=asked)
    assert group.lacking_since == 300.0
    group.note_launch(SPOT)
    assert group.lacking_since == 300.0

    group.note_joined(SPOT)
    assert group.lacking_since is None
    assert group.next_offer(601.0) is SPOT


def test_failures_in_a_row_halt_a_group_and_a_member_that_joins_pardons_them(group):
    """Three unknown failures are too many, two and a success are not."""
    odd = LaunchFailure(kind="other", message="odd")
    group.note_failure(SPOT, odd, 0.0)
    group.note_failure(SPOT, odd, 1.0)
    group.note_joined(SPOT)
    group.note_failure(SPOT, odd, 2.0)
    group.note_failure(SPOT, odd, 3.0)
    assert group.halted is None
    group.note_failure(SPOT, odd, 4.0)
    assert group.halted is odd


def test_names_are_never_given_twice(group):
    """A name stands for one member, in the ledger and everywhere."""
    assert len({group.new_seat().name for _ in range(50)}) == 50


def test_members_of_a_unit_are_stopped_all_or_not_at_all():
    """A pool whose members are not all dispensable stays as it is."""
    seats = [
        Seat(name=f"part-{i}", group="part", member=Member(name="", state="running", unit=unit))
        for i, unit in enumerate(["pool-a", "pool-a", "pool-b", None])
    ]

    assert sorted(whole_units(["part-0", "part-2", "part-3"], seats)) == ["part-2", "part-3"]
    assert sorted(whole_units(["part-0", "part-1"], seats)) == ["part-0", "part-1"]


@pytest.mark.parametrize(
    ("facts", "log", "message", "cure"),
    [
        (
            {"reason": "CannotPullContainerError: not found", "failure": "image"},
            [],
            "part-0 ended before it joined: CannotPullContainerError: not found",
            "check the image",
        ),
        (
            {"reason": "OutOfMemory", "exit_code": 137, "stop_code": "EssentialContainerExited"},
            [],
            "OutOfMemory (stop code EssentialContainerExited, exit code 137)",
            "more memory",
        ),
        ({"exit_code": 1}, ["one", "ValueError: two", ""], "ValueError: two (exit code 1)", None),
        (
            {"exit_code": 1},
            ['scalable-member: {"error": "the image has dask 1", "cure": "pip install"}'],
            "the image has dask 1",
            "pip install",
        ),
    ],
)
def test_the_end_of_a_member_is_a_sentence_with_a_cure(facts, log, message, cure):
    """From what the service says, and from the last words in the log."""
    member = Member(name="part-0", state="stopped", **facts)
    failure = explain_end("part-0", member, log, joined=False)

    assert message in failure.message
    assert (cure in failure.cure) if cure else failure.cure is None
