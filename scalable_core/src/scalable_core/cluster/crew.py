"""Keeps as many members of each group as are wanted: launches, watches, replaces and stops them. No Dask.

Two loops share the event loop with everything else: one launches what is open, a batch at a time, as the
service's rates and the groups' fates allow; one polls, soon after something has changed and seldom when all
is quiet. What happens is told to a `Listener`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from scalable_core.cluster.explain import KILLED, LINES, explain_end, to_error
from scalable_core.cluster.launcher import (
    Fleet,
    Launcher,
    LaunchFailure,
    LaunchResult,
    Member,
    MemberGroup,
    Offer,
)
from scalable_core.cluster.pace import Pace
from scalable_core.cluster.seats import GroupState, Seat, lack, whole_units
from scalable_core.errors import ScalableError
from scalable_core.types import Resource

logger = logging.getLogger("scalable.fleet")

#: The name of the scheduler's group, and what its member's name begins with.
SCHEDULER = "scheduler"
#: Seconds between polls at most, while something is on its way and when all is quiet.
POLL_BUSY, POLL_QUIET = 5.0, 30.0
#: Seconds for which a member that was launched need not be shown.
VANISH = 60.0
#: Seconds after which a member that was told to end, and has not, is told again.
TELL_AGAIN = 30.0
#: Logs that are read for one poll; what goes wrong for many goes wrong in the same way.
LOGS_AT_ONCE = 3


class Listener(Protocol):
    """Hears what becomes of a crew."""

    def say(self, kind: str, message: str, **data: Any) -> None:
        """Take an event for the records."""

    def group_failed(self, group: str, failure: LaunchFailure) -> None:
        """Take note that a group has no member and will get none."""

    def member_noticed(self, name: str) -> None:
        """Take note that a member is about to be taken away; it is not counted any more."""

    def scheduler_lost(self, failure: LaunchFailure) -> None:
        """Take note that the scheduler's member has ended."""


