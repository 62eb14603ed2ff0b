"""List prices as a provider's dist carries them: one small CSV file for each region, read when it is asked for.

`regions/<region>.csv` has one price a row, `regions/global.csv` what is the same everywhere, and
`machines/<region>.csv` the machine types, their date and source in the first line.
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Iterable, Sequence
from pathlib import Path

from attrs import evolve, frozen

#: Columns of `regions/<region>.csv`. `low` and `high` are the band of a price that moves.
PRICE_COLUMNS = ("service,item,unit,from,to,usd,low,high,as_of,source").split(",")
#: Columns of `machines/<region>.csv`, after its first line.
MACHINE_COLUMNS = ("type,vcpu,gib,arch,accelerator,count,usd,spot").split(",")


@frozen(kw_only=True)
class Price:
    """What one unit costs.

    Attributes:
        usd: USD for one unit; for a ratio, a share of another price.
        low: The least that it is known to be; the same as `usd` for a list price.
        high: The most.
        as_of: ISO date, at least the year; None when the source has none.
        source: Where it comes from.
    """

    usd: float
    low: float
    high: float
    as_of: str | None = None
    source: str = ""

    def times(self, factor: float) -> Price:
        """Return the price of another unit."""
        return evolve(self, usd=self.usd * factor, low=self.low * factor, high=self.high * factor)

    def at(self, ratio: Price) -> Price:
        """Return the price at a share of it, as old as the older of the two."""
        dates = [date for date in (self.as_of, ratio.as_of) if date]
        return Price(
            usd=self.usd * ratio.usd,
            low=self.usd * ratio.low,
            high=self.usd * ratio.high,
            as_of=min(dates, default=None),
            source=f"{self.source} x {ratio.source}",
        )


@frozen(kw_only=True)
class Tier:
    """The price of a unit from a quantity on; `start` and `end` are in units, `end` None for no end."""

    start: float
    end: float | None
    price: Price


@frozen(kw_only=True)
class MachineType:
    """A machine to rent, with its price by the hour.

    Attributes:
        name: Such as ``m5.xlarge``.
        vcpu: Virtual CPUs.
        gib: GiB of memory.
        arch: ``x86_64`` or ``arm64``.
        accelerator: Kind of accelerator; empty for none.
        accelerators: How many of them.
        price: On demand; None when unknown.
        spot: As Spot; None when unknown or when it is kept as a ratio.
    """

    name: str
    vcpu: float
    gib: float
    arch: str
    accelerator: str
    accelerators: int
    price: Price | None
    spot: Price | None


@frozen(kw_only=True)
class PriceSnapshot:
    """The prices that a provider's estimates are made with.

    Attributes:
        provider: The plugin that has them.
        id: Changes with any price; a run keeps it beside its estimate.
        as_of: ISO date of the newest price.
        oldest: ISO date of the oldest price.
        rows: How many prices.
        regions: The regions that have prices.
        origin: ``bundled`` with the dist, or ``refreshed``.
        sources: Where they come from.
        notes: Sentences for the user, such as why a refresh kept the old ones.
    """

    provider: str
    id: str
    as_of: str | None = None
    oldest: str | None = None
    rows: int
    regions: tuple[str, ...] = ()
    origin: str
    sources: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class PriceBook:
    """The prices of one region."""

    def __init__(self, folder: Path, region: str) -> None:
        self.folder = folder
        self.region = region
        self._machines: tuple[MachineType, ...] | None = None
        self._rows: dict[tuple[str, str], list[dict[str, str]]] = {}
        for name in ("global", region):  # a region's own price replaces the global one
            own: dict[tuple[str, str], list[dict[str, str]]] = {}
            for row in _rows(folder / "regions" / f"{name}.csv"):
                own.setdefault((row["service"], row["item"]), []).append(row)
            self._rows.update(own)

    def find(self, service: str, item: str) -> Price | None:
        """Return a price; None when there is none."""
        for row in self._rows.get((service, item), ()):
            if row["usd"]:
                return _price(row)
        return None

    def has(self, service: str, item: str) -> bool:
        """Say whether the region has a row, with a price or without."""
        return (service, item) in self._rows

    def tiers(self, service: str, item: str) -> tuple[Tier, ...]:
        """Return the prices by quantity, the first tier first; empty when there are none."""
        tiers = [
            Tier(
                start=float(row["from"] or 0),
                end=float(row["to"]) if row["to"] else None,
                price=_price(row),
            )
            for row in self._rows.get((service, item), ())
            if row["usd"]
        ]
        return tuple(sorted(tiers, key=lambda tier: tier.start))

    def machines(self) -> tuple[MachineType, ...]:
        """Return the machine types of the region; empty when they are not known."""
        if self._machines is None:
            self._machines = self._read_machines()
        return self._machines

    def _read_machines(self) -> tuple[MachineType, ...]:
        path = self.folder / "machines" / f"{self.region}.csv"
        return _read_machines(path, path.stat().st_mtime_ns) if path.is_file() else ()


def tiered(tiers: Sequence[Tier], quantity: float) -> float:
    """Return USD for a quantity, each part of it at the price of its tier."""
    return sum(
        max(0.0, min(quantity, quantity if tier.end is None else tier.end) - tier.start)
        * tier.price.usd
        for tier in tiers
    )


def fitting_machines(
    machines: Iterable[MachineType], *, vcpu: float, gib: float, gpus: int = 0, arch: str = "x86_64"
) -> list[MachineType]:
    """Return the types with a price that hold a worker; without GPUs it gets no machine with an accelerator."""
    return [
        machine
        for machine in machines
        if machine.price is not None
        and machine.vcpu >= vcpu
        and machine.gib >= gib
        and machine.arch == arch
        and (machine.accelerators >= gpus if gpus else not machine.accelerator)
    ]


def cheapest_machine(
    machines: Iterable[MachineType], *, vcpu: float, gib: float, gpus: int = 0, arch: str = "x86_64"
) -> MachineType | None:
    """Return the cheapest type on demand that holds a worker; None when nothing does."""
    fitting = fitting_machines(machines, vcpu=vcpu, gib=gib, gpus=gpus, arch=arch)
    return min(fitting, key=_usd, default=None)


def _usd(machine: MachineType) -> tuple[float, str]:
    return (machine.price.usd if machine.price else 0.0, machine.name)


def _rows(path: Path) -> Sequence[dict[str, str]]:
    return _read_rows(path, path.stat().st_mtime_ns) if path.is_file() else ()


# Many variants of one plan are priced from the same files; a refresh changes when they were written.
@functools.lru_cache(maxsize=128)
def _read_rows(path: Path, written: int) -> Sequence[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@functools.lru_cache(maxsize=64)
def _read_machines(path: Path, written: int) -> tuple[MachineType, ...]:
    with path.open(newline="", encoding="utf-8") as file:
        as_of, source = next(csv.reader(file))
        return tuple(_machine(row, as_of, source) for row in csv.DictReader(file))


def _price(row: dict[str, str]) -> Price:
    usd = float(row["usd"])
    low, high = float(row["low"] or usd), float(row["high"] or usd)
    return Price(usd=usd, low=low, high=high, as_of=row["as_of"] or None, source=row["source"])


def _machine(row: dict[str, str], as_of: str, source: str) -> MachineType:
    def price(text: str) -> Price | None:
        if not text:
            return None
        usd = float(text)
        date = row.get("as_of") or as_of  # a row may be older than its file
        return Price(usd=usd, low=usd, high=usd, as_of=date, source=source)

    return MachineType(
        name=row["type"],
        vcpu=float(row["vcpu"]),
        gib=float(row["gib"]),
        arch=row["arch"] or "x86_64",
        accelerator=row["accelerator"],
        accelerators=int(float(row["count"] or 0)),
        price=price(row["usd"]),
        spot=price(row["spot"]),
    )
