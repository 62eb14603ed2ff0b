"""How this machine reaches the scheduler of a run: a security group with one port for its own address.

The group is made for one run, is in the run's ledger, and goes with the run. No rule is ever wider than what
AWS sees this machine as.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import urllib.request
from collections.abc import Mapping
from typing import Any

from scalable_aws.account import Account, CallError
from scalable_aws.standing import Standing, allow, tag_specification
from scalable_core.cluster.launcher import Fleet
from scalable_core.errors import ClusterError
from scalable_core.types import Resource

KIND = "ec2:security-group"
#: Says which address, or network of at most 256, AWS sees this machine as; asked for when it is not set.
VARIABLE = "SCALABLE_CALLER_ADDRESS"
_WHERE = "https://checkip.amazonaws.com"


class Reach:
    """The security group of one run.

    Args:
        account: Where.
        standing: The network.
        fleet: The run.
        tags: What the group carries.

    Attributes:
        group: Its id, once `open` has returned.
    """

    group = ""

    def __init__(
        self, account: Account, standing: Standing, fleet: Fleet, tags: Mapping[str, str]
    ) -> None:
        self._account, self._standing, self._fleet = account, standing, fleet
        self._tags = tags

    async def open(self, port: int) -> None:
        """Make the group, with one port for this machine.

        Raises:
            ClusterError: It cannot be made, or nobody can say how AWS sees this machine.
        """
        caller = await asyncio.to_thread(caller_network, public=self._standing.public)
        name = f"{self._standing.name}-{self._fleet.run}"[:255]
        place = Resource(kind=KIND, id=name, region=self._account.region, run=self._fleet.run)
        await self._fleet.ledger.intend([place])
        try:
            made = await self._account.call(
                "ec2",
                "CreateSecurityGroup",
                GroupName=name,
                Description=f"One port of the scheduler of {self._fleet.run}",
                VpcId=self._standing.vpc,
                TagSpecifications=[
                    tag_specification("security-group", {"Name": name, **self._tags})
                ],
            )
        except CallError as error:
            if error.code != "InvalidGroup.Duplicate":
                raise
            (made,) = await find_groups(self._account, {"Name": name})  # its answer was lost
        self.group = str(made["GroupId"])
        await self._fleet.ledger.made(KIND, {name: self.group})
        rule = {
            "IpProtocol": "tcp",
            "FromPort": port,
            "ToPort": port,
            "IpRanges": [{"CidrIp": caller, "Description": "the driver of the run"}],
        }
        await allow(self._account, self.group, rule)


def caller_network(*, public: bool) -> str:
    """Return the network that is this machine as AWS sees it, such as ``203.0.113.7/32``.

    Args:
        public: It reaches public addresses; otherwise it has a private one in a network that leads there.

    Raises:
        ClusterError: It cannot be found out, or what was named is too wide.
    """
    named = os.environ.get(VARIABLE)
    try:
        text = named or (_ask() if public else _private_address())
        network = ipaddress.IPv4Network(text.strip())
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"it cannot be found out which address AWS sees this machine as: {error}",
            cure=f"set {VARIABLE} to it, for example to 203.0.113.7/32",
        ) from None
    if network.prefixlen < 24:
        raise ClusterError(
            f"{VARIABLE} is {network}, and a port is opened to at most 256 addresses",
            cure="name a smaller network, best the one address with /32",
        )
    return str(network)


async def public_address(account: Account, interface: Mapping[str, str]) -> str | None:
    """Return the public address of a network interface; None when it has none."""
    for _ in range(5):  # it may be a moment later than the task
        answer = await account.call(
            "ec2",
            "DescribeNetworkInterfaces",
            NetworkInterfaceIds=[interface["networkInterfaceId"]],
        )
        for each in answer["NetworkInterfaces"]:
            if found := each.get("Association", {}).get("PublicIp"):
                return str(found)
        await asyncio.sleep(1)
    return None


async def find_groups(account: Account, tags: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the security groups that carry tags."""
    filters = [{"Name": f"tag:{key}", "Values": [value]} for key, value in tags.items()]
    return await account.pages(
        "ec2", "DescribeSecurityGroups", "SecurityGroups", Filters=filters, MaxResults=1000
    )


async def delete_group(account: Account, group: str) -> bool:
    """Delete a security group; return False while something still uses it."""
    try:
        await account.call("ec2", "DeleteSecurityGroup", GroupId=group)
    except CallError as error:
        if error.code == "DependencyViolation":
            return False
        if error.code != "InvalidGroup.NotFound":
            raise
    return True


def _ask() -> str:
    with urllib.request.urlopen(_WHERE, timeout=10) as answer:
        return str(answer.read().decode())


def _private_address() -> str:
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("10.255.255.255", 9))  # sends nothing; says where packets would leave
        return str(probe.getsockname()[0])
