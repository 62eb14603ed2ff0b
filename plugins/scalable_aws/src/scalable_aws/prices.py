"""The list prices of AWS: those that `scripts/build_prices.py` put into this dist, or fetched ones."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from attrs import evolve

from scalable_core.hookspecs import hookimpl
from scalable_core.types import HookContext
from scalable_core.types.prices import MachineType, Price, PriceBook, PriceSnapshot
from scalable_core.types.snapshot import price_folder, read_snapshot

DATA = Path(__file__).parent / "data"

#: Families that no worker is put on unasked: CPU credits, machines for other things, GPUs without CUDA.
_UNUSUAL = ("t1", "t2", "t3", "t4", "mac", "inf", "trn", "dl", "vt", "f1", "f2", "u-", "g4ad")

#: Families that have a price in a region, and are not offered there.
_NOT_OFFERED = {"us-west-1": ("p5.",)}

#: Families that pay for CPU time above their share, and how their rate compares with that of T3.
_BURSTING = {"t3": 1.0, "t3a": 1.0, "t4g": 0.8}


def price_book(region: str) -> PriceBook:
    """Return the prices of a region; a region that is not known has the global ones alone."""
    return _book(price_folder("aws", DATA), region)


@hookimpl
def price_snapshot(refresh: bool, context: HookContext) -> PriceSnapshot:
    """Return which prices estimates are made with; with `refresh`, today's are fetched before."""
    notes: tuple[str, ...] = ()
    if refresh:
        from scalable_aws.refresh import refresh_prices

        notes = refresh_prices(context)
    return read_snapshot("aws", DATA, notes=notes)


@lru_cache(maxsize=64)
def _book(folder: Path, region: str) -> PriceBook:
    return PriceBook(folder, region)


def fargate_price(book: PriceBook, unit: str, *, arm: bool, spot: bool) -> Price | None:
    """Return the price of ``vcpu_hour`` or ``gb_hour``; ARM has its own, which follows no rule.

    Spot is the on-demand price at a dated ratio, with the band of that ratio over all regions.
    """
    item = f"linux_{'arm' if arm else 'x86'}_{unit}"
    price = book.find("fargate", item)
    if not spot or price is None:
        return price
    ratio = book.find("fargate", f"{item}_spot")
    return None if ratio is None else price.at(ratio)


def machine_price(book: PriceBook, machine: MachineType, *, spot: bool) -> Price | None:
    """Return the price of an EC2 type by the hour; Spot at the dated ratio of its family in the region."""
    if not spot or machine.price is None:
        return machine.price
    ratio = book.find("ec2_spot", machine.name.partition(".")[0])
    return None if ratio is None else machine.price.at(ratio)


def cheapest(
    book: PriceBook, machines: Iterable[MachineType], *, spot: bool
) -> tuple[MachineType | None, Price | None]:
    """Return the type that costs least, and its price.

    Spot prices move, and the fleet takes what is cheapest on the day: each end of the band is the least over
    all types. So a larger worker never has a lower one.
    """
    machines = list(machines)
    known = {machine.name: machine_price(book, machine, spot=spot) for machine in machines}
    priced = [(price.usd, name, price) for name, price in known.items() if price is not None]
    if not priced:
        return None, None
    _, name, price = min(priced, key=lambda each: each[:2])
    low, high = (min(getattr(each, end) for *_, each in priced) for end in ("low", "high"))
    (machine,) = (machine for machine in machines if machine.name == name)
    return machine, evolve(price, low=low, high=high)


def credit_price(book: PriceBook, machine: MachineType) -> Price | None:
    """Return what a vCPU-hour above a bursting type's share costs; None when that is unknown."""
    price = book.find("ec2", "t3_t4g_unlimited_surplus_credit")
    factor = _BURSTING[machine.name.partition(".")[0]]
    return None if price is None else price.times(factor)


def is_bursting(machine: MachineType) -> bool:
    """Say whether a type pays for CPU time above its share, as T3 does unless it is told not to."""
    return machine.name.partition(".")[0] in _BURSTING


def usual_machines(book: PriceBook) -> tuple[MachineType, ...]:
    """Return the types that a worker may be put on when none is asked for."""
    return tuple(
        machine
        for machine in book.machines()
        if not machine.name.startswith((*_UNUSUAL, *_NOT_OFFERED.get(book.region, ())))
        and ".metal" not in machine.name
    )
