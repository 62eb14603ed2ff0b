"""The driver of a detached run, in a job that holds all of it or on a machine, and its fleet."""

from __future__ import annotations

import asyncio
import json
import os
import time
from typing import TYPE_CHECKING, Any

from scalable_core.cluster.commission import default_limits, scheduler_group
from scalable_core.errors import UsageError
from scalable_core.types import BundleRef, ClusterRecord, Event, HookContext, Plan, Resource
from scalable_core.types.units import MIB
from scalable_gcp import requests
from scalable_gcp.cloud import CallError, Cloud
from scalable_gcp.cloud_config import onsite_program
from scalable_gcp.names import (
    DRIVER,
    MEMBERS,
    driver_secret,
    labels_of,
    machine_name,
    stem,
)
from scalable_gcp.network import find_account, find_network, find_zones
from scalable_gcp.onsite import HOME
from scalable_gcp.release import MEMBER, release_run
from scalable_gcp.secrets import KIND as SECRET
from scalable_gcp.secrets import SecretStore
from scalable_gcp.sizes import LONGEST_TASK, CloudRunSize, single_size, why_not_single

if TYPE_CHECKING:
    from scalable_core.cluster.fleet import FleetCluster

#: Of `onsite` for a driver that is no job.
MACHINE = "machine"


def start_driver(
    plan: Plan, bundle: BundleRef, context: HookContext, *, provider: str
) -> ClusterRecord:
    """Start a driver, and return what it takes to find and release it.

    Raises:
        UsageError: The plan does not fit into one instance, and is to.
        ClusterError: It cannot be started; nothing of it is left.
    """
    from scalable_gcp import client

    check_single(plan)
    return client.run(_Start(plan, bundle, context, provider).start())


def provision(plan: Plan, context: HookContext) -> FleetCluster:
    """Return the cluster of the driver that this process is."""
    from scalable_core.cluster.fleet import FleetCluster
    from scalable_gcp.cloud_run import CloudRunLauncher
    from scalable_gcp.onsite import metadata
    from scalable_gcp.single import InstanceLauncher

    options = plan.target.options
    if not in_one_job():
        host = metadata("instance/network-interfaces/0/ip")
        launcher = CloudRunLauncher(options, detached=True)
        return FleetCluster(plan, launcher, context, driver_host=host)
    count = f"{plan.maximum} worker{'s' * (plan.maximum != 1)}"
    said = f"transport single: driver, scheduler and {count} fit into {single_size(plan)}"
    context.events.emit(Event(time=time.time(), kind="fleet.transport", message=said))
    return FleetCluster(plan, InstanceLauncher(options), context, driver_host="127.0.0.1")


def in_one_job() -> bool:
    """Return whether this process is a driver whose workers are in its own instance."""
    return os.environ.get(HOME, MACHINE) != MACHINE


def check_single(plan: Plan) -> None:
    """See that a plan that is to run in one instance fits into one.

    Raises:
        UsageError: It does not.
    """
    reason = why_not_single(plan)
    if plan.target.options.transport == "single" and reason:
        raise UsageError(
            f"target {plan.target.name!r} cannot run in one instance: {reason}",
            cure="write transport: auto, or ask for less",
        )


def driver_job(
    plan: Plan, size: CloudRunSize, *, words: list[str], labels: dict[str, str], account: str
) -> dict[str, Any]:
    """Return the body that makes the job of a driver; nothing secret is in it. It is run once.

    Args:
        plan: What it is to run.
        size: Of its one instance.
        words: The arguments of `onsite`.
        labels: What it carries.
        account: E-mail address of its service account.
    """
    lifetime = default_limits(plan.target.options).lifetime
    timeout = min(int(lifetime) + requests.AFTERLIFE, LONGEST_TASK)
    limits = {"cpu": str(size.cpus), "memory": f"{size.memory // MIB}Mi"}
    task = {
        "serviceAccount": account,
        "maxRetries": 0,
        "timeout": f"{timeout}s",
        "executionEnvironment": "EXECUTION_ENVIRONMENT_GEN2",
        "containers": [
            {
                "name": "driver",
                "image": driver_image(plan),
                "command": ["python", "-c", onsite_program()],
                "args": words,
                "env": [
                    {"name": "TMPDIR", "value": requests.SCRATCH},
                    {"name": "PYTHONUNBUFFERED", "value": "1"},
                ],
                "resources": {"limits": limits},
                "volumeMounts": [{"name": "scratch", "mountPath": requests.SCRATCH}],
            }
        ],
        "volumes": [{"name": "scratch", "emptyDir": {"medium": "DISK", "sizeLimit": "10Gi"}}],
    }
    return {
        "labels": labels,
        "annotations": {MEMBERS: DRIVER},
        "template": {"labels": labels, "taskCount": 1, "parallelism": 1, "template": task},
    }


