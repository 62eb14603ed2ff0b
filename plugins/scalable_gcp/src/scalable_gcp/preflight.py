"""What is asked of Google Cloud before a run costs anything: who asks, what he may, what is there."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Coroutine, Sequence
from typing import Any

from scalable_core.cluster.launcher import MemberGroup
from scalable_core.errors import ClusterError
from scalable_core.types import HookContext, Plan, Problem, WorkerGroup
from scalable_gcp import requests
from scalable_gcp.cloud import CallError, Cloud
from scalable_gcp.driver import driver_job, in_one_job
from scalable_gcp.network import find_network
from scalable_gcp.options import CloudRunOptions
from scalable_gcp.policy import driver_permissions
from scalable_gcp.sizes import CloudRunSize, single_size

#: Services that a run calls; IAP only without a public address.
SERVICES = ("run", "compute", "secretmanager", "logging")
#: Permissions that belong to something else than the project.
_ELSEWHERE = ("iam.serviceAccounts.actAs",)
#: Name of what is tried, and never made.
_TRIAL = "scalable-preflight"


def preflight(plan: Plan, context: HookContext) -> Sequence[Problem]:
    """Return all problems found, and what is as it should be."""
    from scalable_gcp import client

    options = plan.target.options
    if not isinstance(options, CloudRunOptions) or in_one_job():
        return ()  # a driver whose workers are beside it asks for nothing more
    try:
        cloud = Cloud(options.project_id, options.region)
    except ClusterError as error:
        return (_error("E1220", "project", error),)
    return client.run(_look(cloud, options, plan))


async def _look(cloud: Cloud, options: CloudRunOptions, plan: Plan) -> list[Problem]:
    try:
        project = await cloud.call("cloudresourcemanager", "GET", f"projects/{cloud.project}")
    except CallError as error:
        return [_no_project(cloud, error)]
    account = options.service_account or (
        f"{str(project['name']).rpartition('/')[2]}-compute@developer.gserviceaccount.com"
    )
    driver = (options.driver_service_account or account) if plan.detached else account
    way = None if plan.detached else "its public address" if options.public else "a tunnel of IAP"
    single = single_size(plan)
    looks: list[Coroutine[Any, Any, list[Problem]]] = [
        _permissions(cloud, driver_permissions(public=options.public, detached=plan.detached)),
        *(_account(cloud, each) for each in sorted({account, driver})),
        _services(cloud, iap=way == "a tunnel of IAP"),
    ]
    if single is not None:
        looks.append(_job(cloud, plan, single, driver))
    else:
        looks += [
            _region(cloud, options),
            _network(cloud, options, plan.maximum, way),
            *(_pool(cloud, options, group, account) for group in plan.groups),
        ]
    found = [_info("credentials", f"project {cloud.project}"), *_storage(plan)]
    for problems in await asyncio.gather(*looks):
        found += problems
    off = [each for each in found if each.code == "E1223"]
    if off:  # what follows from that says nothing more
        return [each for each in found if each.code in ("E1223", "E1222", "I1220")]
    return found


def _storage(plan: Plan) -> list[Problem]:
    """See that a driver in Google Cloud reaches the project's storage."""
    scheme, _, rest = plan.stores.artifacts.partition("://")
    if not plan.detached or scheme in ("gs", "gcs"):
        return []
    here = scheme == "file" or not rest
    message = (
        f"the driver in Google Cloud does not see {plan.stores.artifacts}, which is of this machine"
        if here
        else f"the driver in Google Cloud has no credentials for {scheme}:// but those in the manifest"
    )
    return [
        Problem(
            code="E1231" if here else "W1231",
            message=message,
            where="storage",
            cure="write a default_storage of gs://",
            severity="error" if here else "warning",
        )
    ]


