"""moto's ECS, made to tell the truth where it does not: see the table in the docstring of `correct`."""

from __future__ import annotations

import datetime
import itertools
import json
import socket
import threading
from typing import Any

import moto.ecs.models as models
import moto.ecs.responses as responses
from moto.core.exceptions import JsonRESTError
from moto.core.responses import ActionResult
from moto.ec2.models import ec2_backends
from moto.ecs.exceptions import InvalidParameterException

from scalable_aws.sizes import _TABLE as SIZES

#: Tasks start in order of this; nothing goes back.
ORDER = (
    "PROVISIONING",
    "PENDING",
    "ACTIVATING",
    "RUNNING",
    "DEACTIVATING",
    "STOPPING",
    "DEPROVISIONING",
    "STOPPED",
)
lock = threading.RLock()
#: Provider (FARGATE, FARGATE_SPOT) to how many tasks it can have at one time; no limit where it is not named.
capacity: dict[str, int] = {}
_tokens: dict[str, tuple[str, list[Any]]] = {}


def _claim_network() -> tuple[int, socket.socket]:
    """Return the second number of addresses that no other local AWS uses, and what keeps it so."""
    for number in range(1, 16):
        try:
            return number, socket.create_server((f"127.{number}.255.254", 8786))
        except OSError:
            continue
    raise AssertionError("there are too many of them on this machine")


_network, _claim = _claim_network()
_addresses = (f"127.{_network}.{b}.{c}" for b in range(255) for c in range(1, 255))


class Refusal(JsonRESTError):
    """An error that moto has no class for."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(error_type=code, message=message)


def all_tasks() -> list[models.Task]:
    """Return the tasks of all accounts, regions and clusters."""
    return [
        task
        for backends in models.ecs_backends.values()
        for backend in list(backends.values())
        for tasks in list(backend.tasks.values())
        for task in list(tasks.values())
    ]


def interface(task: models.Task) -> dict[str, str]:
    """Return the details of a task's network interface."""
    return {each["name"]: each["value"] for each in task.attachments[0]["details"]}


def ask_to_stop(task: models.Task, reason: str, code: str) -> None:
    """Mean a task to stop; whoever runs it does the rest."""
    if task.desired_status != "STOPPED":
        task.desired_status, task.stopped_reason, task.stop_code = "STOPPED", reason, code
        task.stopping_at = _now()


def advance(task: models.Task, status: str) -> None:
    """Bring a task to a later status."""
    if ORDER.index(status) <= ORDER.index(task.last_status):
        return
    task.last_status = status
    if status == "PENDING":
        task.pull_started_at = _now()
    elif status == "ACTIVATING":
        task.pull_stopped_at = _now()
    elif status == "RUNNING":
        task.started_at = _now()
    elif status == "STOPPED":
        task.stopped_at, task.desired_status = _now(), "STOPPED"
        _free_interface(task)


def ended(task: models.Task, code: int | None, reason: str | None = None) -> None:
    """Note that a task's container has ended, and why it did if nobody had asked for it."""
    container = task.containers[0]
    container.exitCode, container.last_status = code, "STOPPED"
    if reason is not None:
        container.reason = reason
    if task.desired_status != "STOPPED":
        started = task.last_status == "RUNNING"
        ask_to_stop(
            task,
            reason or "Essential container in task exited",
            "EssentialContainerExited" if started else "TaskFailedToStart",
        )


