"""Today's prices from Price List and the Spot price history, kept for this user when they can be believed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from scalable_aws import client as aws
from scalable_aws.price_list import (
    EC2_FILTERS,
    FAMILIES,
    PriceListError,
    machine_rows,
    product_rows,
    spot_rows,
)
from scalable_aws.prices import DATA, price_book
from scalable_aws.refusals import refusal
from scalable_core.errors import ProviderError
from scalable_core.types import HookContext
from scalable_core.types.refresh import Batch, Row, take
from scalable_core.types.snapshot import read_snapshot

#: Price List is in few regions; which one answers has nothing to do with which one's prices are asked for.
_HOME = "us-east-1"

_SOURCE = ("price_list", "AWS Price List and Spot price history, as fetched")

#: How many regions are asked about at one time.
_AT_ONCE = 4

_LINUX = ["Linux/UNIX", "Linux/UNIX (Amazon VPC)"]

#: Codes with which AWS refuses everything, whatever is asked.
_NOBODY = {
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "AuthFailure",
}


class _UnreachableError(Exception):
    """Nothing answers where Price List should be."""


def refresh_prices(context: HookContext) -> tuple[str, ...]:
    """Fetch today's prices of all regions that have any, and take those that can be believed.

    Returns:
        One sentence for each region and kind of price that keeps the old ones, and why.

    Raises:
        ProviderError: There are no credentials, or they are no good.
    """
    regions = read_snapshot("aws", DATA).regions
    try:
        batches = aws.run(_all(regions), deadline=context.deadline)
    except TimeoutError:
        return ("every region keeps its old prices: AWS has not answered in time",)
    except _UnreachableError as error:
        return (f"every region keeps its old prices: {error}",)
    today = datetime.now(UTC).date().isoformat()
    return take("aws", DATA, batches, today=today, source=_SOURCE)


async def _all(regions: Sequence[str]) -> list[Batch]:
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(region: str) -> list[Batch]:
        async with gate:
            return [batch async for batch in _region(region)]

    first = await one(regions[0])  # where nothing answers it is enough to ask for one
    rest = await asyncio.gather(*map(one, regions[1:]))
    return [batch for found in (first, *rest) for batch in found]


async def _region(region: str) -> AsyncIterator[Batch]:
    """Yield the list prices of a region, and where it has machine types their Spot prices."""
    old = {machine.name: machine for machine in price_book(region).machines()}
    facts = {"as_of": datetime.now(UTC).date().isoformat(), "source": _SOURCE[0]}
    expected = frozenset[Any]().union(*(family.keys for family in FAMILIES))
    rows: list[Row] = []
    machines: tuple[Row, ...] | None = None
    on_demand = {name: m.price.usd for name, m in old.items() if m.price is not None}
    try:
        for family in FAMILIES:
            found = await _products(family.code, {family.region: region, **family.filters})
            rows += product_rows(family, found, region, **facts)
        if old:
            found = await _products("AmazonEC2", {"regionCode": region, **EC2_FILTERS})
            machines = tuple(machine_rows(found, region, old=old))
            on_demand |= {row["type"]: float(row["usd"]) for row in machines}
        fault = None
    except Exception as error:
        fault = _why(error, "pricing:GetProducts")
    yield Batch(
        region=region,
        what="list prices",
        rows=tuple(rows),
        machines=machines,
        expected=expected,
        fault=fault,
    )
    if old:
        try:
            history = await _history(region)
            shares = tuple(spot_rows(history, on_demand, **facts))
            fault = None
        except Exception as error:
            shares, fault = (), _why(error, "ec2:DescribeSpotPriceHistory")
        yield Batch(region=region, what="Spot prices", rows=shares, fault=fault, singly=True)


async def _products(code: str, filters: Mapping[str, str]) -> list[str]:
    service = await aws.client("pricing", _HOME)
    wanted = [
        {"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in filters.items()
    ]
    request = {
        "ServiceCode": code,
        "Filters": wanted,
        "FormatVersion": "aws_v1",
        "MaxResults": 100,
    }
    return await _pages(service.get_products, request, "PriceList")


async def _history(region: str) -> list[Any]:
    service = await aws.client("ec2", region)
    request = {"ProductDescriptions": _LINUX, "StartTime": datetime.now(UTC), "MaxResults": 1000}
    return await _pages(service.describe_spot_price_history, request, "SpotPriceHistory")


async def _pages(call: Callable[..., Any], request: Mapping[str, Any], key: str) -> list[Any]:
    """Return what all pages have under a key.

    Raises:
        PriceListError: A page has nothing of the kind, or names itself as the next.
    """
    found: list[Any] = []
    seen: set[str] = set()
    more: dict[str, str] = {}
    while True:
        page = await aws.patiently(partial(call, **request, **more))
        if key not in page:
            raise PriceListError(f"a page of the answer has no {key}")
        found += page[key]
        token = page.get("NextToken")
        if not token:
            return found
        if token in seen:
            raise PriceListError("the pages of the answer have no end")
        seen.add(token)
        more = {"NextToken": token}


def _why(error: Exception, permission: str) -> str:
    """Return why a question has failed, in half a sentence.

    Raises:
        ProviderError: It would fail for every other question too, as nobody is known to ask.
        _UnreachableError: The same, as nothing answers.
    """
    if isinstance(error, (PriceListError, ValueError, KeyError)):
        return str(error)
    known = refusal(error, permission=permission, resource="*")
    nobody = permission.startswith("pricing:") and aws.code_of(error) in _NOBODY
    if (
        nobody or type(error).__name__ == "NoCredentialsError"
    ):  # a region may be closed to an account
        raise ProviderError(
            f"prices cannot be refreshed: {known.reason}", cure=known.cure
        ) from error
    if permission.startswith("pricing:") and not aws.code_of(error):
        raise _UnreachableError(known.reason) from error
    return known.reason