def _no_project(cloud: Cloud, error: CallError) -> Problem:
    if error.status in (403, 404) and error.reason != "SERVICE_DISABLED":
        return Problem(
            code="E1220",
            message=f"there is no project {cloud.project!r} that these credentials may see",
            where="project",
            cure="write the right project_id, or grant roles/browser on the project",
        )
    return _error("E1221" if error.status == 401 else "E1220", "credentials", error)


async def _permissions(cloud: Cloud, permissions: Sequence[str]) -> list[Problem]:
    wanted = [each for each in permissions if each not in _ELSEWHERE]
    path = f"projects/{cloud.project}:testIamPermissions"
    try:
        answer = await cloud.call("cloudresourcemanager", "POST", path, {"permissions": wanted})
    except CallError as error:
        return [_error("E1222", "permissions", error)]
    missing = sorted(set(wanted) - set(answer.get("permissions", [])))
    if not missing:
        return [_info("permissions", f"all {len(wanted)} permissions are there")]
    return [
        Problem(
            code="E1222",
            message=f"these permissions are missing on project {cloud.project}: {', '.join(missing)}",
            where="permissions",
            cure="grant the role that is printed by: scalable doctor --print-policy",
        )
    ]


async def _account(cloud: Cloud, account: str) -> list[Problem]:
    path = f"projects/-/serviceAccounts/{account}:testIamPermissions"
    try:
        answer = await cloud.call("iam", "POST", path, {"permissions": list(_ELSEWHERE)})
    except CallError as error:
        if error.absent:
            return [
                Problem(
                    code="E1224",
                    message=f"there is no service account {account}",
                    where="permissions",
                    cure="create it, or write another service_account in the target",
                )
            ]
        return []  # the API that would tell may be off, and need not be on for a run
    if answer.get("permissions"):
        return []
    return [
        Problem(
            code="E1222",
            message=f"iam.serviceAccounts.actAs is missing on service account {account}",
            where="permissions",
            cure=f"grant roles/iam.serviceAccountUser on {account}",
        )
    ]


async def _services(cloud: Cloud, *, iap: bool) -> list[Problem]:
    wanted = [f"{name}.googleapis.com" for name in (*SERVICES, *(("iap",) if iap else ()))]
    path = f"projects/{cloud.project}/services"
    try:
        found = await cloud.pages(
            "serviceusage", path, "services", filter="state:ENABLED", pageSize=200
        )
    except CallError as error:
        return [
            _error("E1223" if error.reason == "SERVICE_DISABLED" else "E1222", "services", error)
        ]
    on = {
        str(each.get("config", {}).get("name") or each["name"]).rpartition("/")[2] for each in found
    }
    off = [name for name in wanted if name not in on]
    if not off:
        return [_info("services", f"{', '.join(wanted)} are enabled")]
    return [
        Problem(
            code="E1223",
            message=f"these services are not enabled in project {cloud.project}: {', '.join(off)}",
            where="services",
            cure=f"gcloud services enable {' '.join(off)} --project {cloud.project}",
        )
    ]


async def _region(cloud: Cloud, options: CloudRunOptions) -> list[Problem]:
    try:
        region = await cloud.call(
            "compute", "GET", f"projects/{cloud.project}/regions/{cloud.region}"
        )
    except CallError as error:
        if error.absent:
            return [
                Problem(
                    code="E1225",
                    message=f"project {cloud.project} has no region {cloud.region!r}",
                    where="region",
                    cure="see what there is with: gcloud compute regions list",
                )
            ]
        return [_error("E1225", "region", error)]
    zones = [str(zone).rpartition("/")[2] for zone in region.get("zones", [])]
    if options.zone and options.zone not in zones:
        return [
            Problem(
                code="E1225",
                message=f"region {cloud.region} has no zone {options.zone}",
                where="region",
                cure=f"write one of {', '.join(zones)}, or none",
            )
        ]
    for quota in region.get("quotas", []):
        if quota["metric"] == "CPUS" and quota["limit"] - quota["usage"] < 2:
            return [
                Problem(
                    code="E1226",
                    message=f"{quota['usage']:g} of {quota['limit']:g} CPUs of Compute Engine are in use in "
                    f"{cloud.region}, and the scheduler's machine needs 2",
                    where="quota",
                    cure="release machines there, ask for a higher quota, or take another region",
                )
            ]
    return [_info("quota", f"{cloud.region} has room for the scheduler's machine")]


