"""The list prices of Google Cloud that this dist carries; `scripts/build_prices.py` writes them."""

from __future__ import annotations

from pathlib import Path

from scalable_core.types.prices import Price, PriceBook

DATA = Path(__file__).parent / "data"


def price_book(region: str) -> PriceBook:
    """Return the prices of a region; a region that is not known has the global ones alone."""
    return PriceBook(DATA, region)


def worker_pool_price(book: PriceBook, unit: str) -> Price | None:
    """Return the price of ``vcpu`` or ``gib`` by the hour in a worker pool, which is instance-based.

    A region without a price of its own has that of its tier; one whose tier is not known is in Tier 2.
    """
    tier = "tier1" if book.has("run", "tier1") else "tier2"
    price = book.find("run", f"pool_{unit}_second") or book.find(
        "run", f"{tier}_pool_{unit}_second"
    )
    return None if price is None else price.times(3600)


def pod_price(book: PriceBook, unit: str, *, spot: bool) -> Price | None:
    """Return the price of ``vcpu``, ``gib`` or ``ephemeral_gib`` by the hour in an Autopilot pod."""
    has_spot = spot and unit != "ephemeral_gib"
    return book.find("gke", f"pod_{unit}_hour{'_spot' if has_spot else ''}")
