"""What is asked of EC2 and what it answers, as plain data. Pure: nothing here calls anything."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from scalable_aws.machine import user_data
from scalable_aws.options import Ec2Options
from scalable_aws.prices import machine_price, price_book, usual_machines
from scalable_aws.requests import tag_list
from scalable_aws.standing import Standing
from scalable_core.cluster.launcher import (
    FailureKind,
    LaunchFailure,
    Member,
    MemberGroup,
    Offer,
    State,
)
from scalable_core.errors import UsageError
from scalable_core.types.prices import MachineType, fitting_machines
from scalable_core.types.units import GIB

#: Types among which EC2 chooses; more of them find Spot more often, and cost at most so much more.
_TYPES, _DEARER = 8, 1.6
#: GiB of the volume that an instance starts from, when the target does not say; as the estimate has it.
_DISK = 30
_STATES: dict[str, State] = {
    "pending": "pending",
    "running": "running",
    "stopping": "stopping",
    "shutting-down": "stopping",
    "stopped": "stopped",
    "terminated": "stopped",
}
#: What the code of a failure amounts to; the first that fits counts.
_MEANINGS: tuple[tuple[str, FailureKind], ...] = (
    (r"VcpuLimit|MaxSpotInstanceCount|InstanceLimit|VolumeLimit|LimitExceeded", "quota"),
    (r"Throttl|RequestLimit|TooManyRequests", "throttled"),
    (r"Insufficient|Unfulfillable|SpotInstanceTermination|Unsupported|MaxPriceTooLow", "no-capacity"),
    (r"InvalidAMI|ImageId", "image"),
    (r"Unauthorized|AccessDenied|AuthFailure|instance profile|ServiceLinkedRole", "permission"),
)  # fmt: skip


@frozen(kw_only=True)
class Sizing:
    """The machines of a group.

    Attributes:
        machines: Types that hold it, the cheapest first.
        share: Workers on one of them.
        usd: An hour of one worker on the cheapest type, on demand and as Spot; None when unknown.
    """

    machines: tuple[str, ...]
    share: int
    usd: Mapping[str, float | None]


def sizing_of(group: MemberGroup, options: Ec2Options) -> Sizing:
    """Return which machines hold a group's members, and how many each.

    Raises:
        UsageError: None does.
    """
    book, scheduler = price_book(options.region), group.role == "scheduler"
    cpus = options.scheduler_cpu if scheduler else group.cpus
    gib = ((options.scheduler_mem if scheduler else group.memory) or 0) / GIB
    asked = None if scheduler else options.instance_type
    if asked is not None:
        known = [machine for machine in book.machines() if machine.name == asked]
        share = _share(known[0], cpus, gib, group.gpus) if known else 1
        fitting = known
    else:
        arch = options.architecture
        fitting = fitting_machines(
            usual_machines(book), vcpu=cpus, gib=gib, gpus=group.gpus, arch=arch
        )
        fitting = sorted(fitting, key=_usd)
        fitting = [each for each in fitting if _usd(each) <= _usd(fitting[0]) * _DEARER][:_TYPES]
        share = 1
    if share < 1 or not (fitting or asked):
        where = asked or f"any machine in {options.region} that there are prices of"
        raise UsageError(
            f"{group.name!r} does not fit {where}: it asks for {cpus:g} vCPU, {gib:g} GiB and"
            f" {group.gpus} GPUs",
            cure="ask for less, or name another instance_type",
        )
    usd: dict[str, float | None] = {}
    for capacity in ("on-demand", "spot"):
        price = machine_price(book, fitting[0], spot=capacity == "spot") if fitting else None
        usd[capacity] = None if price is None else price.usd / share
    names = tuple(each.name for each in fitting) or (str(asked),)
    return Sizing(machines=names, share=share, usd=usd)


def _share(machine: MachineType, cpus: float, gib: float, gpus: int) -> int:
    room = [machine.vcpu / cpus]
    room += [machine.gib / gib] if gib else []
    room += [machine.accelerators / gpus] if gpus else []
    return math.floor(min(room))


def _usd(machine: MachineType) -> float:
    return machine.price.usd if machine.price else math.inf


def offers_of(group: MemberGroup, options: Ec2Options) -> tuple[Offer, ...]:
    """Return the ways to buy a group's members; the scheduler never is Spot."""
    asked = options.capacity or ("spot_with_fallback" if options.spot else "on-demand")
    if group.role == "scheduler":
        asked = "on-demand"
    sizing = sizing_of(group, options)
    offers = (
        Offer(name="spot", capacity="spot", hourly=sizing.usd["spot"]),
        Offer(name="on-demand", capacity="on-demand", hourly=sizing.usd["on-demand"]),
    )
    return {"spot": offers[:1], "on-demand": offers[1:]}.get(asked, offers)