async def _network(
    cloud: Cloud, options: CloudRunOptions, workers: int, way: str | None
) -> list[Problem]:
    try:
        network = await find_network(cloud, options)
    except ClusterError as error:
        return [_error("E1227", "network", error)]
    name = network.subnetwork.rpartition("/")[2]
    found = []
    if not options.public and not network.private_access:
        found.append(
            Problem(
                code="E1228",
                message=f"from subnetwork {name} Google's services are reached by machines with a public "
                "address alone, and the scheduler has none",
                where="network",
                cure=f"gcloud compute networks subnets update {name} --region {cloud.region} "
                f"--project {cloud.project} --enable-private-ip-google-access",
            )
        )
    room = ipaddress.ip_network(network.addresses).num_addresses
    if 2 * workers + 5 > room:
        message = (
            f"subnetwork {name} has {room} addresses, and {workers} workers may need {2 * workers}"
        )
        cure = "write a larger subnetwork in the target"
        found.append(
            Problem(code="W1229", message=message, where="network", cure=cure, severity="warning")
        )
    reached = f"; the scheduler is reached through {way}" if way else ", the driver too"
    return found or [_info("network", f"members go to {name}{reached}")]


async def _job(cloud: Cloud, plan: Plan, size: CloudRunSize, account: str) -> list[Problem]:
    """Try the job that is to hold all of a run."""
    body = driver_job(plan, size, words=["drive"], labels={}, account=account)
    fits = f"driver, scheduler and workers fit into one instance of {size}"
    return await _try(cloud, "job", body, "the job of the driver and its workers", fits)


async def _pool(
    cloud: Cloud, options: CloudRunOptions, group: WorkerGroup, account: str
) -> list[Problem]:
    """Try a pool of one worker."""
    image = group.resolved.pinned if group.resolved else group.image
    member = MemberGroup(
        name=group.name, cpus=group.cpus, memory=group.memory, gpus=group.gpus, image=image
    )
    subnetwork = options.subnetwork or options.network or "default"
    body = requests.worker_pool(
        member,
        [f"{group.name}-0"],
        options,
        pool=_TRIAL,
        program="",
        place="",
        labels={},
        network=f"projects/{cloud.project}/global/networks/{options.network or 'default'}",
        subnetwork=f"projects/{cloud.project}/regions/{cloud.region}/subnetworks/{subnetwork}",
        account=account,
    )
    what = f"the workers of {group.name!r}"
    return await _try(cloud, "workerPool", body, what, f"Cloud Run takes {what}")


async def _try(
    cloud: Cloud, kind: str, body: dict[str, Any], what: str, fits: str
) -> list[Problem]:
    """Have Cloud Run say what it thinks of a job or a pool, without making it.

    Args:
        cloud: Where.
        kind: ``job`` or ``workerPool``.
        body: That would make it.
        what: It is, in a sentence.
        fits: What is said when there is nothing against it.
    """
    trial: dict[str, str | bool] = {f"{kind}Id": _TRIAL, "validateOnly": True}
    try:
        await cloud.call("run", "POST", f"{cloud.location}/{kind}s", body, **trial)
    except CallError as error:
        if error.status in (401, 403):
            return []  # said before
        return [
            Problem(
                code="E1230",
                message=f"Cloud Run would refuse {what}: {error.said}",
                where="workers",
                cure=requests.failure_of(error.said).cure or error.cure,
            )
        ]
    return [_info("workers", fits)]


def _error(code: str, where: str, error: ClusterError) -> Problem:
    return Problem(code=code, message=error.message, where=where, cure=error.cure)


def _info(where: str, message: str) -> Problem:
    return Problem(code="I1220", message=message, where=where, severity="info")
