"""A service on this machine, with what clouds have: delay, limits, scarcity, members that are taken away."""

from __future__ import annotations

import asyncio
import shutil
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import define

from scalable_core.cluster.launcher import (
    Fleet,
    LaunchFailure,
    LaunchResult,
    Member,
    MemberGroup,
    Offer,
    Rate,
    State,
)
from scalable_core.types import Resource

#: The offers of a group when a test does not say otherwise.
PLAIN = (Offer(name="on-demand", hourly=0.1),)


@define
class LoopbackMember:
    """One member, as the service knows it."""

    name: str
    group: MemberGroup
    offer: Offer
    ready: float
    started: bool = False
    interrupted: bool = False
    reason: str | None = None


class LoopbackLauncher:
    """A `Launcher` for this machine. Its subclasses say what a member really is.

    Args:
        folder: Where documents and logs go; of this run alone.
        offers: Ways to buy the workers.
        capacity: Offer to how many there can be at one time; no limit where it is not named.
        delay: Seconds from a launch until the member starts.
        batch: Most members in one call.
        rates: What the engine is told.
        limit: What the service itself allows of launches: more are refused as throttled.
        refuse: Group to why its launches fail.
        on_call: Hears the name of each call before anything is done; what it raises is raised.

    Attributes:
        calls: Every call, with the time and what it was about.
    """

    provider = "loopback"
    kind = "loopback:member"
    region: str | None = None

    def __init__(
        self,
        folder: Path,
        *,
        offers: Sequence[Offer] = PLAIN,
        capacity: Mapping[str, int] | None = None,
        delay: float = 0.0,
        batch: int = 10,
        rates: Mapping[str, Rate] | None = None,
        limit: Rate | None = None,
        refuse: Mapping[str, LaunchFailure] | None = None,
        on_call: Callable[[str], None] | None = None,
        poll_interval: float = 0.2,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.delay, self.batch = folder, delay, batch
        self.rates: Mapping[str, Rate] = rates or {}
        self.poll_interval = poll_interval
        self.listen = ("127.0.0.1", free_port())
        self.capacity = dict(capacity or {})
        self.refuse = dict(refuse or {})
        self.data: Mapping[str, Any] = {"folder": str(folder)}
        self.calls: list[tuple[float, str, Any]] = []
        self._offers = tuple(offers)
        self._limit, self._tokens, self._filled = limit, limit.burst if limit else 0.0, 0.0
        self._on_call = on_call
        self.present: dict[str, LoopbackMember] = {}
        self.documents = folder / "documents"

    # -- what subclasses do ------------------------------------------------------------------------------

    async def start_member(self, member: LoopbackMember) -> None:
        """Start it."""
        raise NotImplementedError

    async def end_member(self, name: str) -> None:
        """Tell it to end, as a service does that stops it."""
        raise NotImplementedError

    async def look(self) -> Mapping[str, tuple[State, int | None]]:
        """Return state and exit code of each member that was started."""
        raise NotImplementedError

    # -- the launcher ------------------------------------------------------------------------------------

    def offers(self, group: MemberGroup) -> Sequence[Offer]:
        """Offer the scheduler on demand, and workers as the test says."""
        return PLAIN if group.role == "scheduler" else self._offers

    async def open(self, fleet: Fleet) -> None:
        """Make the folder for the documents."""
        self._note("open")
        self.fleet = fleet
        self._program = fleet.program(self.reader())
        await fleet.ledger.intend([self._documents()])
        self.documents.mkdir(mode=0o700)

    def reader(self) -> str:
        """Return the source that members read documents with."""
        from scalable_core.member.boot import FOLDER_READER

        return FOLDER_READER

    async def publish(self, documents: Mapping[str, str]) -> None:
        """Write documents whole, so that nobody reads a part."""
        self._note("publish", sorted(documents))
        for key, text in documents.items():
            path = self.documents / key.replace("/", ".")
            aside = path.with_name(f".{path.name}")
            aside.write_text(text, encoding="utf-8")
            aside.replace(path)

    async def launch(self, group: MemberGroup, names: Sequence[str], offer: Offer) -> LaunchResult:
        """Start what the service has room for."""
        self._note("launch", (group.name, tuple(names), offer.name))
        assert len(names) <= self.batch
        if group.name in self.refuse:
            return LaunchResult(failed=dict.fromkeys(names, self.refuse[group.name]))
        if not self._allowed():
            failure = LaunchFailure(kind="throttled", message="too many requests")
            return LaunchResult(failed=dict.fromkeys(names, failure))
        launched: dict[str, str] = {}
        failed: dict[str, LaunchFailure] = {}
        used = Counter(m.offer.name for m in self.present.values() if m.group.role == "worker")
        for name in names:
            room = self.capacity.get(offer.name) if group.role == "worker" else None
            if room is not None and used[offer.name] >= room:
                text = f"there are no more than {room} as {offer.name}"
                failed[name] = LaunchFailure(kind="no-capacity", message=text)
                continue
            used[offer.name] += 1
            ready = time.monotonic() + self.delay
            self.present[name] = LoopbackMember(name, group, offer, ready)
            launched[name] = f"{self.fleet.run}/{name}"
        await self._start_ready()
        return LaunchResult(launched=launched, failed=failed)

    async def poll(self) -> Sequence[Member]:
        """Show all members, those that have stopped once."""
        self._note("poll")
        await self._start_ready()
        seen = await self.look()
        shown = [self._show(member, seen) for member in self.present.values()]
        for each in shown:
            if each.state == "stopped":
                del self.present[each.name]
        return shown

    async def route(self, name: str, port: int) -> tuple[str, int]:
        """All is on this machine."""
        return "127.0.0.1", port

    async def stop(self, names: Sequence[str]) -> None:
        """Tell members to end."""
        self._note("stop", tuple(names))
        for name in names:
            member = self.present.get(name)
            if member is not None and not member.started:
                del self.present[name]
            elif member is not None:
                await self.end_member(name)

    async def logs(self, name: str, lines: int = 20) -> Sequence[str]:
        """Return the end of a member's log."""
        path = self.folder / f"{name}.log"
        if not path.exists():
            return ()
        return path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]

    async def close(self) -> Sequence[Resource]:
        """End all members, look again, and remove the documents."""
        self._note("close")
        for name, member in list(self.present.items()):
            if member.started:
                await self.end_member(name)
            else:
                del self.present[name]
        seen: Mapping[str, tuple[State, int | None]] = {}
        for _ in range(300):
            seen = await self.look()
            if all(state == "stopped" for state, _ in seen.values()):
                break
            await asyncio.sleep(0.1)
        shutil.rmtree(self.documents, ignore_errors=True)
        if hasattr(self, "fleet"):
            await self.fleet.ledger.gone(self._documents().kind, [str(self.documents)])
        left = [name for name, (state, _) in seen.items() if state != "stopped"]
        return [Resource(kind=self.kind, id=name, run=self.fleet.run) for name in left]

    # -- what tests do to it -----------------------------------------------------------------------------

    def interrupt(self, name: str, reason: str = "the service needs it back") -> None:
        """Show a member as about to be taken away."""
        self.present[name].interrupted = True
        self.present[name].reason = reason

    def count(self, call: str) -> int:
        """Return how often a call was made."""
        return sum(name == call for _, name, _ in self.calls)

    # -- inside ------------------------------------------------------------------------------------------

    def _documents(self) -> Resource:
        return Resource(kind="loopback:folder", id=str(self.documents), run=self.fleet.run)

    def _show(self, member: LoopbackMember, seen: Mapping[str, tuple[State, int | None]]) -> Member:
        state, code = seen.get(member.name, ("pending", None))
        return Member(
            name=member.name,
            state=state,
            id=f"{self.fleet.run}/{member.name}",
            address="127.0.0.1",
            reason=member.reason,
            exit_code=code,
            interrupted=member.interrupted,
            capacity=member.offer.capacity,
            hourly=member.offer.hourly,
        )

    async def _start_ready(self) -> None:
        now = time.monotonic()
        for member in list(self.present.values()):
            if not member.started and member.ready <= now:
                member.started = True
                await self.start_member(member)

    def _allowed(self) -> bool:
        if self._limit is None:
            return True
        now = time.monotonic()
        gained = (now - self._filled) * self._limit.per_second
        self._tokens, self._filled = min(self._limit.burst, self._tokens + gained), now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def _note(self, call: str, about: Any = None) -> None:
        if self._on_call is not None:
            self._on_call(call)
        self.calls.append((time.monotonic(), call, about))


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        port: int = place.getsockname()[1]
        return port