def order_of(
    group: MemberGroup,
    sizing: Sizing,
    *,
    options: Ec2Options,
    standing: Standing,
    program: str,
    place: str,
    reports: str,
    lifetime: float,
) -> dict[str, Any]:
    """Return what `machine.boot` does for the members of a group; no secret is in it.

    Raises:
        UsageError: There is no image.
    """
    image = group.image or options.image
    if image is None:
        raise UsageError(
            f"component {group.name!r} has no image, and containers need one",
            cure="set image in the component or in the target",
        )
    limits: list[str] = []
    if sizing.share > 1:  # who has a machine alone has all of it
        limits += ["--cpus", f"{group.cpus:g}"]
        limits += ["--memory", str(group.memory)] if group.memory else []
    limits += ["--gpus", "all"] if group.gpus else []
    for there, here in group.mounts.items():
        limits += ["-v", f"{there}:{here}"]
    return {
        "image": image,
        "role": group.role,
        "group": group.name,
        "name": "scheduler-0" if group.role == "scheduler" else "*",
        "place": place,
        "program": program,
        "region": options.region,
        "log_group": standing.log_group,
        "reports": reports,
        "slots": sizing.share,
        "limits": limits,
        "minutes": math.ceil(lifetime / 60) + 5,
    }


def launch_template(
    name: str,
    order: Mapping[str, Any],
    *,
    ami: str,
    options: Ec2Options,
    standing: Standing,
    groups: Sequence[str],
    tags: Mapping[str, str],
) -> dict[str, Any]:
    """Return the parameters of ``CreateLaunchTemplate`` for the members of a group in one run.

    Args:
        name: Unique in the account.
        order: What an instance does.
        ami: The machine image.
        options: Of the target.
        standing: Where they go.
        groups: Their security groups.
        tags: What each instance, volume and interface carries.
    """
    disk = -(-(options.ephemeral_storage or _DISK * GIB) // GIB)
    carried = tag_list({"Name": name, **tags}, "Key", "Value")
    profile = options.instance_profile or standing.profile
    named = {"Arn": profile} if profile.startswith("arn:") else {"Name": profile}
    return {
        "LaunchTemplateName": name,
        "ClientToken": name[-64:],
        "TagSpecifications": [{"ResourceType": "launch-template", "Tags": carried}],
        "LaunchTemplateData": {
            "ImageId": ami,
            "UserData": user_data(order),
            "IamInstanceProfile": named,
            "InstanceInitiatedShutdownBehavior": "terminate",
            "MetadataOptions": {
                "HttpEndpoint": "enabled",
                "HttpTokens": "required",
                "HttpPutResponseHopLimit": 1,
            },
            "NetworkInterfaces": [
                {
                    "DeviceIndex": 0,
                    "AssociatePublicIpAddress": standing.public,
                    "DeleteOnTermination": True,
                    "Groups": list(groups),
                }
            ],
            "BlockDeviceMappings": [
                {
                    "DeviceName": "/dev/xvda",
                    "Ebs": {
                        "VolumeSize": disk,
                        "VolumeType": "gp3",
                        "Encrypted": True,
                        "DeleteOnTermination": True,
                    },
                }
            ],
            "TagSpecifications": [
                {"ResourceType": kind, "Tags": carried}
                for kind in ("instance", "volume", "network-interface")
            ],
        },
    }


def create_fleet(
    template: str,
    count: int,
    names: Sequence[str],
    offer: Offer,
    *,
    sizing: Sizing,
    standing: Standing,
    run: str,
    tags: Mapping[str, str],
) -> dict[str, Any]:
    """Return the parameters of ``CreateFleet`` for so many instances, now and once.

    Args:
        template: Id of the launch template.
        count: How many instances.
        names: Of their members; asked again with the same ones, no second instance comes of it.
        offer: How they are bought.
        sizing: Of which types.
        standing: In which subnets.
        run: Of which run.
        tags: What each carries.
    """
    token = hashlib.sha256(" ".join([run, offer.name, *names]).encode()).hexdigest()[:32]
    overrides = [
        {"InstanceType": machine, "SubnetId": subnet}
        for machine in sizing.machines
        for subnet in standing.subnets
    ]
    request: dict[str, Any] = {
        "Type": "instant",
        "ClientToken": token,
        "LaunchTemplateConfigs": [
            {
                "LaunchTemplateSpecification": {"LaunchTemplateId": template, "Version": "1"},
                "Overrides": overrides[:300],
            }
        ],
        "TargetCapacitySpecification": {
            "TotalTargetCapacity": count,
            "DefaultTargetCapacityType": offer.capacity,
        },
        "TagSpecifications": [
            {"ResourceType": kind, "Tags": tag_list(tags, "Key", "Value")}
            for kind in ("fleet", "instance")
        ],
    }
    if offer.capacity == "spot":
        request["SpotOptions"] = {"AllocationStrategy": "price-capacity-optimized"}
    else:
        request["OnDemandOptions"] = {"AllocationStrategy": "lowest-price"}
    return request


def instances_of(answer: Mapping[str, Any]) -> list[str]:
    """Return the ids of the instances that ``CreateFleet`` has started."""
    return [name for each in answer.get("Instances", []) for name in each["InstanceIds"]]


def failure_of(answer: Mapping[str, Any]) -> LaunchFailure:
    """Return why ``CreateFleet`` has started fewer instances than it was asked for."""
    errors = answer.get("Errors", [])
    if not errors:
        text = "EC2 started fewer instances than it was asked for"
        return LaunchFailure(kind="no-capacity", message=text)
    texts = [f"{each.get('ErrorCode')}: {each.get('ErrorMessage')}" for each in errors]
    kinds = [meaning(text) for text in texts]
    # One type or zone that lacks something says less than what keeps all of them.
    worst = min(range(len(kinds)), key=lambda n: (kinds[n] == "other", kinds[n] == "no-capacity"))
    same = len(set(kinds)) == 1
    kind = kinds[worst] if same else "no-capacity"
    return LaunchFailure(kind=kind, message=texts[worst], cure=_cure(kinds[worst]))


def meaning(words: str) -> FailureKind:
    """Return what the words of a failure amount to."""
    return next((kind for pattern, kind in _MEANINGS if re.search(pattern, words)), "other")


def _cure(kind: FailureKind) -> str | None:
    cures = {
        "quota": "ask for fewer workers, or have the EC2 vCPU quota of the region raised",
        "permission": "see what is missing with: scalable doctor --print-policy",
        "image": "name an ami of this region for these processors",
    }
    return cures.get(kind)


def member_of(
    instance: Mapping[str, Any],
    name: str,
    own: str,
    offer: Offer | None,
    *,
    shared: bool,
    said: Mapping[str, Any] | None = None,
) -> Member:
    """Return what ``DescribeInstances`` says of one member, and what its machine has said of it.

    Args:
        instance: One of those described.
        name: The member's.
        own: Its id.
        offer: By which it was bought.
        shared: Others are on the same instance.
        said: The machine's report of its container, or of itself; None without one.
    """
    state = _STATES.get(instance["State"]["Name"], "pending")
    said = said or {}
    reason = instance.get("StateReason") or {}
    code = reason.get("Code") if state in ("stopping", "stopped") else None
    taken = code in ("Server.SpotInstanceTermination", "Server.SpotInstanceShutdown")
    never = state == "stopped" and code is not None and code.startswith("Server.") and not taken
    failure = meaning(str(code)) if never else None
    if "machine" in said:
        failure = "image" if "cannot be pulled" in said["said"] else "other"
    why = said.get("said") or (reason.get("Message") if code and not said else None)
    return Member(
        name=name,
        state="stopped" if "code" in said else state,
        id=own,
        address=instance.get("PrivateIpAddress"),
        reason=why,
        stop_code=None if said else code,
        exit_code=said.get("code"),
        failure=failure,
        interrupted=taken,
        zone=instance.get("Placement", {}).get("AvailabilityZone"),
        capacity=offer.capacity if offer else None,
        hourly=offer.hourly if offer else None,
        unit=str(instance["InstanceId"]) if shared else None,
    )
