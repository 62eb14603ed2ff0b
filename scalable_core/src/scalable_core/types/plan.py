"""A plan: what a run will create, decided before anything is created."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from scalable_core.types.cost import CostEstimate
from scalable_core.types.forecast import Forecast
from scalable_core.types.image import ResolvedImage
from scalable_core.types.manifest import Project, Target, Task
from scalable_core.types.problem import Problem
from scalable_core.types.secret import Secret

PLAN_SCHEMA = "scalable.plan/1"


@frozen(kw_only=True)
class WorkerGroup:
    """The workers of one component.

    Attributes:
        name: The component's name; workers advertise it as a Dask resource.
        cpus: vCPU of one worker.
        memory: Bytes of one worker; None leaves it to the provider.
        gpus: GPUs of one worker.
        threads: Tasks that one worker runs at once.
        minimum: Fewest workers kept.
        maximum: Most workers at one time; the plan's own maximum bounds the sum of all groups.
        image: The image as written; None for the bare machine.
        resolved: The image by digest; None until a plan is made online.
        environment: The image has Python alone, and the packages of this environment are brought to it.
        runtime: Container runtime, where the provider starts containers itself.
        mounts: Host path to container path (``:ro`` appended for read-only).
        env: Environment of the workers.
        tags: Labels for people and for the provider.
        preload_script: Absolute path of a Python file that each worker runs first.
        timeout: True when a task of this group has a timeout, so its workers must be processes.
    """

    name: str
    cpus: float
    memory: int | None = None
    gpus: int = 0
    threads: int
    minimum: int
    maximum: int
    image: str | None = None
    resolved: ResolvedImage | None = None
    environment: bool = False
    runtime: str | None = None
    mounts: Mapping[str, str] = {}
    env: Mapping[str, str | Secret] = {}
    tags: tuple[str, ...] = ()
    preload_script: str | None = None
    timeout: bool = False

    @property
    def resource(self) -> dict[str, float]:
        """The Dask resource that each worker of the group advertises, so that its component's calls find it."""
        return {f"component:{self.name}": 1.0}


@frozen(kw_only=True)
class Stores:
    """Where a run keeps things.

    Attributes:
        records: Folder that holds one folder for each run.
        artifacts: Folder or URI under which the run's artifacts go, without the run id.
        cache: Folder of cached results.
    """

    records: str
    artifacts: str
    cache: str


@frozen(kw_only=True)
class Plan:
    """What will run where, and what it needs.

    Attributes:
        manifest: Absolute path of the manifest.
        workflow: Absolute path of the workflow file.
        overlays: Overlays that were merged in.
        lock: The manifest's lock; `scalable run plan.json` compares it.
        groups: One for each component in use, in manifest order.
        adaptive: The number of workers follows the queued work.
        minimum: Fewest workers over all groups.
        maximum: Most workers over all groups.
        tasks: The manifest's tasks.
        unused: Components that no task names; they get no workers.
        online: Images are resolved to digests.
        cost: The provider's estimate; None until it is asked.
        forecast: How long and how many, which the estimate prices; None until it is decided.
        changes: Options of the target that were chosen other than the manifest says, by name.
        packages: What of this environment is brought to groups without an image, as ``numpy 2.4.6``.
        problems: Warnings to show with the plan.
        detached: The workflow runs in a driver of its own, started by the provider, and not in this process.
        document: The manifest as plain data, secrets as templates; a run keeps it, `plan.json` does not.
    """

    project: Project
    target: Target
    manifest: str
    workflow: str
    overlays: tuple[str, ...] = ()
    lock: str
    groups: tuple[WorkerGroup, ...]
    adaptive: bool = False
    minimum: int
    maximum: int
    tasks: Mapping[str, Task] = {}
    unused: tuple[str, ...] = ()
    stores: Stores
    online: bool = False
    cost: CostEstimate | None = None
    forecast: Forecast | None = None
    changes: Mapping[str, Any] = {}
    packages: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    document: Mapping[str, Any] = {}
    detached: bool = False

    def group(self, name: str) -> WorkerGroup:
        """Return the group of a component.

        Raises:
            KeyError: No group has that name.
        """
        for group in self.groups:
            if group.name == name:
                return group
        raise KeyError(name)