def correct() -> None:
    """Put right what moto does otherwise than AWS.

    ==================  =====================================  =======================================
    what                moto                                   AWS, and here
    ==================  =====================================  =======================================
    a new task          runs; each look at it ages it          PROVISIONING; nothing happens by looks
    its address         random                                 its own: of the loopback network, so
                                                               that processes really listen there
    RunTask             any count, no token, never too many    10 at most, idempotent, failures[]
    DescribeTasks       what is not known is left out          failures[] MISSING; 100 at most
    ListTasks           stopped ones too, no pages             those meant to run, 100 a page
    StopTask            unknown: 500                           InvalidParameterException
    CreateCluster       again: it is emptied                   idempotent
    DeleteCluster       takes one with tasks                   ClusterContainsTasksException
    sizes               any                                    the pairs of Fargate
    families            those without a definition too         those that have an active one
    ==================  =====================================  =======================================
    """
    backend, response = models.EC2ContainerServiceBackend, responses.EC2ContainerServiceResponse
    models.Task.__init__ = _started(models.Task.__init__)
    models.Task.last_status = property(
        lambda task: task._status, lambda task, status: setattr(task, "_status", status)
    )
    models.Task.status = models.Task.last_status
    needs = backend._calculate_task_resource_requirements
    backend._calculate_task_resource_requirements = staticmethod(
        lambda definition: needs(_with_memory(definition))
    )
    backend.register_task_definition = _sized(backend.register_task_definition)
    backend.create_cluster = _once(backend.create_cluster)
    backend.delete_cluster = _empty(backend.delete_cluster)
    backend.stop_task = _stop_task
    backend.list_task_definition_families = _families
    response.run_task = _run_task
    response.describe_tasks = _describe_tasks
    response.list_tasks = _list_tasks


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _started(init: Any) -> Any:
    def __init__(self: Any, cluster: Any, task_definition: Any, *args: Any, **kwargs: Any) -> None:
        with lock:
            address = next(_addresses)
            network = kwargs["networking_configuration"]["awsvpcConfiguration"]
            network.setdefault("securityGroups", [])
            models.random_private_ip = lambda *_: address
            init(self, cluster, task_definition, *args, **kwargs)
        self._status = "PROVISIONING"
        self.created_at, self.connectivity = _now(), "CONNECTED"
        self.availability_zone = f"{cluster.region_name}a"
        self.cpu, self.memory = task_definition.cpu, task_definition.memory
        self.ephemeral_storage = task_definition.ephemeral_storage or {"sizeInGiB": 20}
        self.launch_type = "FARGATE"
        for container in self.containers:
            container.exitCode, container.task_arn = None, self.task_arn
        if network.get("assignPublicIp") == "ENABLED":
            eni = _interfaces(self)[interface(self)["networkInterfaceId"]]
            eni.public_ip = address

    return __init__


def _interfaces(task: Any) -> dict[str, Any]:
    return ec2_backends[task._account_id][task.region_name].enis  # type: ignore[no-any-return]


def _free_interface(task: Any) -> None:
    name = interface(task)["networkInterfaceId"]
    if name in _interfaces(task):
        _interfaces(task)[name].status = "available"
        ec2_backends[task._account_id][task.region_name].delete_network_interface(name)


def _with_memory(definition: Any) -> Any:
    """On Fargate the task has the memory, and its container need not say anything."""

    class Whole:
        container_definitions = [
            {"memory": int(definition.memory or 0), **each}
            for each in definition.container_definitions
        ]

    return Whole


def _sized(register: Any) -> Any:
    def register_task_definition(self: Any, family: str, *args: Any, **kwargs: Any) -> Any:
        cpu, memory = int(kwargs.get("cpu") or 0), int(kwargs.get("memory") or 0)
        if memory not in SIZES.get(cpu / 1024, ()):
            text = "No Fargate configuration exists for given values"
            raise Refusal("ClientException", f"{text}: {cpu} CPU, {memory} memory.")
        return register(self, family, *args, **kwargs)

    return register_task_definition


def _families(self: Any, family_prefix: str | None = None) -> list[str]:
    return [
        name
        for name, revisions in self.task_definitions.items()
        if name.startswith(family_prefix or "")
        and any(each.status == "ACTIVE" for each in revisions.values())
    ]


def _once(create: Any) -> Any:
    def create_cluster(self: Any, cluster_name: str, *args: Any, **kwargs: Any) -> Any:
        there = self.clusters.get(cluster_name)
        if there is not None and there.status == "ACTIVE":
            return there
        return create(self, cluster_name, *args, **kwargs)

    return create_cluster


