"""Who is asked for in a fleet and how far each is; which offer is next, and when a group is given up.

Pure bookkeeping: no Dask, no service, and the clock is an argument. A **seat** is one member that is wanted,
from the wish to the end; a seat whose launch failed is given up for a new one with a new name, so that a name
is launched once and never again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

from attrs import Factory, define

from scalable_core.cluster.launcher import (
    FailureKind,
    Launcher,
    LaunchFailure,
    Member,
    MemberGroup,
    Offer,
)

#: Failures in a row, by kind, after which a group is not tried any more; what is not named has no such end.
STRIKES: dict[FailureKind, int] = {"image": 1, "permission": 1, "other": 3, "throttled": 40}
#: Seconds for which an offer that had nothing is left alone at first, and at most.
COOL_FIRST, COOL_MOST = 15.0, 300.0
#: Seconds between tries after the service has refused a call, at first and at most.
BACK_OFF_FIRST, BACK_OFF_MOST = 1.0, 30.0

#: ``open``: not launched yet; ``joined``: its worker is there; ``leaving``: told to end.
SeatState = Literal["open", "asked", "running", "joined", "leaving"]


@define(kw_only=True)
class Seat:
    """One member that is wanted, or was.

    Attributes:
        name: Of the member, and of its Dask worker.
        group: The group's name.
        state: How far it is.
        offer: How it was bought.
        since: When it came to be in this state.
        member: What the service has said of it last.
        missed: Polls in a row that did not show it.
    """

    name: str
    group: str
    state: SeatState = "open"
    offer: Offer | None = None
    since: float = 0.0
    member: Member | None = None
    missed: int = 0
    joined_at: float | None = None

    def turn(self, state: SeatState, now: float) -> None:
        """Go on to another state."""
        self.state, self.since = state, now


@define(kw_only=True)
class GroupState:
    """A group, and how its launches have gone.

    Attributes:
        group: What its members are.
        offers: Ways to buy them.
        stem: What the names of its members begin with, before their number.
        wanted: How many there shall be.
        count: Names that were given so far.
        strikes: Failures by kind since a member has joined.
        crashes: Members that ended by themselves after they had joined.
        halted: Why nothing more is launched.
        failure: Why the group has nobody and will get nobody.
        lacking_since: Since when it has lacked members that the service has none of.
        hollow: Names of offers whose launch says nothing, as members of one never came to be for lack of room.
        not_before: When the next launch may be.
        reasons: Offer to what was said when it last failed.
    """

    group: MemberGroup
    offers: Sequence[Offer]
    stem: str = Factory(lambda self: self.group.name, takes_self=True)
    wanted: int = 0
    count: int = 0
    strikes: Counter[FailureKind] = Factory(Counter)
    crashes: int = 0
    halted: LaunchFailure | None = None
    failure: LaunchFailure | None = None
    lacking_since: float | None = None
    hollow: set[str] = Factory(set)
    not_before: float = 0.0
    reasons: dict[str, LaunchFailure] = Factory(dict)
    _cool: dict[str, tuple[float, float]] = Factory(dict)

    def new_seat(self) -> Seat:
        """Return a seat with a name that no other has had."""
        name = f"{self.stem}-{self.count}"
        self.count += 1
        return Seat(name=name, group=self.group.name)

    def next_offer(self, now: float) -> Offer | None:
        """Return the first offer that is worth a try; None while all have nothing."""
        return next((o for o in self.offers if self._cool.get(o.name, (0.0, 0.0))[0] <= now), None)

    def next_time(self, now: float) -> float:
        """Return when there may be a launch again; not later than now when there may be one."""
        first = min(self._cool.get(offer.name, (0.0, 0.0))[0] for offer in self.offers)
        return max(first, self.not_before)

    def note_failure(
        self, offer: Offer, failure: LaunchFailure, now: float, *, asked: float | None = None
    ) -> None:
        """Learn from a launch that failed.

        Args:
            offer: What was launched.
            failure: Why it failed.
            now: The time.
            asked: When the member was asked for that then never came to be; None if the service refused.
        """
        self.reasons[offer.name] = failure
        if failure.kind in ("no-capacity", "quota"):
            _, step = self._cool.get(offer.name, (0.0, COOL_FIRST / 2))
            step = min(COOL_MOST, step * 2)
            self._cool[offer.name] = (now + step, step)
            if asked is not None:
                self.hollow.add(offer.name)
            if self.lacking_since is None and all(
                each.name in self.hollow or self._cool.get(each.name, (0.0, 0.0))[0] > now
                for each in self.offers
            ):
                self.lacking_since = now if asked is None else asked
            return
        self.strikes[failure.kind] += 1
        if failure.kind == "throttled":
            wait = BACK_OFF_FIRST * 1.5 ** self.strikes["throttled"]
            self.not_before = now + min(BACK_OFF_MOST, wait)
        elif failure.kind == "other":
            self.not_before = now + BACK_OFF_FIRST
        if self.strikes[failure.kind] >= STRIKES[failure.kind]:
            self.halted = failure

    def note_launch(self, offer: Offer) -> None:
        """Learn from a launch that went well: the offer has something to give, if that says so."""
        self.strikes.pop("throttled", None)
        if offer.name not in self.hollow:
            self._cool.pop(offer.name, None)
            self.lacking_since = None

    def note_joined(self, offer: Offer | None) -> None:
        """Learn from a member that works: what went wrong before is over."""
        self.strikes.clear()
        if offer is not None:
            self.hollow.discard(offer.name)
            self.note_launch(offer)

    def note_crash(self, failure: LaunchFailure) -> None:
        """Count a member that had joined and ended by itself; too many and nothing more is launched."""
        self.crashes += 1
        if self.crashes > 10 + 3 * self.wanted:
            self.halted = failure

    def revive(self) -> None:
        """Forget what went wrong: somebody asks anew."""
        self.halted = self.failure = self.lacking_since = None
        self.strikes.clear()
        self.hollow.clear()
        self._cool.clear()
        self.crashes, self.not_before = 0, 0.0


def make_group(group: MemberGroup, launcher: Launcher, run: str) -> GroupState:
    """Return a group of which nobody was asked for yet."""
    stem = getattr(launcher, "stem", lambda run, group: group)
    return GroupState(group=group, offers=tuple(launcher.offers(group)), stem=stem(run, group.name))


def lack(group: GroupState) -> LaunchFailure:
    """Return one failure that says what each offer of a group has said."""
    told = {name: f.message for name, f in group.reasons.items()}
    message = "; ".join(f"{name}: {text}" for name, text in told.items())
    cures = [failure.cure for failure in group.reasons.values() if failure.cure]
    kinds = {failure.kind for failure in group.reasons.values()}
    return LaunchFailure(
        kind="quota" if kinds == {"quota"} else "no-capacity",
        message=message,
        cure=cures[0] if cures else "try another region or size, or later",
    )


def whole_units(names: Iterable[str], seats: Iterable[Seat]) -> list[str]:
    """Leave out names of members that cannot be stopped without others that are not among the names."""
    wanted = set(names)
    kept_units = {
        seat.member.unit
        for seat in seats
        if seat.member is not None
        and seat.member.unit is not None
        and seat.name not in wanted
        and seat.state != "leaving"
    }
    by_name = {seat.name: seat for seat in seats}
    return [
        name
        for name in wanted
        if (seat := by_name.get(name)) is None
        or seat.member is None
        or seat.member.unit not in kept_units
    ]
