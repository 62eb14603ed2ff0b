"""What a plan on AWS will be billed for beside its machines: addresses, traffic, logs and storage."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from attrs import evolve

from scalable_aws.bill import Bill, node_hours
from scalable_core.types import CostLine
from scalable_core.types.bill import (
    LOG_GB_PER_HOUR,
    PART,
    Span,
    exactly,
    gigabytes,
    priced,
    priced_in_tiers,
)
from scalable_core.types.units import GIB

#: What a URI scheme of another cloud is called on its bill.
_FOREIGN_STORES = {"gs": "Cloud Storage", "gcs": "Cloud Storage"}

#: GB a month that an account gets free: what leaves AWS, and what its logs take in.
_FREE_EGRESS = 100.0
_FREE_LOGS = 5.0

#: Endpoints without which members that have no way out cannot start: ecr.api, ecr.dkr and logs. S3's is free.
_ENDPOINTS = 3

_ECR = re.compile(r"\d+\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com")


def traffic_lines(bill: Bill) -> Iterator[CostLine]:
    """Yield what members need beside CPUs and memory, and what becomes of what they compute."""
    book = bill.book
    yield from _addresses(bill)
    yield from _images(bill)
    if len(bill.options.subnets) != 1:
        zone = book.find("data_transfer", "inter_az_each_direction")
        price = None if zone is None else zone.times(2)
        note = "between members in several zones, paid in both directions; one subnet avoids it"
        yield priced("Inter-zone traffic", "GB", None, price, note=note)
    yield priced(
        "Logs",
        "GB",
        _member_hours(bill).times(LOG_GB_PER_HOUR),
        book.find("cloudwatch_logs", "ingest_standard"),
        note="CloudWatch; 1 MB an hour of each member assumed",
        allowance=_FREE_LOGS,
    )
    yield from _storage(bill)
    yield _egress(bill)


def _member_hours(bill: Bill) -> Span:
    """Return the hours of all workers and the scheduler together."""
    hours = bill.wall
    for workers in bill.workers.values():
        hours = hours.plus(workers.hours)
    return hours


def _addresses(bill: Bill) -> Iterator[CostLine]:
    """Yield an address for each member; without one, what goes through a NAT gateway instead."""
    public = bill.options.assign_public_ip
    if public is False or (bill.kind == "eks" and not public):
        yield from _nat(bill)
        return
    price = bill.book.find("vpc", "public_ipv4")
    if bill.kind == "fargate":
        note = "one for each worker and the scheduler"
        yield priced("Public IPv4", "h", _member_hours(bill), price, note=note)
        return
    hours = bill.wall if bill.kind == "ec2" else exactly(0.0)
    for group in bill.plan.groups:
        if bill.on_nodes(group):  # pods on Fargate have none
            hours = hours.plus(node_hours(bill, group)[1])
    if hours.high:
        yield priced("Public IPv4", "h", hours, price, note="one for each instance")
    if bill.kind == "eks" and not all(map(bill.on_nodes, bill.plan.groups)):
        yield from _nat(bill)


def _nat(bill: Bill) -> Iterator[CostLine]:
    """Yield a gateway in each zone, by the begun hour, and the images that go through it.

    It may be there for other things, or endpoints in its place, so the least is nothing.
    """
    book = bill.book
    if bill.kind != "eks":  # a cluster of EKS has its network already
        zones = max(1, len(bill.options.subnets))
        hours = bill.wall.each(lambda hour: math.ceil(round(hour, 9))).times(zones)
        note = "one in each subnet's zone, begun hours count whole; less if it is there anyway"
        endpoint = book.find("vpc", "interface_endpoint")
        if endpoint is not None:
            usd = hours.times(_ENDPOINTS).expected * endpoint.usd
            note += f"; endpoints for ECR and logs in its place are ${usd:.3g}"
        line = priced("NAT gateway", "h", hours, book.find("vpc", "nat_gateway"), note=note)
        yield line if line.amount is None else evolve(line, low=0.0)
    size = _image_bytes(bill)
    note = "images and logs, unless the subnets have endpoints; S3 too without its gateway endpoint"
    price = book.find("vpc", "nat_gateway_data")
    yield priced("NAT data", "GB", None if size is None else gigabytes(size), price, note=note)


def _image_bytes(bill: Bill) -> int | None:
    """Return the bytes of the images that all workers pull; None while a size is not known."""
    known = 0
    for group in bill.plan.groups:
        if group.resolved is None or group.resolved.size is None:
            return None
        known += bill.workers[group.name].count * group.resolved.size
    return known


def _images(bill: Bill) -> Iterator[CostLine]:
    """Yield what images cost that come from a registry of ECR in another region; in the same they are free."""
    region = bill.options.region
    for group in bill.plan.groups:
        match = _ECR.match(group.image or "")
        if match is None or match[1] == region:
            continue
        size = group.resolved.size if group.resolved else None
        pulled = None if size is None else gigabytes(size * bill.workers[group.name].count)
        price = bill.book.find("data_transfer", "inter_region_out_default")
        note = f"from ECR in {match[1]}, a pull for each worker"
        yield priced("Image pulls", "GB", pulled, price, component=group.name, note=note)


def _storage(bill: Bill) -> Iterator[CostLine]:
    scheme = bill.plan.stores.artifacts.partition("://")[0]
    size = gigabytes(bill.forecast.output_bytes)
    parts = None if size is None else exactly(math.ceil(size.expected * GIB / PART) / 1000)
    if scheme == "s3":
        tiers = bill.book.tiers("s3", "standard_storage")
        yield priced_in_tiers("S3 storage", "GB-month", size, tiers, monthly=True)
        put = bill.book.find("s3", "put_copy_post_list")
        yield priced("S3 requests", "1k-requests", parts, put, note="a PUT for each 8 MB")
    elif scheme in _FOREIGN_STORES:
        name = _FOREIGN_STORES[scheme]
        note = "of another cloud, whose prices are not looked up here"
        yield priced(f"{name} storage", "GB-month", size, None, monthly=True, note=note)
        yield priced(f"{name} requests", "1k-requests", parts, None, note=note)


def _egress(bill: Bill) -> CostLine:
    fetched, forecast = bill.forecast.download_bytes, bill.forecast
    note = "results that this machine fetches"
    if bill.plan.stores.artifacts.partition("://")[0] in _FOREIGN_STORES:
        note += ", and artifacts on their way to another cloud"
        both = fetched is not None and forecast.output_bytes is not None
        fetched = fetched + forecast.output_bytes if both else None  # type: ignore[operator]
    return priced_in_tiers(
        "Egress",
        "GB",
        gigabytes(fetched),
        bill.book.tiers("data_transfer", "internet_egress"),
        allowance=_FREE_EGRESS,
        note=note,
    )
