"""Looks at a crew's members, again and again, and draws the conclusions. No Dask."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from scalable_core.cluster.explain import KILLED, LINES, explain_end
from scalable_core.cluster.launcher import LaunchFailure, Member
from scalable_core.cluster.seats import Seat

if TYPE_CHECKING:
    from scalable_core.cluster.crew import Crew

logger = logging.getLogger("scalable.fleet")

#: The name of the scheduler's group, and what its member's name begins with.
SCHEDULER = "scheduler"
#: Seconds between polls at most, while something is on its way and when all is quiet.
POLL_BUSY, POLL_QUIET = 4.0, 30.0
#: Seconds for which a member that was launched need not be shown.
VANISH = 60.0
#: Seconds after which a member that was told to end, and has not, is told again.
TELL_AGAIN = 30.0
#: Seconds that a member has to bring back its worker: a nanny starts it anew, or a network mends.
REJOIN = 90.0
#: Logs that are read for one poll; what goes wrong for many goes wrong in the same way.
LOGS_AT_ONCE = 3


class Watch:
    """Polls soon after something has changed, and seldom when all is quiet.

    Args:
        crew: Whose members.

    Attributes:
        polls: How often it has looked.
    """

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._soon = asyncio.Event()
        self.polls = 0

    def look_soon(self) -> None:
        """Look as soon as the service can have noticed what has just happened."""
        self._soon.set()

    async def run(self) -> None:
        """Look until the crew ends."""
        interval = self._crew.launcher.poll_interval
        pause, failures = interval, 0
        while not self._crew.ending.is_set():
            busy = [
                s for s in self._crew.seats.values() if s.state in ("asked", "running", "leaving")
            ]
            most = max(interval, POLL_BUSY if busy else POLL_QUIET)
            pause = min(most, pause)
            launched = any(s.state != "open" for s in self._crew.seats.values())
            timeout = pause * random.uniform(0.8, 1.2) if launched else None
            woken = False
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._soon.wait(), timeout)
                woken = True
            if woken:  # whatever has woken us needs a moment to be seen by the service
                pause = interval
                await asyncio.sleep(interval * random.uniform(0.4, 0.6))
            await self._crew.pace.take("poll")
            self._soon.clear()  # this look is for all that has happened until now
            if self._crew.ending.is_set():
                break
            try:
                self.polls += 1
                changed = await self._observe(await self._crew.launcher.poll())
                failures = 0
            except Exception as error:
                failures += 1
                logger.warning("the fleet could not be looked at: %s", error)
                if failures == 3:
                    self._crew.say("fleet.unseen", f"the service does not answer: {error}")
                changed = False
            pause = interval if changed else pause * 1.5
            self._crew.news.set()

    async def _observe(self, members: Sequence[Member]) -> bool:
        now = time.monotonic()
        shown = {member.name: member for member in members}
        ended, again, strays, changed = [], [], [], False
        for name, member in shown.items():
            seat = self._crew.seats.get(name)
            if seat is None:
                if member.state in ("asked", "pending", "running"):
                    strays.append(name)  # from a call that was thought to have failed
                continue
            changed |= seat.member is None or seat.member.state != member.state
            seat.member, seat.missed = member, 0
            self._crew.payroll.reprice(name, member.hourly)
            if member.state == "stopped":
                ended.append(seat)
            elif member.interrupted and seat.state in ("running", "joined"):
                if seat.group != SCHEDULER:  # that one cannot hand over to another
                    self._notice(seat, now)
            elif member.state == "running" and seat.state == "asked":
                seat.turn("running", now)
            if seat.state == "leaving" and now - seat.since > TELL_AGAIN:
                again.append(name)
                seat.since = now
        for seat in list(self._crew.seats.values()):
            if seat.name not in shown and seat.state != "open":
                seat.missed += 1
                enough = 2 if seat.state == "leaving" else 3
                patience = 0.0 if seat.member is not None else VANISH
                if seat.missed >= enough and now - seat.since > patience:
                    ended.append(seat)
        again += self._late(now)
        await self._end(ended)
        # Who shares a unit with others that work is ended with them.
        await self._crew.tell([*self._crew.releasable(again), *strays])
        return changed or bool(ended)

    def _late(self, now: float) -> list[str]:
        """Give up members whose worker has not come in time; they end by themselves too, if they can."""
        late = []
        for seat in list(self._crew.seats.values()):
            if seat.state not in ("asked", "running") or seat.group == SCHEDULER:
                continue
            joined = seat.joined_at is not None
            patience = REJOIN if joined else self._crew.fleet.limits.join + 30
            if now - seat.since <= patience:
                continue
            group = self._crew.groups[seat.group]
            seat.turn("leaving", now)
            late.append(seat.name)
            if joined:
                text = (
                    f"{seat.name} is there, and the scheduler has not heard of its worker for"
                    f" {REJOIN:g} s: its network may be broken"
                )
                self._crew.say("worker.lost", text, **_facts(seat))
                group.note_crash(LaunchFailure(kind="other", message=text))
            elif seat.offer is not None:
                text = f"{seat.name} did not join in {self._crew.fleet.limits.join:g} s"
                failure = LaunchFailure(kind="other", message=text)
                self._crew.note_failure(group, seat.offer, failure, 1)
            self._crew.refill(group)
        return late

    def _notice(self, seat: Seat, now: float) -> None:
        """A member is about to be taken away: it hands over by itself, and another is asked for at once."""
        reason = seat.member.reason if seat.member else None
        self._crew.say(
            "worker.notice",
            f"worker {seat.name} is about to be taken away: {reason or 'the service says so'}",
            worker=seat.name,
        )
        seat.turn("leaving", now)
        self._crew.refill(self._crew.groups[seat.group])

    async def _end(self, seats: Sequence[Seat]) -> None:
        if not seats:
            return
        never = [seat.name for seat in seats if seat.member is None]
        self._crew.payroll.drop(never)
        self._crew.payroll.end([seat.name for seat in seats], time.time())
        logs_read = 0
        for seat in seats:
            if self._crew.seats.pop(seat.name, None) is None:
                continue
            group = self._crew.groups[seat.group]
            member = seat.member
            if seat.state == "leaving" or self._crew.ending.is_set():
                self._crew.say("worker.stopped", f"{seat.name} has stopped", **_facts(seat))
                continue
            log: Sequence[str] = ()
            if logs_read < LOGS_AT_ONCE and not (member and member.interrupted):
                logs_read += 1
                with contextlib.suppress(Exception):
                    log = await self._crew.launcher.logs(seat.name, LINES)
            joined = seat.joined_at is not None
            failure = explain_end(seat.name, member, log, joined=joined)
            kind = "worker.lost" if joined else "worker.failed"
            self._crew.say(kind, failure.message, log=list(log), **_facts(seat))
            if seat.group == SCHEDULER and joined:
                group.wanted = 0
                self._crew.listener.scheduler_lost(failure)
            elif member is not None and member.interrupted:
                pass  # not its fault; another takes its place
            elif joined:
                group.note_crash(failure)
            elif member is None:
                pass  # the call that should have made it has failed, which was said then
            elif seat.offer is not None:
                self._crew.note_failure(group, seat.offer, failure, 1, asked=seat.since)
            self._crew.refill(group)
        # Last, for a launcher finds the logs of members by what the ledger has.
        await self._crew.fleet.ledger.gone(self._crew.launcher.kind, [seat.name for seat in seats])
        self._crew.launch_soon.set()


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
