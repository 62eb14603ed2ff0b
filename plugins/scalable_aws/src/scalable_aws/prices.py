"""The list prices of AWS that this dist carries; `scripts/build_prices.py` writes them."""

from __future__ import annotations

from pathlib import Path

from scalable_core.types.prices import MachineType, Price, PriceBook

DATA = Path(__file__).parent / "data"

#: Families that no worker is put on unasked: CPU credits, and machines for other things.
_UNUSUAL = ("t1", "t2", "t3", "t4", "mac", "inf", "trn", "dl", "vt", "f1", "f2", "u-")


def price_book(region: str) -> PriceBook:
    """Return the prices of a region; a region that is not known has the global ones alone."""
    return PriceBook(DATA, region)


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


def usual_machines(book: PriceBook) -> tuple[MachineType, ...]:
    """Return the types that a worker may be put on when none is asked for."""
    return tuple(
        machine
        for machine in book.machines()
        if not machine.name.startswith(_UNUSUAL) and ".metal" not in machine.name
    )