class Crew:
    """The members of one run.

    Args:
        launcher: Of the service.
        fleet: The run.
        groups: What there may be, the scheduler's group too if it is to be a member.
        listener: Hears what happens.
        least: Workers below which the run makes no sense.
        patience: Seconds for which lack of capacity is borne when a group has nobody, or all have too few.
    """

    def __init__(
        self,
        launcher: Launcher,
        fleet: Fleet,
        groups: Sequence[MemberGroup],
        listener: Listener,
        *,
        least: int = 1,
        patience: float = 300.0,
    ) -> None:
        self.launcher, self.fleet = launcher, fleet
        self._listener = listener
        self._least, self._patience = least, patience
        self._pace = Pace(launcher.rates)
        self.groups = {
            g.name: GroupState(group=g, offers=tuple(launcher.offers(g))) for g in groups
        }
        self.seats: dict[str, Seat] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._launch_soon, self._poll_soon = asyncio.Event(), asyncio.Event()
        self._news = asyncio.Event()
        self._ending = asyncio.Event()
        self._said: set[tuple[str, str]] = set()
        self._closed: asyncio.Future[Sequence[Resource]] | None = None
        self.polls = 0

    # -- what is wanted ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to launch and to watch."""
        for loop in (self._launch_loop(), self._poll_loop()):
            self._tasks.append(asyncio.ensure_future(loop))

    def names(self, group: str) -> tuple[str, ...]:
        """Names of a group's members that are wanted, launched or not, oldest first."""
        seats = self.seats.values()
        return tuple(s.name for s in seats if s.group == group and s.state != "leaving")

    def want(self, group: str, count: int) -> None:
        """Have so many members of a group from now on; too many are not touched, see `release`."""
        self.groups[group].wanted = count
        self._refill(self.groups[group])

    async def release(self, names: Iterable[str]) -> None:
        """Have members end that hold nothing any more, and do not replace them."""
        leaving = whole_units(names, self.seats.values())
        told = []
        for name in leaving:
            seat = self.seats.get(name)
            if seat is None or seat.state == "leaving":
                continue
            group = self.groups[seat.group]
            group.wanted = min(group.wanted, max(0, len(self.names(seat.group)) - 1))
            if seat.state == "open":
                del self.seats[name]
            else:
                seat.turn("leaving", time.monotonic())
                told.append(name)
        await self._tell(told)

    def joined(self, name: str) -> None:
        """Hear from the scheduler that a member's worker is there."""
        seat = self.seats.get(name)
        if seat is None or seat.state == "leaving":
            return
        now = time.monotonic()
        seat.turn("joined", now)
        seat.joined_at = seat.joined_at or now
        self.groups[seat.group].note_joined()

    def left(self, name: str) -> None:
        """Hear from the scheduler that a member's worker is gone: why, the next poll tells."""
        seat = self.seats.get(name)
        if seat is not None and seat.state == "joined":
            seat.turn("running", time.monotonic())
            self._poll_soon.set()

    def revive(self, group: str) -> None:
        """Try a group again that was given up."""
        self.groups[group].revive()
        self._said.clear()
        self._refill(self.groups[group])

    async def await_running(self, group: str) -> tuple[str, Member]:
        """Return the first member of a group that runs, once its address is known.

        Raises:
            ClusterError: There will be none; with the reason.
        """
        while True:
            self._news.clear()
            for name in self.names(group):
                member = self.seats[name].member
                if member is not None and member.state == "running" and member.address:
                    return name, member
            failure = self.groups[group].failure
            if failure is not None:
                raise to_error(failure)
            await self._news.wait()

    async def close(self) -> Sequence[Resource]:
        """Stop everything, look again, and return what is left; called again, it returns the same."""
        if self._closed is None:
            self._closed = asyncio.ensure_future(self._close())
        return await asyncio.shield(self._closed)

    async def _close(self) -> Sequence[Resource]:
        self._ending.set()
        self._launch_soon.set()
        self._poll_soon.set()
        if self._tasks:  # a call that is under way is let end, so that its answer is not lost
            await asyncio.wait(self._tasks, timeout=VANISH)
        for task in self._tasks:
            task.cancel()
        left = await self.launcher.close()
        kind, there = self.launcher.kind, {(each.kind, each.id) for each in left}
        ours = [e.resource.id for e in self.fleet.ledger.entries if e.resource.kind == kind]
        made = {e.resource.id: e.made for e in self.fleet.ledger.entries}
        gone = [n for n in ours if (kind, n) not in there and (kind, made[n]) not in there]
        await self.fleet.ledger.gone(kind, gone)
        self.seats.clear()
        return left

    # -- launching ---------------------------------------------------------------------------------------

    async def _launch_loop(self) -> None:
        while not self._ending.is_set():
            self._launch_soon.clear()
            self._give_up()
            batch = self._next_batch()
            if batch is None:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._launch_soon.wait(), self._until_next())
            else:
                await self._launch(*batch)

    def _next_batch(self) -> tuple[GroupState, list[Seat], Offer] | None:
        now = time.monotonic()
        for group in self.groups.values():
            seats = self._open(group)
            if seats and not group.halted and group.not_before <= now:
                offer = group.next_offer(now)
                if offer is not None:
                    return group, seats[: self.launcher.batch], offer
        return None

    def _until_next(self) -> float | None:
        now = time.monotonic()
        times = [g.next_time(now) for g in self.groups.values() if self._open(g) and not g.halted]
        times += [
            g.lacking_since + self._patience
            for g in self.groups.values()
            if g.lacking_since is not None and not g.failure
        ]
        return max(0.05, min(times) - now) if times else None

    def _open(self, group: GroupState) -> list[Seat]:
        name = group.group.name
        return [s for s in self.seats.values() if s.group == name and s.state == "open"]

    async def _launch(self, group: GroupState, seats: list[Seat], offer: Offer) -> None:
        await self._pace.take("launch")
        await self._pace.take("members", len(seats))
        seats = [
            seat for seat in seats if seat.name in self.seats
        ]  # some may not be wanted any more
        if not seats or self._ending.is_set():
            return
        now = time.monotonic()
        for seat in seats:
            seat.turn("asked", now)
            seat.offer = offer
        names = [seat.name for seat in seats]
        kind = self.launcher.kind
        try:
            await self.fleet.ledger.intend([self._resource(name, offer) for name in names])
            result = await self.launcher.launch(group.group, names, offer)
        except ScalableError as error:
            group.halted = LaunchFailure(kind="other", message=error.message, cure=error.cure)
            for name in names:
                self.seats.pop(name, None)
            return
        except Exception as error:  # whether anything was created, the polls will show
            text = f"the call that launches {names[0]} failed: {type(error).__name__}: {error}"
            self._note_failure(group, offer, LaunchFailure(kind="other", message=text), 1)
            return
        await self._take(group, offer, names, result)
        await self.fleet.ledger.made(kind, result.launched)

    async def _take(
        self, group: GroupState, offer: Offer, names: Sequence[str], result: LaunchResult
    ) -> None:
        if result.launched:
            group.note_launch(offer)
            self._poll_soon.set()
            count = len(result.launched)
            self._say(
                "fleet.launched",
                f"{count} of {group.group.name} asked for as {offer.name}",
                group=group.group.name,
                offer=offer.name,
                count=count,
            )
        failed = dict(result.failed)
        for name in names:
            if name not in result.launched and name not in failed:
                text = "the service did not say what became of it"
                failed[name] = LaunchFailure(kind="no-capacity", message=text)
        kinds = {failure.kind: failure for failure in failed.values()}
        for name in failed:
            self.seats.pop(name, None)
        for kind, failure in kinds.items():
            count = sum(each.kind == kind for each in failed.values())
            self._note_failure(group, offer, failure, count)
        await self.fleet.ledger.gone(self.launcher.kind, failed)
        self._refill(group)

    def _note_failure(
        self, group: GroupState, offer: Offer, failure: LaunchFailure, count: int
    ) -> None:
        if failure.kind == "throttled":
            self._pace.empty("launch")
        group.note_failure(offer, failure, time.monotonic())
        text = f"{count} of {group.group.name} could not be had as {offer.name}: {failure.message}"
        if (group.group.name, failure.kind) not in self._said:
            self._said.add((group.group.name, failure.kind))
            self._say("fleet.short", text, group=group.group.name, failure=failure.kind)

    def _refill(self, group: GroupState) -> None:
        missing = group.wanted - len(self.names(group.group.name))
        if group.halted or group.failure or self._ending.is_set():
            return
        for _ in range(missing):
            seat = group.new_seat()
            self.seats[seat.name] = seat
        if missing > 0:
            self._launch_soon.set()

    def _give_up(self) -> None:
        """Say that groups have failed which have nobody and will get nobody."""
        now = time.monotonic()
        alive = {name: self._alive(name) for name in self.groups}
        workers = sum(count for name, count in alive.items() if name != SCHEDULER)
        for name, group in self.groups.items():
            if group.failure or not (group.wanted or group.halted):
                continue
            failure = group.halted if not alive[name] else None
            lacking = group.lacking_since is not None and now - group.lacking_since > self._patience
            if lacking and (not alive[name] or (name != SCHEDULER and workers < self._least)):
                failure = lack(group)
            if failure is not None:
                group.failure = failure
                for seat in self._open(group):
                    del self.seats[seat.name]
                self._fail(name, failure)

    def _alive(self, group: str) -> int:
        up = ("asked", "running", "joined")
        return sum(s.group == group and s.state in up for s in self.seats.values())

    def _fail(self, group: str, failure: LaunchFailure) -> None:
        self._say("group.failed", f"no member of {group} can be had: {failure.message}")
        self._news.set()
        if group != SCHEDULER:
            self._listener.group_failed(group, failure)

    def _resource(self, name: str, offer: Offer) -> Resource:
        return Resource(
            kind=self.launcher.kind,
            id=name,
            region=self.launcher.region,
            run=self.fleet.run,
            hourly=offer.hourly,
        )

    # -- watching ----------------------------------------------------------------------------------------

    async def _poll_loop(self) -> None:
        interval = self.launcher.poll_interval
        pause, failures = interval, 0
        while not self._ending.is_set():
            busy = [s for s in self.seats.values() if s.state in ("asked", "running", "leaving")]
            most = max(interval, POLL_BUSY if busy else POLL_QUIET)
            pause = min(most, pause)
            launched = any(s.state != "open" for s in self.seats.values())
            timeout = pause * random.uniform(0.8, 1.2) if launched else None
            woken = False
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._poll_soon.wait(), timeout)
                woken = True
            self._poll_soon.clear()
            if woken:  # whatever has woken us needs a moment to be seen by the service
                pause = interval
                await asyncio.sleep(interval * random.uniform(0.4, 0.6))
            await self._pace.take("poll")
            if self._ending.is_set():
                break
            try:
                self.polls += 1
                changed = await self._observe(await self.launcher.poll())
                failures = 0
            except Exception as error:
                failures += 1
                logger.warning("the fleet could not be looked at: %s", error)
                if failures == 3:
                    self._say("fleet.unseen", f"the service does not answer: {error}")
                changed = False
            pause = interval if changed else pause * 1.5
            self._news.set()

    async def _observe(self, members: Sequence[Member]) -> bool:
        now = time.monotonic()
        shown = {member.name: member for member in members}
        ended, again, strays, changed = [], [], [], False
        for name, member in shown.items():
            seat = self.seats.get(name)
            if seat is None:
                if member.state in ("asked", "pending", "running"):
                    strays.append(name)  # from a call that was thought to have failed
                continue
            changed |= seat.member is None or seat.member.state != member.state
            seat.member, seat.missed = member, 0
            if member.state == "stopped":
                ended.append(seat)
            elif member.interrupted and seat.state in ("running", "joined"):
                self._notice(seat, now)
            elif member.state == "running" and seat.state == "asked":
                seat.turn("running", now)
            if seat.state == "leaving" and now - seat.since > TELL_AGAIN:
                again.append(name)
                seat.since = now
        for seat in list(self.seats.values()):
            if seat.name not in shown and seat.state != "open":
                seat.missed += 1
                enough = 2 if seat.state == "leaving" else 3
                patience = 0.0 if seat.member is not None else VANISH
                if seat.missed >= enough and now - seat.since > patience:
                    ended.append(seat)
        again += self._late(now)
        await self._end(ended)
        await self._tell([*again, *strays])
        return changed or bool(ended)

    def _late(self, now: float) -> list[str]:
        """Give up members whose worker has not come in time; they end by themselves too, if they can."""
        late = []
        for seat in list(self.seats.values()):
            waits = seat.state in ("asked", "running") and seat.group != SCHEDULER
            if waits and now - seat.since > self.fleet.limits.join + 30:
                text = f"{seat.name} did not join in {self.fleet.limits.join:g} s"
                failure = LaunchFailure(kind="other", message=text)
                seat.turn("leaving", now)
                late.append(seat.name)
                group = self.groups[seat.group]
                if seat.offer is not None:
                    self._note_failure(group, seat.offer, failure, 1)
                self._refill(group)
        return late

    def _notice(self, seat: Seat, now: float) -> None:
        """A member is about to be taken away: it hands over by itself, and another is asked for at once."""
        reason = seat.member.reason if seat.member else None
        self._say(
            "worker.notice",
            f"worker {seat.name} is about to be taken away: {reason or 'the service says so'}",
            worker=seat.name,
        )
        seat.turn("leaving", now)
        self._listener.member_noticed(seat.name)
        self._refill(self.groups[seat.group])

    async def _end(self, seats: Sequence[Seat]) -> None:
        if not seats:
            return
        await self.fleet.ledger.gone(self.launcher.kind, [seat.name for seat in seats])
        logs_read = 0
        for seat in seats:
            if self.seats.pop(seat.name, None) is None:
                continue
            group = self.groups[seat.group]
            member = seat.member
            if seat.state == "leaving":
                self._say("worker.stopped", f"{seat.name} has stopped", **_facts(seat))
                continue
            log: Sequence[str] = ()
            if logs_read < LOGS_AT_ONCE and not (member and member.interrupted):
                logs_read += 1
                with contextlib.suppress(Exception):
                    log = await self.launcher.logs(seat.name, LINES)
            joined = seat.joined_at is not None
            failure = explain_end(seat.name, member, log, joined=joined)
            kind = "worker.lost" if joined else "worker.failed"
            self._say(kind, failure.message, log=list(log), **_facts(seat))
            if seat.group == SCHEDULER and joined:
                group.wanted = 0
                self._listener.scheduler_lost(failure)
            elif member is not None and member.interrupted:
                pass  # not its fault; another takes its place
            elif joined:
                group.note_crash(failure)
            elif member is None:
                pass  # the call that should have made it has failed, which was said then
            elif seat.offer is not None:
                self._note_failure(group, seat.offer, failure, 1)
            self._refill(group)
        self._launch_soon.set()

    async def _tell(self, names: Sequence[str]) -> None:
        if not names:
            return
        await self._pace.take("stop")
        try:
            await self.launcher.stop(names)
        except Exception as error:
            logger.warning("%d members could not be told to end: %s", len(names), error)
        self._poll_soon.set()

    def _say(self, kind: str, message: str, **data: Any) -> None:
        self._listener.say(kind, message, **data)


def _killed(member: Member | None) -> bool:
    """Return whether a member ended as one does that has used too much memory; records say so of its calls."""
    return member is not None and member.exit_code == KILLED and not member.interrupted


def _facts(seat: Seat) -> Mapping[str, Any]:
    member, offer = seat.member, seat.offer
    return {
        "worker": seat.name,
        "group": seat.group,
        "offer": offer.name if offer else None,
        "hourly": (member and member.hourly) or (offer and offer.hourly),
        "zone": member and member.zone,
        "stop_code": member and member.stop_code,
        "exit_code": member and member.exit_code,
        "reason": "memory" if _killed(member) else None,
    }
