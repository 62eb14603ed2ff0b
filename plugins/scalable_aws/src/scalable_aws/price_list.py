"""The answers of AWS Price List and of the Spot price history, turned into rows of our own price files.

What is asked of the service is asked of its answer again: a filter that it ignored must not let a dedicated
host, a reservation, Windows or a local zone pass for the machine that is meant.
"""

from __future__ import annotations

import json
import math
import re
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from attrs import frozen

from scalable_core.types.prices import MachineType
from scalable_core.types.refresh import Key, Row, price_row

#: The offer term of what is neither reserved nor bought ahead.
_ON_DEMAND = "JRTCKXETXF"

#: What stands before a usage type in most regions, such as ``USE1-`` or ``EU-``.
_PREFIX = re.compile(r"\A[A-Z]{2,4}[0-9]?-")

#: What makes a price of EC2 that of a machine as we rent it.
EC2_FILTERS = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
    "marketoption": "OnDemand",
    "productFamily": "Compute Instance",
}

Answer = Mapping[str, Any]


class PriceListError(Exception):
    """An answer that cannot be right, in one sentence."""


@frozen(kw_only=True)
class Item:
    """A price that an estimate uses: its name in our files, and how many of AWS's units are one of ours."""

    service: str
    item: str
    unit: str
    units: float = 1.0
    tiers: bool = False


@frozen(kw_only=True)
class Family:
    """What one question to Price List brings.

    Attributes:
        code: Service code of AWS.
        filters: Beside that for the region.
        items: What is wanted, by usage type without its region's prefix.
        region: The attribute that says where.
    """

    code: str
    filters: Mapping[str, str]
    items: Mapping[str, Item]
    region: str = "regionCode"

    @property
    def keys(self) -> frozenset[Key]:
        """Service and item of all that is wanted."""
        return frozenset((item.service, item.item) for item in self.items.values())


def _fargate(name: str, item: str, unit: str) -> tuple[str, Item]:
    return f"Fargate-{name}", Item(service="fargate", item=f"linux_{item}", unit=unit)


FAMILIES = (
    Family(
        code="AmazonECS",
        filters={},
        items=dict([
            _fargate("vCPU-Hours:perCPU", "x86_vcpu_hour", "vcpu_hour"),
            _fargate("GB-Hours", "x86_gb_hour", "gb_hour"),
            _fargate("ARM-vCPU-Hours:perCPU", "arm_vcpu_hour", "vcpu_hour"),
            _fargate("ARM-GB-Hours", "arm_gb_hour", "gb_hour"),
            _fargate("EphemeralStorage-GB-Hours", "ephemeral_gb_hour", "ephemeral_gb_hour"),
        ]),
    ),
    Family(
        code="AmazonEKS",
        filters={"operation": "CreateOperation"},
        items={
            "AmazonEKS-Hours:perCluster": Item(
                service="eks", item="cluster_standard_support", unit="hour"
            )
        },
    ),
    Family(
        code="AmazonEC2",
        filters={"productFamily": "Storage", "volumeApiName": "gp3"},
        items={"EBS:VolumeUsage.gp3": Item(service="ebs", item="gp3_storage", unit="gb_month")},
    ),
    Family(
        code="AmazonEC2",
        filters={"productFamily": "NAT Gateway"},
        items={
            "NatGateway-Hours": Item(service="vpc", item="nat_gateway", unit="hour"),
            "NatGateway-Bytes": Item(service="vpc", item="nat_gateway_data", unit="gb"),
        },
    ),
    Family(
        code="AmazonVPC",
        filters={},
        items={"PublicIPv4:InUseAddress": Item(service="vpc", item="public_ipv4", unit="hour")},
    ),
    Family(
        code="AmazonCloudWatch",
        filters={"productFamily": "Data Payload"},
        items={
            "DataProcessing-Bytes": Item(
                service="cloudwatch_logs", item="ingest_standard", unit="gb"
            )
        },
    ),
    Family(
        code="AmazonS3",
        filters={},
        items={
            "TimedStorage-ByteHrs": Item(
                service="s3", item="standard_storage", unit="gb_month", tiers=True
            ),
            "Requests-Tier1": Item(
                service="s3", item="put_copy_post_list", unit="1000_requests", units=1000
            ),
        },
    ),
    Family(
        code="AWSDataTransfer",
        filters={"transferType": "AWS Outbound"},
        items={
            "DataTransfer-Out-Bytes": Item(
                service="data_transfer", item="internet_egress", unit="gb", tiers=True
            )
        },
        region="fromRegionCode",
    ),
)  # fmt: skip