def _empty(delete: Any) -> Any:
    def delete_cluster(self: Any, cluster_str: str) -> Any:
        name = cluster_str.rpartition("/")[2]
        if any(task.last_status != "STOPPED" for task in self.tasks.get(name, {}).values()):
            text = "The Cluster cannot be deleted while Tasks are active."
            raise Refusal("ClusterContainsTasksException", text)
        return delete(self, cluster_str)

    return delete_cluster


def _find(backend: Any, cluster: str, task: str) -> Any:
    name = backend._get_cluster(cluster).name
    for arn, each in backend.tasks.get(name, {}).items():
        if arn.rpartition("/")[2] == task.rpartition("/")[2]:
            return each
    return None


def _stop_task(self: Any, cluster_str: str, task_str: str, reason: str) -> Any:
    task = _find(self, cluster_str, task_str)
    if task is None:
        raise InvalidParameterException("The referenced task was not found.")
    ask_to_stop(task, reason or "Task stopped by user", "UserInitiated")
    return task


def _run_task(self: Any) -> ActionResult:
    get = self._get_param
    count, token = self._get_int_param("count", 1), get("clientToken")
    if not 1 <= count <= 10:
        raise InvalidParameterException("count must be between 1 and 10")
    names = ("cluster", "taskDefinition", "count", "overrides", "capacityProviderStrategy", "tags")
    body = json.dumps([get(name) for name in names], sort_keys=True)
    with lock:
        if token in _tokens:
            if _tokens[token][0] != body:
                raise Refusal("ConflictException", "The clientToken was used otherwise.")
            return ActionResult({"tasks": _tokens[token][1], "failures": []})
        strategy = get("capacityProviderStrategy") or [{"capacityProvider": "FARGATE"}]
        provider = strategy[0]["capacityProvider"]
        live = sum(
            task.capacity_provider_name == provider and task.last_status != "STOPPED"
            for task in all_tasks()
        )
        had = max(0, min(count, capacity.get(provider, live + count) - live))
        tasks = []
        if had:
            tasks = self.ecs_backend.run_task(
                get("cluster", "default"),
                get("taskDefinition"),
                had,
                get("overrides"),
                get("startedBy"),
                get("tags"),
                get("launchType"),
                get("networkConfiguration"),
                get("group"),
                get("platformVersion"),
                get("capacityProviderStrategy"),
            )
        if token:
            _tokens[token] = (body, tasks)
    text = (
        "Capacity is unavailable at this time. Please try again later or in a different "
        "availability zone"
    )
    return ActionResult({"tasks": tasks, "failures": [{"reason": text}] if had < count else []})


def _describe_tasks(self: Any) -> ActionResult:
    cluster, names = self._get_param("cluster", "default"), self._get_param("tasks", [])
    if not 1 <= len(names) <= 100:
        raise InvalidParameterException("tasks must have between 1 and 100 members")
    if "TAGS" in self._get_param("include", []):
        self._include_in_response(responses.DESCRIBE_TASKS_TAGS)
    else:
        self._exclude_from_response(responses.DESCRIBE_TASKS_TAGS)
    found = {name: _find(self.ecs_backend, cluster, name) for name in names}
    return ActionResult(
        {
            "tasks": [task for task in found.values() if task is not None],
            "failures": [
                {"arn": name, "reason": "MISSING"} for name, task in found.items() if task is None
            ],
        }
    )


def _list_tasks(self: Any) -> ActionResult:
    get = self._get_param
    tasks = self.ecs_backend.list_tasks(
        get("cluster", "default"),
        get("containerInstance"),
        get("family"),
        get("startedBy"),
        get("serviceName"),
        get("desiredStatus") or "RUNNING",
    )
    start, size = int(get("nextToken") or 0), int(get("maxResults") or 100)
    page = list(itertools.islice(tasks, start, start + size))
    more = {"nextToken": str(start + size)} if start + size < len(tasks) else {}
    return ActionResult({"taskArns": [task.task_arn for task in page], **more})
