"""What is asked of Cloud Run and Compute Engine and what they answer, as plain data. Pure: it calls nothing."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from scalable_core.cluster.launcher import (
    FailureKind,
    LaunchFailure,
    Member,
    MemberGroup,
    State,
)
from scalable_core.errors import UsageError
from scalable_core.types.units import GIB, MIB
from scalable_gcp.cloud_config import cloud_config
from scalable_gcp.names import MEMBERS
from scalable_gcp.options import CloudRunOptions
from scalable_gcp.prices import price_book, worker_pool_price
from scalable_gcp.sizes import CloudRunSize, fit, misfit

#: The port of a worker; of the scheduler; of the relay, and those that it listens on for workers.
WORKER_PORT, SCHEDULER_PORT, RELAY_PORT = 8080, 8786, 8787
RELAY_PORTS = (8800, 9823)
#: What IAP's tunnels come from.
IAP_RANGE = "35.235.240.0/20"
#: Where a worker spills to: the root file system is memory.
SCRATCH = "/scratch"
#: GB of the disk of a scheduler's machine.
SCHEDULER_DISK = 20
#: Seconds that a scheduler's machine outlives its lifetime.
AFTERLIFE = 600

_GPUS = "nvidia-l4"
#: What the words of a failure amount to; the first that fits counts.
_MEANINGS: tuple[tuple[str, FailureKind], ...] = (
    (r"[Qq]uota|QUOTA|limit exceeded|LimitExceeded", "quota"),
    (r"RATE_LIMIT|rateLimitExceeded|Too Many", "throttled"),
    (r"RESOURCE_POOL_EXHAUSTED|STOCKOUT|does not have enough resources|no capacity", "no-capacity"),
    (r"CONTAINER_MISSING|IMAGE|[Ii]mage '?.*'? (not found|does not exist)|manifest", "image"),
    (r"PERMISSION|UNAUTHORIZED|[Pp]ermission|actAs", "permission"),
)
_MACHINE_STATES: dict[str, State] = {
    "PROVISIONING": "pending",
    "STAGING": "pending",
    "RUNNING": "running",
    "REPAIRING": "running",
    "PENDING_STOP": "stopping",
    "STOPPING": "stopping",
    "SUSPENDING": "stopping",
    "SUSPENDED": "stopped",
    "TERMINATED": "stopped",
}


def size_of(group: MemberGroup) -> CloudRunSize:
    """Return the size of a group's instances, rounded up to one that Cloud Run has.

    Raises:
        UsageError: There is none that is large enough.
    """
    size = fit(max(group.cpus, 4.0 if group.gpus else 0.0), group.memory)
    if size is None or group.gpus > 1:
        said = (
            "an instance has at most one GPU"
            if group.gpus > 1
            else misfit(group.cpus, group.memory)
        )
        raise UsageError(
            f"{group.name!r} does not fit Cloud Run: {said}",
            cure="ask for less, or use cluster_type: gke",
        )
    return size


def hourly(group: MemberGroup, region: str) -> float | None:
    """Return USD an hour of one instance; None when a price is unknown."""
    size, book = size_of(group), price_book(region)
    cpu, memory = worker_pool_price(book, "vcpu"), worker_pool_price(book, "gib")
    if cpu is None or memory is None or group.gpus:
        return None
    usd: float = cpu.usd * size.cpus + memory.usd * size.memory / GIB
    return usd


def image_of(group: MemberGroup, options: CloudRunOptions) -> str:
    """Return the image of a member.

    Raises:
        UsageError: There is none.
    """
    image = group.image or options.image
    if image is None:
        raise UsageError(
            f"component {group.name!r} has no image, and containers need one",
            cure="set image in the component or in the target",
        )
    return image


def worker_pool(
    group: MemberGroup,
    names: Sequence[str],
    options: CloudRunOptions,
    *,
    pool: str,
    program: str,
    place: str,
    labels: Mapping[str, str],
    network: str,
    subnetwork: str,
    account: str,
) -> dict[str, Any]:
    """Return the body that makes a pool of workers.

    Args:
        group: What they are.
        names: One for each instance.
        options: Of the target.
        pool: The pool's whole name, for the instances.
        program: What they run.
        place: Where the run's documents are, and how others reach them.
        labels: What the pool carries.
        network: Whole name of the network.
        subnetwork: Whole name of the subnetwork.
        account: E-mail address of their service account.
    """
    size = size_of(group)
    limits = {"cpu": str(size.cpus), "memory": f"{size.memory // MIB}Mi"}
    template: dict[str, Any] = {
        "labels": dict(labels),
        "serviceAccount": account,
        "vpcAccess": {
            "egress": "PRIVATE_RANGES_ONLY",
            "networkInterfaces": [{"network": network, "subnetwork": subnetwork}],
        },
        "containers": [
            {
                "name": "member",
                "image": image_of(group, options),
                "command": ["python", "-c", program],
                "args": [group.role, group.name, ",".join(names), place],
                "env": [
                    {"name": "SCALABLE_POOL", "value": pool},
                    {"name": "TMPDIR", "value": SCRATCH},
                    {"name": "PYTHONUNBUFFERED", "value": "1"},
                ],
                "resources": {"limits": limits},
                "ports": [{"containerPort": WORKER_PORT}],
                "volumeMounts": [{"name": "scratch", "mountPath": SCRATCH}],
            }
        ],
        "volumes": [{"name": "scratch", "emptyDir": {"medium": "DISK", "sizeLimit": "10Gi"}}],
    }
    if group.gpus:
        limits["nvidia.com/gpu"] = "1"
        template["nodeSelector"] = {"accelerator": _GPUS}
        template["gpuZonalRedundancyDisabled"] = True
    return {
        "labels": dict(labels),
        "annotations": {MEMBERS: ",".join(names)},
        "scaling": {"manualInstanceCount": len(names)},
        "template": template,
    }


def machine(
    image: str,
    member: str,
    options: CloudRunOptions,
    *,
    name: str,
    tag: str,
    zone: str,
    program: str,
    words: Sequence[str],
    secrets: Sequence[str],
    labels: Mapping[str, str],
    network: str,
    subnetwork: str,
    account: str,
    lifetime: float,
) -> dict[str, Any]:
    """Return the body that makes the machine of a scheduler or a driver; nothing secret is in it.

    Args:
        image: What runs there.
        member: Its name.
        options: Of the target.
        name: Of the machine.
        tag: By which the rule that lets the driver in knows it.
        zone: Where it goes.
        program: What it runs.
        words: The program's arguments.
        secrets: Whole names of the run's secrets, which go when the member has ended.
        labels: What it carries.
        network: Whole name of the network.
        subnetwork: Whole name of the subnetwork.
        account: E-mail address of its service account.
        lifetime: Seconds after which Compute Engine deletes it, whatever runs there.
    """
    interface: dict[str, Any] = {"network": network, "subnetwork": subnetwork}
    if options.public:
        interface["accessConfigs"] = [{"name": "External NAT", "type": "ONE_TO_ONE_NAT"}]
    user_data = cloud_config(image, program, words, secrets, lifetime)
    return {
        "name": name,
        "machineType": f"zones/{zone}/machineTypes/{options.scheduler_machine_type}",
        "labels": dict(labels),
        "tags": {"items": [tag]},
        "disks": [
            {
                "boot": True,
                "autoDelete": True,
                "initializeParams": {
                    "sourceImage": "projects/cos-cloud/global/images/family/cos-stable",
                    "diskSizeGb": str(SCHEDULER_DISK),
                    "diskType": f"zones/{zone}/diskTypes/pd-balanced",
                    "labels": dict(labels),
                },
            }
        ],
        "networkInterfaces": [interface],
        "serviceAccounts": [
            {"email": account, "scopes": ["https://www.googleapis.com/auth/cloud-platform"]}
        ],
        "metadata": {
            "items": [
                {"key": "user-data", "value": user_data},
                {"key": MEMBERS.rpartition("/")[2], "value": member},
            ]
        },
        "scheduling": {
            "provisioningModel": "STANDARD",
            "instanceTerminationAction": "DELETE",
            "maxRunDuration": {"seconds": str(int(lifetime) + AFTERLIFE)},
            "onHostMaintenance": "MIGRATE",
            "automaticRestart": False,
        },
        "shieldedInstanceConfig": {"enableSecureBoot": True},
    }


def firewall_rule(
    name: str,
    network: str,
    description: str,
    sources: Sequence[str],
    ports: Sequence[str],
    tag: str | None = None,
) -> dict[str, Any]:
    """Return the body of a rule that lets some addresses in.

    Args:
        name: Of the rule.
        network: Whole name of the network.
        description: Says whose it is: rules have no labels.
        sources: Networks, never the whole world.
        ports: Of TCP.
        tag: Only machines with this one; all in the network when None.
    """
    rule: dict[str, Any] = {
        "name": name,
        "network": network,
        "description": description,
        "direction": "INGRESS",
        "sourceRanges": list(sources),
        "allowed": [{"IPProtocol": "tcp", "ports": list(ports)}],
    }
    if tag is not None:
        rule["targetTags"] = [tag]
    return rule


def members_of_pool(pool: Mapping[str, Any], price: float | None = None) -> list[Member]:
    """Return the members that a pool is, all in the state of the pool."""
    condition = pool.get("terminalCondition") or {}
    said = condition.get("message")
    state: State = "pending"
    failure: FailureKind | None = None
    if pool.get("deleteTime"):
        state = "stopping"
    elif condition.get("state") == "CONDITION_SUCCEEDED":
        state = "running"
    elif condition.get("state") == "CONDITION_FAILED":
        state = "stopped"
        failure = meaning(f"{condition.get('reason')} {said}")
    return [
        Member(
            name=name,
            state=state,
            id=pool["name"],
            reason=said,
            failure=failure,
            capacity="on-demand",
            hourly=price,
            unit=pool["name"],
        )
        for name in names_of_pool(pool)
    ]


def names_of_pool(pool: Mapping[str, Any]) -> list[str]:
    """Return the names of the members that a pool is."""
    return [name for name in pool.get("annotations", {}).get(MEMBERS, "").split(",") if name]


def name_of_machine(machine: Mapping[str, Any]) -> str:
    """Return the name of the member that a machine is."""
    items = machine.get("metadata", {}).get("items", [])
    key = MEMBERS.rpartition("/")[2]
    return next((each["value"] for each in items if each["key"] == key), str(machine["name"]))


def member_of_machine(machine: Mapping[str, Any], price: float | None = None) -> Member:
    """Return the member that a machine is."""
    interface: Mapping[str, Any] = next(iter(machine.get("networkInterfaces", [])), {})
    state = _MACHINE_STATES.get(machine["status"], "pending")
    return Member(
        name=name_of_machine(machine),
        state=state,
        id=str(machine["name"]),
        address=interface.get("networkIP"),
        reason=machine.get("statusMessage")
        or ("the machine has stopped" if state == "stopped" else None),
        zone=str(machine.get("zone", "")).rpartition("/")[2] or None,
        capacity="on-demand",
        hourly=price,
    )


def public_address(machine: Mapping[str, Any]) -> str | None:
    """Return a machine's public address; None when it has none."""
    interface: Mapping[str, Any] = next(iter(machine.get("networkInterfaces", [])), {})
    return next((each.get("natIP") for each in interface.get("accessConfigs", [])), None)


def meaning(words: str) -> FailureKind:
    """Return what the words of a failure amount to."""
    return next((kind for pattern, kind in _MEANINGS if re.search(pattern, words)), "other")


def failure_of(words: str, cure: str | None = None) -> LaunchFailure:
    """Return the failure that words of Google Cloud tell."""
    kind = meaning(words)
    cures = {
        "quota": "ask for fewer workers, or have the quota of the region raised",
        "permission": "see what is missing with: scalable doctor --print-policy",
        "image": "check the image's name, and that the service account may read it",
    }
    return LaunchFailure(kind=kind, message=words, cure=cure or cures.get(kind))


def request_id(*words: str) -> str:
    """Return the mark by which Compute Engine knows a request that it has had already."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join(words)))