def product_rows(
    family: Family, answer: Iterable[str | Answer], region: str, *, as_of: str, source: str
) -> Iterator[Row]:
    """Yield the wanted prices of one question's answer, all of its pages together.

    Raises:
        PriceListError: A price is there twice and differs, or is in no currency that we know.
    """
    found: dict[str, Sequence[tuple[float, float | None, float]]] = {}
    for product in _products(answer, {family.region: region, **family.filters}):
        usage = _PREFIX.sub("", product["product"]["attributes"].get("usagetype", ""), count=1)
        if usage not in family.items:
            continue
        bands = _bands(product)
        if bands != found.setdefault(usage, bands):
            raise PriceListError(f"{family.code} {usage} has two prices")
    for usage, bands in found.items():
        item = family.items[usage]
        for start, end, usd in bands if item.tiers else bands[:1]:
            tier = {"from": f"{start:g}", "to": "" if end is None else f"{end:g}"}
            yield price_row(
                item.service, item.item, item.unit, usd * item.units,
                as_of=as_of, source=source, **(tier if item.tiers else {}),
            )  # fmt: skip


def machine_rows(
    answer: Iterable[str | Answer], region: str, *, old: Mapping[str, MachineType]
) -> Iterator[Row]:
    """Yield the machine types of a region, one row each.

    Args:
        answer: The answer to the question with `EC2_FILTERS`, all of its pages together.
        region: That was asked for.
        old: What is known of types already: the service says nothing of the kind of accelerator.

    Raises:
        PriceListError: A type has more than one price.
    """
    rows: dict[str, Row] = {}
    for product in _products(answer, {"regionCode": region, **EC2_FILTERS}):
        said = product["product"]["attributes"]
        name, known = said["instanceType"], old.get(said["instanceType"])
        arm = "Graviton" in said.get("physicalProcessor", "")
        count = int(said.get("gpu", 0)) or (known.accelerators if known else 0)
        row = {
            "type": name,
            "vcpu": said["vcpu"],
            "gib": said["memory"].removesuffix("GiB").replace(",", "").strip(),
            "arch": "arm64" if (known.arch == "arm64" if known else arm) else "",
            "accelerator": known.accelerator if known else "gpu" if count else "",
            "count": str(count or ""),
            "usd": f"{_bands(product)[0][2]:.9g}",
        }
        if row != rows.setdefault(name, row):
            raise PriceListError(f"AmazonEC2 {name} has two prices")
    yield from rows.values()


def spot_rows(
    history: Iterable[Answer], on_demand: Mapping[str, float], *, as_of: str, source: str
) -> Iterator[Row]:
    """Yield what Spot costs of each family as a share of on demand, with its band over types and zones.

    Args:
        history: Entries of the price history; the newest of each type and zone counts.
        on_demand: USD an hour by type.
        as_of: ISO date.
        source: Id of the source.
    """
    newest: dict[tuple[str, str], tuple[str, float]] = {}
    for entry in history:
        key = (entry["InstanceType"], entry["AvailabilityZone"])
        seen = (str(entry["Timestamp"]), float(entry["SpotPrice"]))
        newest[key] = max(newest.get(key, seen), seen)
    shares: dict[str, list[float]] = {}
    for (name, _), (_, usd) in sorted(newest.items()):
        if on_demand.get(name):
            shares.setdefault(name.partition(".")[0], []).append(usd / on_demand[name])
    for family, each in sorted(shares.items()):
        band = {"low": f"{min(each):.4g}", "high": f"{max(each):.4g}"}
        middle = statistics.median(each)
        yield price_row("ec2_spot", family, "ratio", middle, as_of=as_of, source=source, **band)


def _products(
    answer: Iterable[str | Answer], wanted: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    for text in answer:
        try:
            product = json.loads(text) if isinstance(text, str) else dict(text)
            said = {**product["product"]["attributes"]}
        except (ValueError, KeyError, TypeError) as error:
            raise PriceListError(f"the answer is not a price list: {error!r}") from error
        said |= {"productFamily": product["product"].get("productFamily")}
        here = said.get("locationType", "AWS Region") == "AWS Region"
        if here and all(said.get(name) in (None, value) for name, value in wanted.items()):
            yield product


def _bands(product: Mapping[str, Any]) -> Sequence[tuple[float, float | None, float]]:
    """Return start, end and USD of each band of the on-demand price, without bands that are free."""
    try:
        offers = product["terms"]["OnDemand"].values()
        offers = [o for o in offers if o.get("offerTermCode", _ON_DEMAND) == _ON_DEMAND]
        latest = max(offers, key=lambda offer: str(offer.get("effectiveDate", "")))
        bands = []
        for band in latest["priceDimensions"].values():
            usd = float(band["pricePerUnit"]["USD"])
            end = float(str(band.get("endRange", "Inf")).replace("Inf", "inf"))
            start = float(band.get("beginRange", 0))
            bands.append((start, None if math.isinf(end) else end, usd))
    except (KeyError, ValueError, AttributeError) as error:
        name = product["product"]["attributes"].get("usagetype", "a product")
        raise PriceListError(f"{name} has no price on demand in USD ({error!r})") from error
    priced = sorted(band for band in bands if band[2] > 0)
    return priced or sorted(bands)[:1]
