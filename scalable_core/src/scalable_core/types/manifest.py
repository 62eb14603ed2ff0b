"""The manifest as records: what `scalable.yaml` says, resolved for one target."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import attrs
from attrs import frozen

from scalable_core.types.options import option
from scalable_core.types.secret import Secret
from scalable_core.types.units import MIB

Env = Mapping[str, str | Secret]


@frozen(kw_only=True)
class Project:
    """What holds for every target."""

    name: str = option(help="Name of the project; tags everything a run creates.")
    default_storage: str | None = option(
        default=None, help="Folder or URI (s3://, gs://) under which each run keeps its artifacts."
    )
    local_cache: str | None = option(
        default=None, help="Folder of cached results; relative to the manifest."
    )
    workflow: str = option(
        default="workflow.py",
        help="The Python file that `scalable run` runs; relative to the manifest.",
    )
    packages: tuple[str, ...] = option(
        default=(),
        help="Installed packages that workers without an image get too, besides those that the workflow"
        " imports, such as openpyxl or dask[dataframe].",
    )
    mirror: bool = option(
        default=False, help="Copy the records of local runs to default_storage, as cloud runs do."
    )


@frozen(kw_only=True)
class Component:
    """One kind of worker: the image and the machine that a part of the work needs."""

    name: str = attrs.field(default="", metadata={"internal": True})
    image: str | None = option(
        default=None, help="Container image; the target's image when left out."
    )
    runtime: Literal["docker", "podman", "apptainer"] | None = option(
        default=None, help="Container runtime for this component, where the target uses containers."
    )
    cpus: float | None = option(
        default=None,
        quantity="cpus",
        minimum=0.01,
        help="vCPU of one worker; the target's when left out.",
    )
    memory: int | None = option(
        default=None, quantity="size", minimum=16 * MIB, help="Memory of one worker, such as 16G."
    )
    gpus: int = option(default=0, minimum=0, help="GPUs of one worker.")
    mounts: Mapping[str, str] = option(
        factory=dict,
        help="Host folder to container folder; append :ro to the latter for read-only.",
    )
    env: Mapping[str, str | Secret] = option(
        factory=dict, help="Environment variables of its workers."
    )
    tags: tuple[str, ...] = option(default=(), help="Labels for people and for the provider.")
    preload_script: str | None = option(
        default=None,
        help="Python file that each worker runs before any task; relative to the manifest.",
    )


@frozen(kw_only=True)
class Expect:
    """What is known beforehand about a task, for the estimate."""

    count: int | None = option(default=None, minimum=0, help="How many calls one run makes.")
    duration: float | None = option(
        default=None, quantity="duration", help="How long one call takes, such as 90s."
    )
    output: int | None = option(
        default=None, quantity="size", help="How much one call writes, such as 20M."
    )


@frozen(kw_only=True)
class Task:
    """One kind of call: where it runs and what happens when it fails."""

    name: str = attrs.field(default="", metadata={"internal": True})
    component: str = option(help="The component whose workers run it.")
    cache: bool = option(
        default=False, help="Keep results and reuse them while code and inputs are the same."
    )
    outputs: tuple[str, ...] = option(
        default=(),
        help="Files each call writes, such as results/{year}.csv with the call's argument year;"
        " stored as artifacts when it has returned.",
    )
    retries: int = option(default=0, minimum=0, help="How often a failed call is tried again.")
    timeout: float | None = option(
        default=None,
        quantity="duration",
        minimum=0.001,
        help="Longest time one call may take, such as 30m.",
    )
    expect: Expect | None = option(default=None, help="What is known beforehand, for the estimate.")


@frozen(kw_only=True)
class Target:
    """One place to run: a provider's name and that provider's own typed options.

    Attributes:
        name: As written in the manifest.
        provider: Entry-point name of the provider plugin.
        cluster_type: The provider's kind of cluster, None where the provider has only one.
        options: An instance of the attrs class that the provider's `target_options` gives.
    """

    name: str
    provider: str
    cluster_type: str | None = None
    options: Any = None


@frozen(kw_only=True)
class Manifest:
    """A `scalable.yaml`, checked, with variables and overlays applied for one target.

    Attributes:
        version: Version of the manifest's format; 1.
        path: The file it came from.
        target: The selected target; None when the manifest was read for no target in particular.
        providers: Target name to provider name, for every target of the file.
        overlays: Names of the overlays that were merged in, in order.
        lock: ``sha256:`` and 64 hex digits over the canonical resolved manifest.
        document: The merged document as plain data with secrets as templates; what a run folder may keep.
        problems: Warnings found on the way.
    """

    version: int
    path: Path
    project: Project
    target: Target | None
    providers: Mapping[str, str]
    components: Mapping[str, Component]
    tasks: Mapping[str, Task]
    overlays: tuple[str, ...] = ()
    lock: str
    document: Mapping[str, Any]
    problems: tuple[Any, ...] = ()
