"""Keeps as many members of each group as are wanted: launches, watches, replaces and stops them. No Dask.

Two loops share the event loop with everything else: one launches what is open, a batch at a time, as the
service's rates and the groups' fates allow; the other one is the `Watch`. What happens is told to a `Listener`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from scalable_core.cluster.adaptive import share_out
from scalable_core.cluster.explain import to_error
from scalable_core.cluster.launcher import (
    Fleet,
    Launcher,
    LaunchFailure,
    LaunchResult,
    Member,
    MemberGroup,
    Offer,
)
from scalable_core.cluster.listener import Listener
from scalable_core.cluster.pace import Pace
from scalable_core.cluster.payroll import Payroll
from scalable_core.cluster.seats import GroupState, Seat, lack, make_group, whole_units
from scalable_core.cluster.watch import SCHEDULER, Watch
from scalable_core.errors import ScalableError
from scalable_core.types import Resource

logger = logging.getLogger("scalable.fleet")

#: Seconds that calls which are under way get to end, when all ends.
LAST_CALLS = 60.0


class Crew:
    """The members of one run.

    Args:
        launcher: Of the service.
        fleet: The run.
        groups: What there may be, the scheduler's group too if it is to be a member.
        listener: Hears what happens.
        least: Workers below which the run makes no sense.
        patience: Seconds for which lack of capacity is borne when a group has nobody, or all have too few.

    Attributes:
        payroll: What the members are paid for.
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
        self.listener = listener
        self._least, self._patience = least, patience
        self.pace = Pace(launcher.rates)
        self.groups = {g.name: make_group(g, launcher, fleet.run) for g in groups}
        self.seats: dict[str, Seat] = {}
        self.payroll = Payroll()
        self._limit = math.inf
        self._tasks: list[asyncio.Task[None]] = []
        self.launch_soon = asyncio.Event()
        self.news = asyncio.Event()
        self.ending = asyncio.Event()
        self._said: set[tuple[str, str]] = set()
        self._closed: asyncio.Future[Sequence[Resource]] | None = None
        self.watch = Watch(self)

    # -- what is wanted ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to launch and to watch."""
        for loop in (self._launch_loop(), self.watch.run()):
            self._tasks.append(asyncio.ensure_future(loop))

    def names(self, group: str) -> tuple[str, ...]:
        """Names of a group's members that are wanted, launched or not, oldest first."""
        seats = self.seats.values()
        return tuple(s.name for s in seats if s.group == group and s.state != "leaving")

    def want(self, group: str, count: int) -> None:
        """Have so many members of a group from now on; too many are not touched, see `release`."""
        self.want_all({group: count})

    def want_all(self, counts: Mapping[str, int]) -> None:
        """Have so many members of each group named; where there may be fewer, they share those."""
        for name, count in counts.items():
            self.groups[name].wanted = count
        self.refill(*(self.groups[name] for name in counts))

    def limit_workers(self, total: int) -> None:
        """Launch no more workers from now on than make so many over all groups; those that are there stay."""
        self._limit = total
        workers = self._workers()
        for seat in [s for s in workers if s.state == "open"][::-1][: max(0, len(workers) - total)]:
            del self.seats[seat.name]
        self.refill(*(group for name, group in self.groups.items() if name != SCHEDULER))

    def resize(self, group: str, count: int, here: Collection[str]) -> list[str]:
        """Have so many members of a group, and return whom it can best do without if there are more.

        Args:
            group: Its name.
            count: How many.
            here: Names of the workers that have arrived; who has not goes first.
        """
        names = self.names(group)
        self.want(group, count)
        order = sorted(names, key=lambda name: (name in here, -int(name.rpartition("-")[2])))
        return order[: max(0, len(names) - count)]

    def releasable(self, names: Iterable[str]) -> list[str]:
        """Return the names without those that can only be stopped together with others that are needed."""
        return whole_units(names, self.seats.values())

    async def release(self, names: Iterable[str]) -> None:
        """Have members end that hold nothing any more, and do not replace them."""
        told = []
        counts = {name: len(self.names(name)) for name in self.groups}
        for name in self.releasable(names):
            seat = self.seats.get(name)
            if seat is None or seat.state == "leaving":
                continue
            group = self.groups[seat.group]
            counts[seat.group] -= 1
            group.wanted = min(group.wanted, counts[seat.group])
            if seat.state == "open":
                del self.seats[name]
            else:
                seat.turn("leaving", time.monotonic())
                told.append(name)
        await self.tell(told)

    def joined(self, name: str) -> None:
        """Hear from the scheduler that a member's worker is there."""
        seat = self.seats.get(name)
        if seat is None or seat.state == "leaving":
            return
        now = time.monotonic()
        seat.turn("joined", now)
        seat.joined_at = seat.joined_at or now
        self.groups[seat.group].note_joined(seat.offer)

    def left(self, name: str) -> None:
        """Hear from the scheduler that a member's worker is gone: why, the next poll tells."""
        seat = self.seats.get(name)
        if seat is not None and seat.state == "joined":
            seat.turn("running", time.monotonic())
            self.watch.look_soon()

    def revive(self, group: str) -> None:
        """Try a group again that was given up."""
        self.groups[group].revive()
        self._said.clear()
        self.refill(self.groups[group])

    async def await_running(self, group: str) -> tuple[str, Member]:
        """Return the first member of a group that runs, once its address is known.

        Raises:
            ClusterError: There will be none; with the reason.
        """
        while True:
            self.news.clear()
            for name in self.names(group):
                member = self.seats[name].member
                if member is not None and member.state == "running" and member.address:
                    return name, member
            failure = self.groups[group].failure
            if failure is not None:
                raise to_error(failure)
            await self.news.wait()

    async def close(self) -> Sequence[Resource]:
        """Stop everything, look again, and return what is left; called again, it returns the same."""
        if self._closed is None:
            self._closed = asyncio.ensure_future(self._close())
        return await asyncio.shield(self._closed)

    async def _close(self) -> Sequence[Resource]:
        self.ending.set()
        self.launch_soon.set()
        self.watch.look_soon()
        if self._tasks:  # a call that is under way is let end, so that its answer is not lost
            await asyncio.wait(self._tasks, timeout=LAST_CALLS)
        for task in self._tasks:
            task.cancel()
        left = await self.launcher.close()
        self.payroll.end_all(time.time())
        kind, there = self.launcher.kind, {(each.kind, each.id) for each in left}
        ours = [e.resource.id for e in self.fleet.ledger.entries if e.resource.kind == kind]
        made = {e.resource.id: e.made for e in self.fleet.ledger.entries}
        gone = [n for n in ours if (kind, n) not in there and (kind, made[n]) not in there]
        await self.fleet.ledger.gone(kind, gone)
        self.seats.clear()
        return left

    # -- launching ---------------------------------------------------------------------------------------

    async def _launch_loop(self) -> None:
        while not self.ending.is_set():
            self.launch_soon.clear()
            self._give_up()
            batch = self._next_batch()
            if batch is None:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.launch_soon.wait(), self._until_next())
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
            end
            for g in self.groups.values()
            if g.lacking_since is not None and (end := g.lacking_since + self._patience) >= now
        ]
        return max(0.05, min(times) - now) if times else None

    def _open(self, group: GroupState) -> list[Seat]:
        name = group.group.name
        return [s for s in self.seats.values() if s.group == name and s.state == "open"]

    async def _launch(self, group: GroupState, seats: list[Seat], offer: Offer) -> None:
        await self.pace.take("launch")
        await self.pace.take("members", len(seats))
        seats = [
            seat for seat in seats if seat.name in self.seats
        ]  # some may not be wanted any more
        if not seats or self.ending.is_set():
            return
        now = time.monotonic()
        for seat in seats:
            seat.turn("asked", now)
            seat.offer = offer
        names = [seat.name for seat in seats]
        kind = self.launcher.kind
        try:
            await self.fleet.ledger.intend([self._resource(name, offer) for name in names])
            self.payroll.begin(names, group.group.name, offer.hourly, time.time())
            result = await self.launcher.launch(group.group, names, offer)
        except ScalableError as error:
            group.halted = LaunchFailure(kind="other", message=error.message, cure=error.cure)
            for name in names:
                self.seats.pop(name, None)
            self.payroll.drop(names)
            return
        except Exception as error:  # whether anything was created, the polls will show
            text = f"the call that launches {names[0]} failed: {type(error).__name__}: {error}"
            self.note_failure(group, offer, LaunchFailure(kind="other", message=text), 1)
            return
        await self._take(group, offer, names, result)
        await self.fleet.ledger.made(kind, result.launched)

    async def _take(
        self, group: GroupState, offer: Offer, names: Sequence[str], result: LaunchResult
    ) -> None:
        if result.launched:
            group.note_launch(offer)
            self.watch.look_soon()
            count = len(result.launched)
            self.say(
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
        self.payroll.drop(failed)
        for kind, failure in kinds.items():
            count = sum(each.kind == kind for each in failed.values())
            self.note_failure(group, offer, failure, count)
        await self.fleet.ledger.gone(self.launcher.kind, failed)
        self.refill(group)

    def note_failure(
        self, group: GroupState, offer: Offer, failure: LaunchFailure, count: int, **how: Any
    ) -> None:
        """Learn from so many launches that failed, and say so once for each kind."""
        if failure.kind == "throttled":
            self.pace.empty("launch")
        group.note_failure(offer, failure, time.monotonic(), **how)
        text = f"{count} of {group.group.name} could not be had as {offer.name}: {failure.message}"
        if (group.group.name, failure.kind) not in self._said:
            self._said.add((group.group.name, failure.kind))
            self.say("fleet.short", text, group=group.group.name, failure=failure.kind)

    def refill(self, *groups: GroupState) -> None:
        """Open seats for what is missing of groups, as far as there may be more workers."""
        if self.ending.is_set():
            return
        missing = {
            group.group.name: group.wanted - len(self.names(group.group.name))
            for group in groups
            if not (group.halted or group.failure)
        }
        missing = {name: count for name, count in missing.items() if count > 0}
        room = max(0, self._limit - len(self._workers()))
        workers = {name: count for name, count in missing.items() if name != SCHEDULER}
        if sum(workers.values()) > room:
            missing |= share_out(int(room), workers)
        for name, count in missing.items():
            for _ in range(count):
                seat = self.groups[name].new_seat()
                self.seats[seat.name] = seat
        if missing:
            self.launch_soon.set()

    def _workers(self) -> list[Seat]:
        """Seats of workers that are wanted, launched or not."""
        seats = self.seats.values()
        return [s for s in seats if s.group != SCHEDULER and s.state != "leaving"]

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
        self.say("group.failed", f"no member of {group} can be had: {failure.message}")
        self.news.set()
        if group != SCHEDULER:
            self.listener.group_failed(group, failure)

    def _resource(self, name: str, offer: Offer) -> Resource:
        return Resource(
            kind=self.launcher.kind,
            id=name,
            region=self.launcher.region,
            run=self.fleet.run,
            hourly=offer.hourly,
        )

    # -- inside ------------------------------------------------------------------------------------------

    async def tell(self, names: Sequence[str]) -> None:
        """Have the service end members; who does not is told again after a while."""
        if not names:
            return
        await self.pace.take("stop")
        try:
            await self.launcher.stop(names)
        except Exception as error:
            logger.warning("%d members could not be told to end: %s", len(names), error)
        self.watch.look_soon()

    def say(self, kind: str, message: str, **data: Any) -> None:
        """Put an event into the records."""
        self.listener.say(kind, message, **data)
