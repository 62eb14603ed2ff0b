"""The SKUs of the Cloud Billing Catalog, turned into rows of our own price files.

A SKU says what it is in a sentence for people, so sentences are matched whole: "Custom", "Sole Tenancy",
"Commitment" and "Regional" in front make it another thing.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from attrs import frozen

from scalable_core.types.prices import MachineType
from scalable_core.types.refresh import Key, Row, price_row

Sku = Mapping[str, Any]


class CatalogError(Exception):
    """An answer that cannot be right, in one sentence."""


@frozen(kw_only=True)
class Wanted:
    """A price that an estimate uses: the SKU's own words, and its name in our files.

    Attributes:
        words: The whole description.
        service, item, unit: Its name in our files.
        spot: It is Spot.
        everywhere: It is the same in all regions.
        single: Only of a place that is one region.
    """

    words: re.Pattern[str]
    service: str
    item: str
    unit: str
    spot: bool = False
    everywhere: bool = False
    single: bool = False


def _wanted(words: str, service: str, item: str, unit: str, **flags: bool) -> Wanted:
    return Wanted(words=re.compile(words), service=service, item=item, unit=unit, **flags)


@frozen(kw_only=True)
class Catalog:
    """One service of the catalog, and what is wanted of it."""

    id: str
    name: str
    wanted: tuple[Wanted, ...]

    def keys(self, *, everywhere: bool) -> frozenset[Key]:
        """Return service and item of what has a price of each region, or of what is the same everywhere."""
        wanted = [each for each in self.wanted if each.everywhere == everywhere]
        return frozenset((each.service, each.item) for each in wanted)


COMPUTE = Catalog(
    id="6F81-5844-456A",
    name="Compute Engine",
    wanted=(
        _wanted(r"Balanced PD Capacity( in .*)?", "disk", "pd_balanced", "gib_month"),
        _wanted(
            r"External IP Charge on a Standard VM( in .*)?",
            "network", "external_ipv4_in_use", "hour",
        ),
    ),
)  # fmt: skip
CATALOGS = (
    COMPUTE,
    Catalog(
        id="152E-C115-5142",
        name="Cloud Run",
        wanted=(
            _wanted(r"Worker Pools CPU in .*", "run", "pool_vcpu_second", "vcpu_second"),
            _wanted(r"Worker Pools Memory in .*", "run", "pool_gib_second", "gib_second"),
        ),
    ),
    Catalog(
        id="CCD8-9BF1-090E",
        name="Kubernetes Engine",
        wanted=(
            _wanted(r"Autopilot Pod mCPU Requests \(.*\)", "gke", "pod_vcpu_hour", "vcpu_hour"),
            _wanted(r"Autopilot Pod Memory Requests \(.*\)", "gke", "pod_gib_hour", "gib_hour"),
            _wanted(
                r"Autopilot Pod Ephemeral Storage Requests \(.*\)",
                "gke", "pod_ephemeral_gib_hour", "ephemeral_gib_hour",
            ),
            _wanted(
                r"Autopilot Spot Pod mCPU Requests \(.*\)",
                "gke", "pod_vcpu_hour_spot", "vcpu_hour_spot", spot=True,
            ),
            _wanted(
                r"Autopilot Spot Pod Memory Requests \(.*\)",
                "gke", "pod_gib_hour_spot", "gib_hour_spot", spot=True,
            ),
            _wanted(r"Zonal Kubernetes Clusters", "gke", "cluster", "hour", everywhere=True),
        ),
    ),
    Catalog(
        id="95FF-2EF5-5EA1",
        name="Cloud Storage",
        wanted=(
            _wanted(r"Standard Storage [A-Z].*", "gcs", "storage_standard", "gib_month", single=True),
            _wanted(
                r"Regional Standard Class A Operations",
                "gcs", "class_a_standard", "10000_ops", everywhere=True,
            ),
        ),
    ),
)  # fmt: skip

#: The families whose machines cost what their cores and their memory cost, by the words of their SKUs.
_FAMILIES = {
    "E2": "e2",
    "N1 Predefined": "n1",
    "N2": "n2",
    "N2D AMD": "n2d",
    "N4": "n4",
    "C3": "c3",
    "C3D": "c3d",
    "C4": "c4",
}
_PART = re.compile(r"(Spot Preemptible )?(.*?) Instance (Core|Ram) running in .*")

#: Region, to (family, "Core" or "Ram", Spot), to USD an hour.
Parts = Mapping[str, Mapping[tuple[str, str, bool], float]]


def catalog_rows(
    catalog: Catalog, skus: Iterable[Sku], regions: Sequence[str], *, as_of: str, source: str
) -> dict[str, list[Row]]:
    """Return the wanted prices of a service by region; what is the same everywhere is ``global``.

    Args:
        catalog: The service.
        skus: All of its SKUs.
        regions: Those that a SKU stands for whose region is ``global``.
        as_of: ISO date.
        source: Id of the source.

    Raises:
        CatalogError: A price is there twice and differs, or is in another currency.
    """
    found: dict[tuple[str, Wanted], float] = {}
    for sku in skus:
        for wanted in catalog.wanted:
            if not wanted.words.fullmatch(sku["description"]) or _is_spot(sku) != wanted.spot:
                continue
            places = ["global"] if wanted.everywhere else sku["serviceRegions"]
            if wanted.single and (len(places) > 1 or "-" not in places[0]):
                continue  # a dual region or a multi-region has another price
            if not wanted.everywhere and "global" in places:
                places = regions
            for region in places:
                usd = unit_price(sku)
                if usd != found.setdefault((region, wanted), usd):
                    raise CatalogError(f"{sku['description']} has two prices in {region}")
    rows: dict[str, list[Row]] = defaultdict(list)
    for (region, wanted), usd in found.items():
        row = price_row(wanted.service, wanted.item, wanted.unit, usd, as_of=as_of, source=source)
        rows[region].append(row)
    return rows


def machine_parts(skus: Iterable[Sku]) -> Parts:
    """Return what a core and a GiB of each family cost in each region.

    Raises:
        CatalogError: A price is there twice and differs, or is in another currency.
    """
    parts: dict[str, dict[tuple[str, str, bool], float]] = defaultdict(dict)
    for sku in skus:
        match = _PART.fullmatch(sku["description"])
        if match is None or match[2] not in _FAMILIES or _is_spot(sku) != bool(match[1]):
            continue
        key, usd = (_FAMILIES[match[2]], match[3], bool(match[1])), unit_price(sku)
        for region in sku["serviceRegions"]:
            if usd != parts[region].setdefault(key, usd):
                raise CatalogError(f"{sku['description']} has two prices in {region}")
    return parts


def machine_rows(
    old: Iterable[MachineType], parts: Mapping[tuple[str, str, bool], float], *, as_of: str
) -> Iterator[Row]:
    """Yield the machine types of a region, those whose parts are known at today's price.

    Types with accelerators or disks of their own have more parts; they keep the price and the date they had.
    """
    for machine in old:
        family = machine.name.partition("-")[0]
        row = {
            "type": machine.name,
            "vcpu": f"{machine.vcpu:g}",
            "gib": f"{machine.gib:g}",
            "arch": "arm64" if machine.arch == "arm64" else "",
            "accelerator": machine.accelerator,
            "count": str(machine.accelerators or ""),
        }
        plain = not machine.accelerator and "lssd" not in machine.name
        prices = {"usd": machine.price, "spot": machine.spot}
        for column, old_price in prices.items():
            core, ram = (parts.get((family, part, column == "spot")) for part in ("Core", "Ram"))
            if plain and core is not None and ram is not None:
                row[column] = f"{machine.vcpu * core + machine.gib * ram:.9g}"
                row["as_of"] = as_of
            elif old_price is not None:
                row[column] = f"{old_price.usd:.9g}"
                row.setdefault("as_of", old_price.as_of or "")
        yield row


def lost_families(
    old: Iterable[MachineType], parts: Mapping[tuple[str, str, bool], float]
) -> set[str]:
    """Return the families of a region that cost what their parts cost, and whose parts have no price."""
    had = {machine.name.partition("-")[0] for machine in old} & set(_FAMILIES.values())
    return {f for f in had if not {(f, "Core", False), (f, "Ram", False)} <= parts.keys()}


def unit_price(sku: Sku) -> float:
    """Return USD for one unit as people count it: an hour of a vCPU where the SKU counts thousandths.

    Bands come first that are free for each account; the price is that of the first that is not.

    Raises:
        CatalogError: It is in another currency, or there is none.
    """
    try:
        latest = max(sku["pricingInfo"], key=lambda info: str(info.get("effectiveTime", "")))
        expression = latest["pricingExpression"]
        rates = sorted(expression["tieredRates"], key=lambda rate: rate.get("startUsageAmount", 0))
        prices = [rate["unitPrice"] for rate in rates]
        if any(price.get("currencyCode", "USD") != "USD" for price in prices):
            raise CatalogError(f"{sku['description']} is not in USD")
        amounts = [int(price.get("units") or 0) + price.get("nanos", 0) / 1e9 for price in prices]
        amount = next((amount for amount in amounts if amount > 0), amounts[0])
        return float(amount * expression.get("displayQuantity", 1))
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise CatalogError(f"{sku.get('description', 'a SKU')} has no price ({error!r})") from error


def _is_spot(sku: Sku) -> bool | None:
    """Return whether a SKU is Spot; None for what is bought for a year or three."""
    kinds = {"OnDemand": False, "Preemptible": True}
    return kinds.get(sku["category"]["usageType"])
