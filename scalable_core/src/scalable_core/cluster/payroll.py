"""What the members of a fleet are paid for: from when, until when, and at which price. Pure bookkeeping."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import evolve

from scalable_core.types import PaidWorker


class Payroll:
    """All launches of a run, each from the call that asked for it until the service no longer shows it.

    Names are given once and never again, so each launch has its own.
    """

    def __init__(self) -> None:
        self._launches: dict[str, PaidWorker] = {}

    def begin(self, names: Iterable[str], group: str, hourly: float | None, now: float) -> None:
        """Note that members are about to be asked for.

        Args:
            names: Of the members.
            group: Theirs.
            hourly: USD an hour of each, as it is bought; None when unknown.
            now: Epoch seconds.
        """
        for name in names:
            self._launches[name] = PaidWorker(name=name, component=group, since=now, price=hourly)

    def reprice(self, name: str, hourly: float | None) -> None:
        """Take the price that the service itself shows of a member, if it shows one."""
        launch = self._launches.get(name)
        if launch is not None and hourly is not None and launch.price != hourly:
            self._launches[name] = evolve(launch, price=hourly)

    def end(self, names: Iterable[str], now: float) -> None:
        """Note that members are gone."""
        for name in names:
            launch = self._launches.get(name)
            if launch is not None and launch.until is None:
                self._launches[name] = evolve(launch, until=now)

    def drop(self, names: Iterable[str]) -> None:
        """Forget members that there never were."""
        for name in names:
            self._launches.pop(name, None)

    def end_all(self, now: float) -> None:
        """Note that nobody is there any more."""
        self.end(list(self._launches), now)

    def of(self, *, but: str) -> list[PaidWorker]:
        """Return all launches so far but those of one group. Safe to call from any thread."""
        return [each for each in list(self._launches.values()) if each.component != but]

    def since(self, group: str) -> float | None:
        """Return from when a group's first member is paid for; None as long as it has had none."""
        moments = [each.since for each in list(self._launches.values()) if each.component == group]
        return min(moments, default=None)
