"""The list prices of Google Cloud: those that `scripts/build_prices.py` put into this dist, or fetched ones."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from scalable_core.hookspecs import hookimpl
from scalable_core.types import HookContext
from scalable_core.types.prices import MachineType, Price, PriceBook, PriceSnapshot
from scalable_core.types.snapshot import price_folder, read_snapshot

DATA = Path(__file__).parent / "data"

#: What a family costs less when its machines run for a whole month, without asking; all others have no such.
_SUSTAINED = {"n1": 0.3, "f1": 0.3, "g1": 0.3, "m1": 0.3, "n2": 0.2, "n2d": 0.2, "c2": 0.2}


def price_book(region: str) -> PriceBook:
    """Return the prices of a region; a region that is not known has the global ones alone."""
    return _book(price_folder("gcp", DATA), region)


@hookimpl
def price_snapshot(refresh: bool, context: HookContext) -> PriceSnapshot:
    """Return which prices estimates are made with; with `refresh`, today's are fetched before."""
    notes: tuple[str, ...] = ()
    if refresh:
        from scalable_gcp.refresh import refresh_prices

        notes = refresh_prices(context)
    return read_snapshot("gcp", DATA, notes=notes)


@lru_cache(maxsize=64)
def _book(folder: Path, region: str) -> PriceBook:
    return PriceBook(folder, region)


def worker_pool_price(book: PriceBook, unit: str) -> Price | None:
    """Return the price of ``vcpu`` or ``gib`` by the hour in a worker pool, which is instance-based.

    A region without a price of its own has that of its tier; one whose tier is not known is in Tier 2.
    """
    tier = "tier1" if book.has("run", "tier1") else "tier2"
    price = book.find("run", f"pool_{unit}_second") or book.find(
        "run", f"{tier}_pool_{unit}_second"
    )
    return None if price is None else price.times(3600)


def job_price(book: PriceBook, unit: str) -> Price | None:
    """Return the price of ``vcpu`` or ``gib`` by the hour in a job, which is that of the region's tier."""
    tier = "tier1" if book.has("run", "tier1") else "tier2"
    price = book.find("run", f"{tier}_instance_{unit}_second")
    return None if price is None else price.times(3600)


def free_hours(book: PriceBook, unit: str, of: str = "worker_pool") -> float:
    """Return how many hours of ``vcpu`` or ``gib`` an account has free in a month, of pools or of jobs."""
    free = book.find("run", f"free_{of}_{unit}_second")
    return 0.0 if free is None else free.usd / 3600


def pod_price(book: PriceBook, unit: str, *, spot: bool) -> Price | None:
    """Return the price of ``vcpu``, ``gib`` or ``ephemeral_gib`` by the hour in an Autopilot pod."""
    has_spot = spot and unit != "ephemeral_gib"
    return book.find("gke", f"pod_{unit}_hour{'_spot' if has_spot else ''}")


def sustained_use(machine: MachineType, share: float) -> float:
    """Return what is left of the price of a machine that runs for a share of a month, between 0 and 1.

    Each quarter of the month is cheaper than the one before: for N1 the last costs 40% and all together 70%.
    """
    discount = _SUSTAINED.get(machine.name.partition("-")[0], 0.0)
    if not share:
        return 1.0
    step = discount / 1.5  # the quarters cost 1, 1 - step, 1 - 2 step and 1 - 3 step
    parts = [min(max(share - quarter / 4, 0.0), 0.25) for quarter in range(4)]
    return sum(part * (1 - step * quarter) for quarter, part in enumerate(parts)) / share
