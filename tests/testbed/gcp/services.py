"""What the services keep and how they answer: worker pools, machines, rules, secrets, images, logs."""

from __future__ import annotations

import asyncio
import base64
import fnmatch
import json
import re
import time
import uuid
import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from instances import Bee, Host, Instance

PROJECT, NUMBER = "study-project", "123456789012"
ZONES = ("a", "b", "c", "f")
ACCOUNT = f"{NUMBER}-compute@developer.gserviceaccount.com"
BANDS = {"1": (0.5, 4), "2": (0.5, 8), "4": (2, 16), "6": (4, 24), "8": (4, 32)}


class Refused(Exception):
    """An answer that is no."""

    def __init__(self, status: int, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.reason = status, message, reason


@dataclass
class Settings:
    """How the world is; tests change it."""

    delay: float = 0.3
    quota: int | None = None
    stockout: list[str] = field(default_factory=list)
    disabled: list[str] = field(default_factory=list)
    denied: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    no_private_access: bool = False
    forbid_inbound: bool = False


class World:
    """All that is there."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.settings = Settings()
        self.pools: dict[str, dict[str, Any]] = {}
        self.running: dict[str, list[Instance | Bee]] = {}
        self.machines: dict[str, dict[str, Any]] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.secrets: dict[str, dict[str, Any]] = {}
        self.rules: dict[str, dict[str, Any]] = {}
        self.operations: dict[str, dict[str, Any]] = {}
        self.logs: list[dict[str, Any]] = []
        self.instances: dict[str, Instance | Bee] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self.on_instance: Any = None
        host.documents = self.documents

    async def close(self) -> None:
        """End all processes."""
        for task in list(self._tasks):
            task.cancel()
        for instance in self.instances.values():
            instance.kill()

    def soon(self, work: Any) -> None:
        """Do something beside."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def log(self, entry: dict[str, Any]) -> None:
        """Keep a line."""
        self.logs.append({**entry, "timestamp": now(), "insertId": uuid.uuid4().hex})

    # -- Cloud Run ---------------------------------------------------------------------------------------

    def create_pool(
        self, parent: str, name: str, body: dict[str, Any], dry: bool
    ) -> dict[str, Any]:
        path = f"{parent}/workerPools/{name}"
        if path in self.pools:
            raise Refused(409, f"Resource '{name}' already exists.")
        if not re.fullmatch(r"[a-z]([a-z0-9-]{0,47}[a-z0-9])?", name):
            raise Refused(400, f"worker_pool_id: {name} is invalid")
        (container,) = body["template"]["containers"]
        self._check_size(container)
        for annotation in body.get("annotations", {}):
            if re.match(r"(run|serving|autoscaling)\.googleapis\.com/|.*knative\.dev/", annotation):
                raise Refused(400, f"annotation {annotation} is reserved")
        count = body["scaling"]["manualInstanceCount"]
        there = sum(p["scaling"]["manualInstanceCount"] for p in self.pools.values())
        if self.settings.quota is not None and there + count > self.settings.quota:
            raise Refused(
                429, "Quota exceeded for total allowable instances per project per region.", "QUOTA"
            )
        if dry:
            return {"done": True, "name": f"{parent}/operations/dry"}
        pool = {
            **body,
            "name": path,
            "uid": uuid.uuid4().hex,
            "createTime": now(),
            "reconciling": True,
            "terminalCondition": {"type": "Ready", "state": "CONDITION_RECONCILING"},
        }
        self.pools[path], self.running[path] = pool, []
        operation = self._operation(parent)
        self.soon(self._start_pool(pool, operation))
        return operation

    async def _start_pool(self, pool: dict[str, Any], operation: dict[str, Any]) -> None:
        await asyncio.sleep(self.settings.delay)
        (container,) = pool["template"]["containers"]
        pool["reconciling"] = False
        if any(fnmatch.fnmatch(container["image"], each) for each in self.settings.missing):
            said = f"Image '{container['image']}' not found."
            reason = "CONTAINER_MISSING"
            pool["terminalCondition"] = {
                "type": "Ready",
                "state": "CONDITION_FAILED",
                "reason": reason,
                "message": said,
            }
            operation |= {"done": True, "error": {"code": 5, "message": said}}
            return
        for number in range(pool["scaling"]["manualInstanceCount"]):
            self.soon(self._keep_instance(pool, container, number))
        pool["terminalCondition"] = {"type": "Ready", "state": "CONDITION_SUCCEEDED"}
        operation |= {"done": True, "response": {}}

    async def _keep_instance(
        self, pool: dict[str, Any], container: dict[str, Any], number: int
    ) -> None:
        """Run an instance, and start its container again whenever it ends, as the platform does."""
        path, short = pool["name"], pool["name"].rpartition("/")[2]
        self.host.forbidden = self.settings.forbid_inbound
        resource = {"type": "cloud_run_worker_pool", "labels": {"worker_pool_name": short}}
        instance = self.host.container(
            container,
            number,
            id=f"{short}/{uuid.uuid4().hex[:8]}",
            log=lambda line: self.log({"resource": resource, "textPayload": line}),
            metadata={"project/project-id": PROJECT, "account": pool["template"]["serviceAccount"]},
        )
        pause = 0.5
        await self._place(instance)
        self.running[path].append(instance)
        while path in self.pools and instance in self.running[path]:
            await instance.start()
            code = await instance.wait()
            said = f"called exit({code})" if code >= 0 else f"terminated on signal {-code}"
            self.log({"resource": resource, "textPayload": f"Container {said}."})
            await asyncio.sleep(pause)
            pause = min(10.0, pause * 2)

    def scale_pool(self, path: str, count: int) -> dict[str, Any]:
        """Change the number of instances; the service itself chooses whom it ends: the oldest here."""
        pool = self.pool(path)
        pool["scaling"]["manualInstanceCount"] = count
        for instance in self.running[path][: max(0, len(self.running[path]) - count)]:
            self.running[path].remove(instance)
            self.soon(instance.end())
        operation = self._operation(path.partition("/workerPools")[0])
        return operation | {"done": True, "response": {}}

    def delete_pool(self, path: str) -> dict[str, Any]:
        pool = self.pool(path)
        operation = self._operation(path.partition("/workerPools")[0])
        if "deleteTime" not in pool:
            pool["deleteTime"] = now()
            self.soon(self._delete_pool(path, operation))
        else:
            operation |= {"done": True, "response": {}}
        return operation

    async def _delete_pool(self, path: str, operation: dict[str, Any]) -> None:
        ending, self.running[path] = self.running[path], []
        await asyncio.gather(*(instance.end() for instance in ending))
        self.pools.pop(path, None)
        operation |= {"done": True, "response": {}}

    def create_job(self, parent: str, name: str, body: dict[str, Any], dry: bool) -> dict[str, Any]:
        path = f"{parent}/jobs/{name}"
        if path in self.jobs:
            raise Refused(409, f"Resource '{name}' already exists.")
        if not re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", name):
            raise Refused(400, f"job_id: {name} is invalid")
        (container,) = body["template"]["template"]["containers"]
        self._check_size(container)
        seconds = int(body["template"]["template"]["timeout"].removesuffix("s"))
        if seconds > 168 * 3600:
            raise Refused(400, "Invalid value for task timeout")
        if not dry:
            self.jobs[path] = {**body, "name": path, "createTime": now(), "executionCount": 0}
        operation = self._operation(parent)
        return operation | {"done": True, "response": {}}

    def job(self, path: str) -> dict[str, Any]:
        if path not in self.jobs:
            raise Refused(
                404, f"Resource '{path.rpartition('/')[2]}' of kind 'JOB' does not exist."
            )
        return self.jobs[path]

    def run_job(self, path: str) -> dict[str, Any]:
        job = self.job(path)
        name = f"{path.rpartition('/')[2]}-{uuid.uuid4().hex[:5]}"
        job["latestCreatedExecution"] = {"name": name, "createTime": now()}
        self.soon(self._run_job(job))
        return self._operation(path.partition("/jobs")[0])

    async def _run_job(self, job: dict[str, Any]) -> None:
        task, short = job["template"]["template"], job["name"].rpartition("/")[2]
        resource = {"type": "cloud_run_job", "labels": {"job_name": short}}

        instance = self.host.container(
            task["containers"][0],
            id=short,
            log=lambda line: self.log({"resource": resource, "textPayload": line}),
            metadata={
                "project/project-id": PROJECT,
                "instance/region": f"projects/{NUMBER}/regions/us-central1",
                "account": task["serviceAccount"],
            },
        )
        await asyncio.sleep(self.settings.delay)
        await self._place(instance)
        await instance.start()
        await instance.wait()
        job["latestCreatedExecution"]["completionTime"] = now()

    def cancel_execution(self, path: str) -> dict[str, Any]:
        job, _, name = path.removesuffix(":cancel").partition("/executions/")
        execution = self.job(job).get("latestCreatedExecution") or {}
        if execution.get("name") != name or execution.get("completionTime"):
            raise Refused(400, f"execution {name} is not running")
        self.soon(self.instances[job.rpartition("/")[2]].end())
        return self._operation(job.partition("/jobs")[0]) | {"done": True, "response": {}}

    def delete_job(self, path: str) -> dict[str, Any]:
        """Delete a job; what it runs is ended, some time after the call has been answered."""
        self.job(path)
        operation = self._operation(path.partition("/jobs")[0])
        self.soon(self._delete_job(path, operation))
        return operation

    async def _delete_job(self, path: str, operation: dict[str, Any]) -> None:
        await asyncio.sleep(0.1)
        self.jobs.pop(path, None)
        instance = self.instances.get(path.rpartition("/")[2])
        if instance is not None:
            await instance.end()
        operation |= {"done": True, "response": {}}

    def _check_size(self, container: dict[str, Any]) -> None:
        limits = container["resources"]["limits"]
        memory = int(limits["memory"].removesuffix("Mi")) / 1024
        band = BANDS.get(limits["cpu"])
        if band is None or not band[0] <= memory <= band[1]:
            raise Refused(400, f"Invalid value specified for container memory: {limits}")

    def pool(self, path: str) -> dict[str, Any]:
        if path not in self.pools:
            raise Refused(
                404, f"Resource '{path.rpartition('/')[2]}' of kind 'WORKER_POOL' does not exist."
            )
        return self.pools[path]

    # -- Compute Engine ----------------------------------------------------------------------------------

    def create_machine(self, zone: str, body: dict[str, Any], url: str) -> dict[str, Any]:
        name = body["name"]
        path = f"projects/{PROJECT}/zones/{zone}/instances/{name}"
        if not re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", name):
            raise Refused(400, f"Invalid value for field 'resource.name': '{name}'")
        if path in self.machines:
            raise Refused(409, f"The resource '{path}' already exists")
        operation = self._operation(f"projects/{PROJECT}/zones/{zone}", compute=url)
        if zone in self.settings.stockout:
            said = f"The zone '{zone}' does not have enough resources available to fulfill the request."
            operation |= {
                "status": "DONE",
                "error": {"errors": [{"code": "ZONE_RESOURCE_POOL_EXHAUSTED", "message": said}]},
            }
            return operation
        self.soon(self._start_machine(path, zone, body, url, operation))
        return operation

    async def _start_machine(
        self, path: str, zone: str, body: dict[str, Any], url: str, operation: dict[str, Any]
    ) -> None:
        name = body["name"]
        data = next(
            each["value"] for each in body["metadata"]["items"] if each["key"] == "user-data"
        )
        resource = {"type": "gce_instance", "labels": {"zone": zone}}
        instance = self.host.machine(
            data,
            id=name,
            log=lambda line: self.log(
                {
                    "resource": resource,
                    "logName": f"projects/{PROJECT}/logs/gcplogs-docker-driver",
                    "jsonPayload": {"instance": {"name": name}, "message": line},
                }
            ),
            metadata={
                "project/project-id": PROJECT,
                "instance/name": name,
                "instance/zone": f"projects/{NUMBER}/zones/{zone}",
                "account": body["serviceAccounts"][0]["email"],
            },
        )
        interface = {**body["networkInterfaces"][0], "networkIP": instance.address}
        if interface.get("accessConfigs"):
            interface["accessConfigs"] = [
                {**interface["accessConfigs"][0], "natIP": instance.address}
            ]
        self.machines[path] = {
            **body,
            "status": "STAGING",
            "selfLink": f"{url}/compute/compute/v1/{path}",
            "zone": f"{url}/compute/compute/v1/projects/{PROJECT}/zones/{zone}",
            "creationTimestamp": now(),
            "networkInterfaces": [interface],
        }
        await asyncio.sleep(self.settings.delay)
        operation["status"] = "DONE"
        if path not in self.machines:
            return
        await self._place(instance)
        self.machines[path]["status"] = "RUNNING"
        await instance.start()
        await instance.wait()
        if path in self.machines:
            self.machines[path]["status"] = "TERMINATED"

    def delete_machine(self, path: str, url: str) -> dict[str, Any]:
        if path not in self.machines:
            raise Refused(404, f"The resource '{path}' was not found")
        operation = self._operation(path.partition("/instances")[0], compute=url)
        self.machines[path]["status"] = "STOPPING"
        self.soon(self._delete_machine(path, operation))
        return operation

    async def _delete_machine(self, path: str, operation: dict[str, Any]) -> None:
        instance = self.instances.get(path.rpartition("/")[2])
        if instance is not None:
            # The last word of a machine is the call that deletes it: let it be answered.
            await asyncio.sleep(0.1)
            instance.kill()
        self.machines.pop(path, None)
        operation["status"] = "DONE"

    def create_rule(self, body: dict[str, Any], url: str) -> dict[str, Any]:
        if body["name"] in self.rules:
            raise Refused(409, f"The resource '{body['name']}' already exists")
        self.rules[body["name"]] = body
        return self._operation(f"projects/{PROJECT}/global", compute=url) | {"status": "DONE"}

    def delete_rule(self, name: str, url: str) -> dict[str, Any]:
        if self.rules.pop(name, None) is None:
            raise Refused(
                404, f"The resource 'projects/{PROJECT}/global/firewalls/{name}' was not found"
            )
        return self._operation(f"projects/{PROJECT}/global", compute=url) | {"status": "DONE"}

    # -- Secret Manager ----------------------------------------------------------------------------------

    def create_secret(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        path = f"projects/{NUMBER}/secrets/{name}"
        if path in self.secrets:
            raise Refused(409, f"Secret [{path}] already exists.")
        self.secrets[path] = {"body": {**body, "name": path}, "versions": [], "readers": []}
        return self.secrets[path]["body"]

    def secret(self, name: str) -> dict[str, Any]:
        path = f"projects/{NUMBER}/secrets/{name}"
        if path not in self.secrets:
            raise Refused(404, f"Secret [{path}] not found.")
        return self.secrets[path]

    def access(self, name: str, number: str, account: str) -> dict[str, Any]:
        secret = self.secret(name)
        if f"serviceAccount:{account}" not in secret["readers"]:
            raise Refused(403, "Permission 'secretmanager.versions.access' denied for resource.")
        if int(number) > len(secret["versions"]):
            raise Refused(
                404,
                f"Secret Version [projects/{NUMBER}/secrets/{name}/versions/{number}] not found.",
            )
        return {"payload": {"data": secret["versions"][int(number) - 1]}}

    def add_version(self, name: str, data: str) -> dict[str, Any]:
        if len(base64.b64decode(data)) > 65536:
            raise Refused(400, "The secret payload is too large")
        versions = self.secret(name)["versions"]
        versions.append(data)
        return {"name": f"projects/{NUMBER}/secrets/{name}/versions/{len(versions)}"}

    def documents(self, name: str) -> dict[str, str]:
        """Return what a reader of the versions of a secret has got."""
        found: dict[str, str] = {}
        parts: list[str] = []
        for data in self.secrets.get(f"projects/{NUMBER}/secrets/{name}", {}).get("versions", []):
            head, _, body = base64.b64decode(data).decode().partition("\n")
            parts.append(body)
            if len(parts) == int(head.partition("/")[2]):
                found |= json.loads(zlib.decompress(base64.b64decode("".join(parts))))
                parts.clear()
        return found

    # -- inside ------------------------------------------------------------------------------------------

    async def _place(self, instance: Instance | Bee) -> None:
        self.instances[instance.id] = instance
        await self.on_instance(instance)

    def _operation(self, parent: str, compute: str | None = None) -> dict[str, Any]:
        name = f"operation-{uuid.uuid4().hex[:12]}"
        path = f"{parent}/operations/{name}"
        operation: dict[str, Any] = {"name": path, "done": False}
        if compute:
            operation = {
                "name": name,
                "selfLink": f"{compute}/compute/compute/v1/{path}",
                "status": "RUNNING",
            }
        self.operations[path] = operation
        return operation


def now() -> str:
    """Return the time as Google writes it."""
    return datetime.fromtimestamp(time.time(), UTC).isoformat().replace("+00:00", "Z")
