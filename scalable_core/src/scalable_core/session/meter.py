"""What a run has paid so far: launch prices times the seconds for which workers are there. Pure arithmetic."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import define

from scalable_core.types import CostRow, HourlyRates, PaidWorker, ServiceProfile

#: What is paid for together: a group's workers that were launched at one price.
_Lot = tuple[str, float]


@define
class _Launch:
    component: str
    price: float
    since: float


class Meter:
    """Adds up what a run pays, and writes it down as rows whose amounts sum up to it.

    Each launch is billed for at least the service's minimum, in its steps.

    Args:
        rates: The prices of the run.
        profile: The service's minimum and steps.
        started: Epoch seconds from which the run itself is paid for; None when it is not yet.
    """

    def __init__(self, rates: HourlyRates, profile: ServiceProfile, started: float | None) -> None:
        self.rates = rates
        self.spent = 0.0
        self._profile = profile
        self._started = started
        self._open: dict[str, _Launch] = {}
        self._told: tuple[PaidWorker, ...] | None = None
        self._ended: dict[_Lot, float] = defaultdict(float)
        self._counted: dict[_Lot | None, float] = defaultdict(float)

    @property
    def workers(self) -> Mapping[str, int]:
        """Group to the workers that are paid for now."""
        counts: dict[str, int] = defaultdict(int)
        if self._told is None:
            for launch in self._open.values():
                counts[launch.component] += 1
        else:
            for worker in self._told:
                counts[worker.component] += worker.until is None
        return counts

    @property
    def hourly(self) -> float:
        """USD that an hour costs with the workers that are there now, without the run itself."""
        if self._told is None:
            return sum(launch.price for launch in self._open.values())
        return sum(self._price(w) for w in self._told if w.until is None)

    def hear(self, rows: Iterable[Mapping[str, Any]]) -> bool:
        """Take rows of ``workers.jsonl`` that have come; return whether there are any."""
        heard = False
        for row in rows:
            heard = True
            known = self._open.pop(row["name"], None)
            if known is not None:
                self._end(known.component, known.price, row["time"] - known.since)
            if row["event"] == "added":
                component = row.get("component") or ""
                price = self._rate(component)
                self._open[row["name"]] = _Launch(component, price, row["time"])
        return heard

    def told(self, workers: Iterable[PaidWorker]) -> None:
        """Take what the cluster itself says of its launches; from then on nothing else counts."""
        self._told = tuple(workers)

    def begin(self, started: float | None) -> None:
        """Take from when the run itself is paid for."""
        self._started = started

    def leave(self, moment: float) -> tuple[str, ...]:
        """Note that all workers are gone; return the names of those that were still there."""
        names = tuple(self._open)
        self.hear({"name": name, "event": "removed", "time": moment} for name in names)
        return names

    def total(self, moment: float) -> float:
        """Return USD up to a moment, what has not been counted yet included."""
        seconds = self._seconds(moment)
        new = sum((seconds[lot] - self._counted[lot]) * lot[1] for lot in seconds)
        if self.rates.shared:
            new += (self._shared_seconds(moment) - self._counted[None]) * self.rates.shared
        return self.spent + new / 3600

    def count(self, moment: float, *, last: bool = False) -> list[CostRow]:
        """Return rows for what has been paid since the last count.

        Args:
            moment: Epoch seconds up to which it is counted.
            last: The run is over: what is paid once is counted too.
        """
        seconds = self._seconds(moment)
        rows = [
            self._row(moment, "workers", seconds[lot], lot[1], lot, component=lot[0] or None)
            for lot in sorted(seconds)
        ]
        if self.rates.shared:
            past = self._shared_seconds(moment)
            rows.append(self._row(moment, "shared", past, self.rates.shared, None))
        if last and self.rates.once:
            self.spent += self.rates.once
            rows.append(CostRow(time=moment, item="once", amount=self.rates.once, spent=self.spent))
        return [row for row in rows if row is not None]

    def _seconds(self, moment: float) -> dict[_Lot, float]:
        """Paid seconds of each lot up to a moment."""
        seconds: dict[_Lot, float] = defaultdict(float)
        if self._told is not None:
            for worker in self._told:
                until = moment if worker.until is None else min(worker.until, moment)
                lot = worker.component, self._price(worker)
                seconds[lot] += self._billed(until - worker.since)
            return seconds
        seconds.update(self._ended)
        for launch in self._open.values():
            lot = launch.component, launch.price
            seconds[lot] = seconds.get(lot, 0.0) + self._billed(moment - launch.since)
        return seconds

    def _shared_seconds(self, moment: float) -> float:
        return 0.0 if self._started is None else self._billed(moment - self._started)

    def _row(
        self, moment: float, item: Any, seconds: float, price: float, lot: _Lot | None, **more: Any
    ) -> CostRow | None:
        new = seconds - self._counted[lot]
        if not new:
            return None
        self._counted[lot] = seconds
        amount = new * price / 3600
        self.spent += amount
        return CostRow(
            time=moment,
            item=item,
            seconds=new,
            price=price,
            amount=amount,
            spent=self.spent,
            **more,
        )

    def _end(self, component: str, price: float, seconds: float) -> None:
        self._ended[component, price] += self._billed(seconds)

    def _billed(self, seconds: float) -> float:
        step = self._profile.billed_step
        if step:
            # A whole number of steps is not one more because of the last bit of a float.
            seconds = math.ceil(round(seconds / step, 9)) * step
        return max(seconds, self._profile.billed_minimum, 0.0)

    def _price(self, worker: PaidWorker) -> float:
        return self._rate(worker.component) if worker.price is None else worker.price

    def _rate(self, component: str) -> float:
        """A worker of no known group is taken to be of the dearest."""
        rates = self.rates.workers
        return rates.get(component, max(rates.values(), default=0.0))
