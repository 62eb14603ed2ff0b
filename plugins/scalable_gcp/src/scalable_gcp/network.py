"""The network of a run: the subnetwork that members share, and the rules that let them and the driver in."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import urllib.request
from collections.abc import Sequence
from functools import partial
from typing import Any

from attrs import frozen

from scalable_core.cluster.ledger import Ledger
from scalable_core.errors import ClusterError
from scalable_core.types import Resource
from scalable_gcp import requests
from scalable_gcp.cloud import CallError, Cloud, gone
from scalable_gcp.options import CloudRunOptions

KIND = "compute:firewall"
#: Says which address, or network of at most 256, Google sees this machine as; asked for when it is not set.
VARIABLE = "SCALABLE_CALLER_ADDRESS"
_WHERE = "https://checkip.amazonaws.com"


@frozen(kw_only=True)
class Network:
    """Where members are.

    Attributes:
        network: Whole name, such as ``projects/p/global/networks/default``.
        subnetwork: Whole name.
        addresses: The subnetwork's range.
        private_access: Machines without a public address reach Google's services from there.
    """

    network: str
    subnetwork: str
    addresses: str
    private_access: bool


def subnetwork_name(cloud: Cloud, options: CloudRunOptions) -> str:
    """Return the whole name of the subnetwork that a target means; in an automatic network it has its name."""
    name = options.subnetwork or (options.network or "default").rpartition("/")[2]
    if "/" in name:
        return name[name.index("projects/") :]
    return f"projects/{cloud.project}/regions/{cloud.region}/subnetworks/{name}"


async def find_network(cloud: Cloud, options: CloudRunOptions) -> Network:
    """Return where members go.

    Raises:
        ClusterError: There is no such subnetwork.
    """
    name = subnetwork_name(cloud, options)
    try:
        answer = await cloud.call("compute", "GET", name)
    except CallError as error:
        if not error.absent:
            raise
        raise ClusterError(
            f"there is no subnetwork {name.rpartition('/')[2]!r} in {cloud.region} of {cloud.project}",
            cure="write network and subnetwork in the target; see: gcloud compute networks subnets list",
        ) from error
    network = str(answer["network"])
    return Network(
        network=network[network.index("projects/") :],
        subnetwork=name,
        addresses=str(answer["ipCidrRange"]),
        private_access=bool(answer.get("privateIpGoogleAccess")),
    )


async def find_account(cloud: Cloud, named: str | None) -> str:
    """Return a service account: the one that is named, or that of Compute Engine."""
    if named:
        return named
    answer = await cloud.call("cloudresourcemanager", "GET", f"projects/{cloud.project}")
    number = str(answer["name"]).rpartition("/")[2]
    return f"{number}-compute@developer.gserviceaccount.com"


async def find_zones(cloud: Cloud) -> list[str]:
    """Return the names of the zones of the region.

    Raises:
        ClusterError: There is no such region.
    """
    path = f"projects/{cloud.project}/regions/{cloud.region}"
    try:
        answer = await cloud.call("compute", "GET", path)
    except CallError as error:
        if not error.absent:
            raise
        raise ClusterError(
            f"there is no region {cloud.region!r}", cure="see: gcloud compute regions list"
        ) from error
    return [str(zone).rpartition("/")[2] for zone in answer["zones"]]


def rule_names(stem: str) -> tuple[str, str]:
    """Return the names of a run's rules: for members, and for the driver."""
    return f"{stem}-members", f"{stem}-driver"


async def make_rules(
    cloud: Cloud,
    network: Network,
    options: CloudRunOptions,
    *,
    stem: str,
    description: str,
    ledger: Ledger,
    way_in: bool = True,
) -> None:
    """Let members reach each other, and this machine the scheduler; the rules go with the run.

    Args:
        cloud: Where.
        network: Of the run.
        options: Of the target.
        stem: What the names of the run's things begin with.
        description: Whose they are.
        ledger: Of the run.
        way_in: This machine is elsewhere, and needs to reach the scheduler.

    Raises:
        ClusterError: They cannot be made.
    """
    inner, outer = rule_names(stem)
    low, high = requests.RELAY_PORTS
    ports = [
        str(requests.WORKER_PORT),
        f"{requests.SCHEDULER_PORT}-{requests.RELAY_PORT}",
        f"{low}-{high}",
    ]
    bodies = [
        requests.firewall_rule(inner, network.network, description, [network.addresses], ports)
    ]
    if way_in:
        driver = requests.IAP_RANGE
        if options.public:
            driver = await asyncio.to_thread(caller_network)
        port = str(requests.SCHEDULER_PORT)
        bodies.append(
            requests.firewall_rule(outer, network.network, description, [driver], [port], tag=stem)
        )
    names = [str(body["name"]) for body in bodies]
    await ledger.intend([Resource(kind=KIND, id=name, run=ledger.run) for name in names])
    await asyncio.gather(*(_make(cloud, network, body, ledger.run) for body in bodies))


async def delete_rules(cloud: Cloud, names: Sequence[str]) -> list[dict[str, Any]]:
    """Delete rules; return the operations of those that were there."""
    path = f"projects/{cloud.project}/global/firewalls"
    calls = [partial(cloud.call, "compute", "DELETE", f"{path}/{name}") for name in names]
    made = await asyncio.gather(*(gone(call) for call in calls))
    return [each for each in made if each is not None]


async def find_rules(cloud: Cloud, prefix: str) -> list[dict[str, Any]]:
    """Return the rules whose names begin so."""
    path = f"projects/{cloud.project}/global/firewalls"
    rules = await cloud.pages("compute", path, "items", filter=f'name eq "{prefix}.*"')
    return [rule for rule in rules if str(rule["name"]).startswith(prefix)]


def caller_network() -> str:
    """Return the network that is this machine as Google sees it, such as ``203.0.113.7/32``.

    Raises:
        ClusterError: It cannot be found out, or what was named is too wide.
    """
    named = os.environ.get(VARIABLE)
    try:
        text = named or urllib.request.urlopen(_WHERE, timeout=10).read().decode()
        network = ipaddress.IPv4Network(text.strip())
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"it cannot be found out which public address this machine has: {error}",
            cure=f"set {VARIABLE}, for example to 203.0.113.7/32, or leave out public",
        ) from error
    if network.prefixlen < 24:
        raise ClusterError(
            f"{network} lets too many in: at most 256 addresses may reach the scheduler",
            cure=f"set {VARIABLE} to the address of this machine",
        )
    return str(network)


async def _make(cloud: Cloud, network: Network, body: dict[str, Any], run: str) -> None:
    path = f"{network.network.partition('/global/')[0]}/global/firewalls"
    mark = requests.request_id(run, body["name"])
    try:
        operation = await cloud.call("compute", "POST", path, body, requestId=mark)
    except CallError as error:
        if error.status == 409:
            return
        raise
    await cloud.finish("compute", operation)
