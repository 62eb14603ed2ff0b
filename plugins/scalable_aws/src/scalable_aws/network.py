"""Whether members find what they need from their subnets, and this machine finds the scheduler."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from scalable_aws.account import Account, CallError
from scalable_aws.images import find_place
from scalable_aws.options import AwsOptions
from scalable_aws.reach import VARIABLE
from scalable_aws.standing import find_subnets, is_public
from scalable_core.types import Plan, Problem

#: What members speak to, by the last part of the endpoint's name; with images in ECR also those.
_SERVICES = ("logs", "ssm")
_ECR = ("ecr.api", "ecr.dkr", "s3")


async def network_problems(account: Account, plan: Plan) -> list[Problem]:
    """Return what is wrong with the subnets, the ways out of them, and the way in."""
    options: AwsOptions = plan.target.options
    subnets, groups = await asyncio.gather(_subnets(account, options), _groups(account, options))
    if isinstance(subnets, Problem):
        return [subnets, *groups]
    vpc = str(subnets[0]["VpcId"])
    filters = [{"Name": "vpc-id", "Values": [vpc]}]
    tables, endpoints, networks = await asyncio.gather(
        account.call("ec2", "DescribeRouteTables", Filters=filters),
        account.call("ec2", "DescribeVpcEndpoints", Filters=filters),
        account.call("ec2", "DescribeVpcs", VpcIds=[vpc]),
    )
    public = is_public(options, subnets)
    there = {each["ServiceName"] for each in endpoints["VpcEndpoints"] if _is_up(each)}
    blocks = [str(each["CidrBlock"]) for each in networks["Vpcs"]]
    found = [
        *groups,
        *_room(subnets, plan),
        *_ways_out(subnets, tables["RouteTables"], there, plan, public=public),
        *(() if public or plan.detached else await asyncio.to_thread(_way_in, vpc, blocks)),
    ]
    if not found:
        kind = "public" if public else "private"
        zones = ", ".join(sorted({str(each["AvailabilityZone"]) for each in subnets}))
        message = f"{len(subnets)} {kind} subnets of {vpc} in {zones}, with a way out"
        found.append(Problem(code="I1155", where="network", message=message, severity="info"))
    return found


async def _subnets(account: Account, options: AwsOptions) -> list[dict[str, Any]] | Problem:
    try:
        subnets = await find_subnets(account, options)
    except CallError as error:
        if "NotFound" not in error.code:
            raise
        message = f"{error.said or error.message}"
        return _wrong("E1155", message, "name subnets of this account and region")
    if not subnets:
        where = f"VPC {options.vpc} has" if options.vpc else "the default VPC is not there, or has"
        return _wrong(
            "E1155",
            f"{where} no subnets in {options.region}",
            "name subnets, or make the default VPC: aws ec2 create-default-vpc",
        )
    vpcs = sorted({str(each["VpcId"]) for each in subnets})
    if len(vpcs) > 1:
        message = f"the subnets are in {' and '.join(vpcs)}, and members must be in one network"
        return _wrong("E1155", message, "name subnets of one VPC")
    if options.vpc and vpcs != [options.vpc]:
        return _wrong("E1155", f"the subnets are in {vpcs[0]}, not in {options.vpc}", "remove vpc")
    return subnets


async def _groups(account: Account, options: AwsOptions) -> list[Problem]:
    if not options.security_groups:
        return []
    try:
        await account.call("ec2", "DescribeSecurityGroups", GroupIds=list(options.security_groups))
    except CallError as error:
        if "NotFound" not in error.code:
            raise
        message = error.said or error.message
        return [_wrong("E1155", message, "name security groups of this account and region")]
    return []


def _room(subnets: Sequence[Mapping[str, Any]], plan: Plan) -> Iterator[Problem]:
    free = sum(int(each.get("AvailableIpAddressCount", 0)) for each in subnets)
    if free < plan.maximum + 1:
        message = (
            f"the subnets have {free} free addresses, and the plan has {plan.maximum + 1} members"
        )
        yield Problem(
            code="W1155",
            where="network",
            message=message,
            cure="name more or larger subnets",
            severity="warning",
        )


def _ways_out(
    subnets: Sequence[Mapping[str, Any]],
    tables: Sequence[Mapping[str, Any]],
    endpoints: set[str],
    plan: Plan,
    *,
    public: bool,
) -> Iterator[Problem]:
    """Yield what keeps members from pulling their images and reading their documents."""
    region = plan.target.options.region
    in_ecr = all(find_place(group.image or "") for group in plan.groups)
    needed = (*_SERVICES, *_ECR)
    missing = [name for name in needed if f"com.amazonaws.{region}.{name}" not in endpoints]
    for subnet in subnets:
        name = str(subnet["SubnetId"])
        gateway = _default_route(name, tables)
        if gateway is None and (missing or not in_ecr):
            yield _wrong(
                "E1156",
                f"from {name} there is no way out: its images and documents cannot be read",
                "name subnets with a default route, add a NAT gateway, or, with all images in ECR, add VPC"
                f" endpoints for {', '.join(missing or needed)}",
            )
        elif gateway is not None and gateway.startswith("igw-") and not public:
            yield _wrong(
                "E1156",
                f"the way out of {name} is an internet gateway, of no use without public addresses",
                "write assign_public_ip: true, or name subnets with a NAT gateway",
            )
        elif gateway is not None and not gateway.startswith("igw-") and public:
            yield _wrong(
                "E1157",
                f"members in {name} get public addresses, but nothing reaches them: its default route is"
                f" {gateway}",
                "write assign_public_ip: false, or name subnets whose route is an internet gateway",
            )


def _default_route(subnet: str, tables: Sequence[Mapping[str, Any]]) -> str | None:
    """Return where the default route of a subnet leads to; None when it has none that works."""
    own = main = None
    for table in tables:
        for each in table.get("Associations", []):
            if each.get("SubnetId") == subnet:
                own = table
            elif each.get("Main"):
                main = table
    for route in (own or main or {}).get("Routes", []):
        if route.get("DestinationCidrBlock") == "0.0.0.0/0" and route.get("State") != "blackhole":
            keys = ("GatewayId", "NatGatewayId", "TransitGatewayId", "NetworkInterfaceId")
            return next((str(route[key]) for key in keys if route.get(key)), "another")
    return None


def _way_in(vpc: str, blocks: Sequence[str]) -> list[Problem]:
    """Return that this machine has no way to the private addresses of a network."""
    if os.environ.get(VARIABLE) or not blocks:
        return []  # who says how members see this machine knows a way
    if any(_leads_to(ipaddress.IPv4Network(block)) for block in blocks):
        return []
    message = (
        f"the scheduler will have a private address in {vpc} ({', '.join(blocks)}), and this machine has"
        " no route of its own there"
    )
    cure = (
        "write assign_public_ip: true with public subnets, connect a VPN, run with --detach, or, if there is"
        f" a way, set {VARIABLE} to this machine's address there"
    )
    return [_wrong("E1157", message, cure)]


def _leads_to(network: ipaddress.IPv4Network) -> bool:
    """Whether this machine is in a network, or has another route there than to the rest of the world."""
    there, elsewhere = _source(str(network[1])), _source("192.0.2.1")
    return there is not None and (ipaddress.ip_address(there) in network or there != elsewhere)


def _source(address: str) -> str | None:
    """Return this machine's address on the way to another; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, 9))
        except OSError:
            return None
        return str(probe.getsockname()[0])


def _is_up(endpoint: Mapping[str, Any]) -> bool:
    return str(endpoint.get("State", "available")).lower() in ("available", "pending")


def _wrong(code: str, message: str, cure: str) -> Problem:
    return Problem(code=code, where="network", message=message, cure=cure)