def driver_image(plan: Plan) -> str:
    """Return the image of a driver.

    Raises:
        UsageError: There is none.
    """
    options = plan.target.options
    found: str = options.driver_image or requests.image_of(scheduler_group(plan), options)
    return found


class _Start:
    """One start of a driver."""

    def __init__(self, plan: Plan, bundle: BundleRef, context: HookContext, provider: str) -> None:
        assert context.run is not None
        self._plan, self._bundle, self._provider = plan, bundle, provider
        self._options, self._run = plan.target.options, context.run
        self._variables = dict(context.secrets() if context.secrets else {})
        self._cloud = Cloud(self._options.project_id, self._options.region)
        self._image = driver_image(plan)
        self._lifetime = default_limits(self._options).lifetime
        self._root = stem(plan.project.name, self._run)
        tags = {"scalable-project": plan.project.name, "scalable-run": self._run}
        self._labels = labels_of(tags)
        self._secret = SecretStore(
            self._cloud, driver_secret(self._root), self._labels, None, self._lifetime
        )

    async def start(self) -> ClusterRecord:
        """Start it, or leave nothing."""
        try:
            options = self._options
            account = await find_account(
                self._cloud, options.driver_service_account or options.service_account
            )
            await self._secret.open(account)
            await self._secret.add(json.dumps(self._variables))
            size = single_size(self._plan)
            if size is not None:
                await self._start_job(size, account)
            else:
                await self._start_machine(account)
        except BaseException:
            name = self._plan.project.name
            await asyncio.shield(release_run(self._cloud, name, self._run, sure=True))
            raise
        return ClusterRecord(
            provider=self._provider,
            run=self._run,
            project=self._plan.project.name,
            target=self._plan.target.name,
            created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            resources=(
                Resource(kind=MEMBER, id=DRIVER, region=self._cloud.region, run=self._run),
                Resource(kind=SECRET, id=driver_secret(self._root), run=self._run),
            ),
            data={"region": self._cloud.region, "project_id": self._cloud.project},
        )

    async def _start_job(self, size: CloudRunSize, account: str) -> None:
        name = machine_name(self._plan.project.name, self._run, DRIVER)
        path = f"{self._cloud.location}/jobs/{name}"
        words = ["drive", self._secret.path, path, *self._bundle.command]
        body = driver_job(self._plan, size, words=words, labels=self._labels, account=account)
        parent = f"{self._cloud.location}/jobs"
        made = await self._cloud.call("run", "POST", parent, body, jobId=name)
        await self._cloud.finish("run", made)
        await self._cloud.call("run", "POST", f"{path}:run", {})

    async def _start_machine(self, account: str) -> None:
        """Make the machine in the first zone that has room for it."""
        options, cloud = self._options, self._cloud
        network, zones = await asyncio.gather(find_network(cloud, options), find_zones(cloud))
        name = machine_name(self._plan.project.name, self._run, DRIVER)
        zones = [options.zone] if options.zone else zones
        root = f"projects/{cloud.project}/secrets/{self._root}"
        for zone in zones:
            body = requests.machine(
                self._image,
                DRIVER,
                options,
                name=name,
                tag=self._root,
                zone=zone,
                program=onsite_program(),
                words=["drive", self._secret.path, "", *self._bundle.command],
                secrets=[root, self._secret.path],
                labels=self._labels,
                network=network.network,
                subnetwork=network.subnetwork,
                account=account,
                lifetime=self._lifetime,
            )
            parent = f"projects/{cloud.project}/zones/{zone}/instances"
            mark = requests.request_id(self._run, name, zone)
            try:
                made = await cloud.call("compute", "POST", parent, body, requestId=mark)
                await cloud.finish("compute", made)
                return
            except CallError as error:
                scarce = requests.meaning(f"{error.reason} {error.said}") == "no-capacity"
                if not scarce or zone == zones[-1]:
                    raise
