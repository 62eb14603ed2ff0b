"""The end of a run on Google Cloud, from its record alone, and what there is under a project's labels."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from itertools import count
from typing import Any

from scalable_core.cluster.ledger import Ledger
from scalable_core.types import ClusterRecord, HookContext, ReleaseReport, Resource
from scalable_gcp import hourly, requests
from scalable_gcp.cloud import CallError, Cloud, gone
from scalable_gcp.names import DRIVER, PROJECT, RUN, driver_secret, label, stem
from scalable_gcp.network import KIND as RULE
from scalable_gcp.network import delete_rules, find_rules, rule_names
from scalable_gcp.options import GcpOptions
from scalable_gcp.secrets import KIND as SECRET
from scalable_gcp.secrets import delete_secret

#: The noun for a member, whether it is an instance of a pool or a machine.
MEMBER = "gcp:member"
#: Seconds until what was asked for last is shown, and for which what is being deleted is waited for.
SETTLING, PATIENCE = 2.0, 120.0


async def release_run(
    cloud: Cloud,
    project: str,
    run: str,
    *,
    ledger: Ledger | None = None,
    sure: bool = False,
    driver: bool = True,
) -> list[Resource]:
    """Remove everything of a run, look again, and return what is left.

    Args:
        cloud: Where.
        project: Whose.
        run: Its id.
        ledger: Told what is gone; None when nobody keeps one here.
        sure: Nothing was asked for just now; otherwise the service is given time to show it.
        driver: The driver's own machine, job and secret go too; otherwise they are this process's own, and go
            when it has ended.
    """
    root = stem(project, run)
    kept = () if driver else (DRIVER, driver_secret(root))
    left: list[Resource] = []
    until = time.monotonic() + PATIENCE
    for look in count():
        pools, machines, jobs = await asyncio.gather(
            find_pools(cloud, root),
            find_machines(cloud, run),
            find_jobs(cloud, root) if driver else _none(),
        )
        operations = await asyncio.gather(
            *(delete_pool(cloud, pool["name"]) for pool in pools),
            *(
                delete_machine(cloud, machine)
                for machine in machines
                if requests.name_of_machine(machine) not in kept
            ),
            *(delete_job(cloud, job) for job in jobs),
        )
        if look == 0:
            secrets = [name for name in (root, driver_secret(root)) if name not in kept]
            rules, *_ = await asyncio.gather(
                delete_rules(cloud, rule_names(root)),
                *(delete_secret(cloud, name) for name in secrets),
            )
            await asyncio.gather(*(cloud.finish("compute", each) for each in rules))
        for service, operation in filter(None, operations):
            try:
                await cloud.finish(service, operation)
            except CallError as error:
                if not error.absent:
                    raise
        left = [each for each in await find_of_run(cloud, project, run) if each.id not in kept]
        if (not left and (sure or look)) or time.monotonic() > until:
            break
        await asyncio.sleep(SETTLING)
    if ledger is not None:
        there = {(each.kind, each.id) for each in left}
        for kind, names in ((SECRET, (root, driver_secret(root))), (RULE, rule_names(root))):
            await ledger.gone(kind, [name for name in names if (kind, name) not in there])
    return left


async def find_of_run(cloud: Cloud, project: str, run: str | None) -> list[Resource]:
    """Return what there is of a run, or of all runs of a project, under its labels and names."""
    owner = f"labels.{PROJECT}={label(project)}"
    pools, jobs, machines, secrets, rules = await asyncio.gather(
        find_pools(cloud, stem(project, run) if run else "scalable-"),
        find_jobs(cloud, stem(project, run) if run else "scalable-"),
        find_machines(cloud, run, None if run else owner),
        cloud.pages(
            "secretmanager",
            f"projects/{cloud.project}/secrets",
            "secrets",
            filter=f"labels.{RUN}={label(run)}" if run else owner,
        ),
        find_rules(cloud, stem(project, run) if run else "scalable-"),
    )
    found = [
        Resource(
            kind=MEMBER,
            id=name,
            region=cloud.region,
            run=each.get("labels", {}).get(RUN),
            hourly=price(cloud.region, each),
            created=each.get("createTime"),
        )
        for price, some in ((hourly.of_worker, pools), (hourly.of_job, jobs))
        for each in some
        if each.get("labels", {}).get(PROJECT) == label(project)
        for name in requests.names_of_pool(each) or [each["name"]]
    ]
    found += [
        Resource(
            kind=MEMBER,
            id=requests.name_of_machine(machine),
            region=cloud.region,
            run=machine.get("labels", {}).get(RUN),
            hourly=hourly.of_machine(cloud.region, machine),
            created=machine.get("creationTimestamp"),
        )
        for machine in machines
    ]
    found += [
        Resource(
            kind=SECRET,
            id=str(secret["name"]).rpartition("/")[2],
            run=secret.get("labels", {}).get(RUN),
            hourly=hourly.SECRET,
        )
        for secret in secrets
    ]
    mark = f"{project}/"
    found += [
        Resource(
            kind=RULE,
            id=rule["name"],
            run=rule.get("description", "").rpartition("/")[2],
            hourly=0.0,
        )
        for rule in rules
        if run or rule.get("description", "").startswith(mark)
    ]
    return found


async def find_pools(cloud: Cloud, prefix: str) -> list[dict[str, Any]]:
    """Return the pools whose names begin so, those that are being deleted too."""
    pools = await cloud.pages("run", f"{cloud.location}/workerPools", "workerPools", pageSize=100)
    return [pool for pool in pools if pool["name"].rpartition("/")[2].startswith(prefix)]


async def find_jobs(cloud: Cloud, prefix: str) -> list[dict[str, Any]]:
    """Return the jobs whose names begin so, those that are being deleted too."""
    jobs = await cloud.pages("run", f"{cloud.location}/jobs", "jobs", pageSize=100)
    return [job for job in jobs if job["name"].rpartition("/")[2].startswith(prefix)]


async def find_machines(
    cloud: Cloud, run: str | None, where: str | None = None
) -> list[dict[str, Any]]:
    """Return the machines of a run, in whatever zone, or those that a filter lets through."""
    path = f"projects/{cloud.project}/aggregated/instances"
    shown = where or f"labels.{RUN}={label(run or '')}"
    zones = await cloud.pages("compute", path, "items", filter=shown)
    return [machine for zone in zones for machine in zone.get("instances", [])]


async def delete_pool(cloud: Cloud, name: str) -> tuple[str, dict[str, Any]] | None:
    """Delete a pool with all its instances; return what it takes, None when it was gone."""
    operation = await gone(lambda: cloud.call("run", "DELETE", name))
    return None if operation is None else ("run", operation)


async def delete_job(cloud: Cloud, job: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """End what a job runs, and delete it; return what it takes, None when it was gone."""
    execution = job.get("latestCreatedExecution") or {}
    if execution.get("name") and not execution.get("completionTime"):
        path = f"{job['name']}/executions/{execution['name'].rpartition('/')[2]}:cancel"
        try:
            await cloud.call("run", "POST", path, {})
        except CallError as error:
            if error.status not in (400, 404, 409):  # it has just ended
                raise
    operation = await gone(lambda: cloud.call("run", "DELETE", job["name"]))
    return None if operation is None else ("run", operation)


async def delete_machine(
    cloud: Cloud, machine: dict[str, Any]
) -> tuple[str, dict[str, Any]] | None:
    """Delete a machine with its disk; return what it takes, None when it was gone."""
    link = str(machine["selfLink"])
    path = link[link.index("projects/") :]
    operation = await gone(lambda: cloud.call("compute", "DELETE", path))
    return None if operation is None else ("compute", operation)


async def _none() -> list[dict[str, Any]]:
    return []


def cloud_of(record: ClusterRecord) -> Cloud:
    """Return the project and region of a record."""
    return Cloud(record.data.get("project_id"), str(_region_of(record)))


def _region_of(record: ClusterRecord) -> str | None:
    """Return where a run is, from its data or from what was found of it."""
    found = (each.region for each in record.resources if each.region)
    return record.data.get("region") or next(found, None)


def release_cluster(record: ClusterRecord, context: HookContext, *, provider: str) -> ReleaseReport:
    """Remove everything that a record's run has, or say what would be removed."""
    from scalable_gcp import client

    if _region_of(record) is None:  # written before anything is created
        notes = ("its run ended before anything was created",)
        return ReleaseReport(provider=provider, remaining=record.resources, notes=notes)
    cloud = cloud_of(record)

    async def work() -> tuple[Sequence[Resource], Sequence[Resource]]:
        found = await find_of_run(cloud, record.project, record.run)
        if context.dry_run:
            return found, ()
        left = await release_run(cloud, record.project, record.run)
        kept = {(each.kind, each.id) for each in left}
        known = {(each.kind, each.id): each for each in (*record.resources, *found)}
        return [each for key, each in known.items() if key not in kept], left

    released, left = client.run(work())
    return ReleaseReport(provider=provider, released=tuple(released), remaining=tuple(left))


def find_resources(options: GcpOptions, project: str, run: str | None) -> list[Resource]:
    """Return what there is of a project, or of one run, found by label and name."""
    from scalable_gcp import client

    cloud = Cloud(options.project_id, options.region)
    return client.run(find_of_run(cloud, project, run))
