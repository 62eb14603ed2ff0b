"""What a worker in a container is made from, and the command line of docker, podman or apptainer that runs it.

A container shares the machine's network, so that its worker and the scheduler meet on 127.0.0.1, and is removed
when it ends. The image needs Python, dask, distributed and cloudpickle; all else travels in the zip of the
run's code, which is mounted read-only. `ContainerWorker` in `container_worker` runs the command.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from scalable_core.errors import ClusterError
from scalable_core.member.serve import HIDDEN, LAUNCH
from scalable_core.types import Environment, Secret
from scalable_local.environment import THREAD_VARIABLES
from scalable_local.layout import LocalGroup

#: Label that a run's containers carry; its value is the run's id.
RUN_LABEL = "scalable.run"
#: Bytes of a container besides its worker's memory: for the process that watches the worker.
OVERHEAD = 256 * 2**20

_FOLDER = "/scalable"


@frozen(kw_only=True)
class Container:
    """What one container is made from.

    Attributes:
        runtime: ``docker``, ``podman`` or ``apptainer``.
        image: What the runtime calls the image; for apptainer it may be a ``.sif`` file.
        name: Name of the container, of its own on this machine.
        run: Id of the run.
        bundle: The zip of the run's code.
        environment: The packages of this environment, for an image that has Python alone.
        mounts: Absolute path of this machine to path in the container, the latter perhaps with ``:ro``.
        env: The component's variables.
        cpus: CPUs that it may use; None for all.
        memory: Bytes of memory that its worker may use; None for all.
        gpus: GPUs that it may use.
        preload_script: Python file of this machine that the worker runs first.
    """

    runtime: str
    image: str
    name: str
    run: str
    bundle: Path
    environment: Environment | None = None
    mounts: Mapping[str, str] = {}
    env: Mapping[str, str | Secret] = {}
    cpus: float | None = None
    memory: int | None = None
    gpus: int = 0
    preload_script: Path | None = None


def render_command(container: Container, order: Mapping[str, Any]) -> list[str]:
    """Return the command line that runs a container and the worker in it. It holds no secret.

    Args:
        container: What to run.
        order: What `scalable_core.member.serve` is told, as plain data.
    """
    code = f"{_FOLDER}/{container.bundle.name}"
    binds = [(str(container.bundle), code, True), *map(_bind, container.mounts.items())]
    options = dict(order["options"])
    if container.preload_script is not None:
        script = f"{_FOLDER}/preload/{container.preload_script.name}"
        binds.append((str(container.preload_script), script, True))
        options["preload"] = [script]
    order = {**order, "options": options}
    if container.environment is not None:
        folder = f"{_FOLDER}/packages"
        binds.append((str(container.environment.folder), folder, True))
        order["environment"] = {"folder": folder, "needs": container.environment.needs}
    render = _apptainer if container.runtime == "apptainer" else _docker
    return [*render(container, binds), "python3", "-c", LAUNCH, code, json.dumps(order)]


def _docker(container: Container, binds: Sequence[tuple[str, str, bool]]) -> list[str]:
    command = [container.runtime, "run", "--rm", "--network=host", f"--name={container.name}"]
    command += [f"--label={RUN_LABEL}={container.run}", "--security-opt=label=disable"]
    if container.cpus is not None:
        command.append(f"--cpus={container.cpus:g}")
    if container.memory is not None:
        size = container.memory + OVERHEAD
        command += [f"--memory={size}", f"--memory-swap={size}"]
    if container.gpus:
        gpu = (
            "--device=nvidia.com/gpu=all"
            if container.runtime == "podman"
            else f"--gpus={container.gpus}"
        )
        command.append(gpu)
    for source, target, read_only in binds:
        mount = f"type=bind,source={source},target={target}" + ",readonly" * read_only
        command.append(f"--mount={mount}")
    for name, value in container.env.items():
        hidden = isinstance(value, Secret)
        command += ["--env", f"{HIDDEN}{name}" if hidden else f"{name}={value}"]
    return [*command, container.image]


def _apptainer(container: Container, binds: Sequence[tuple[str, str, bool]]) -> list[str]:
    command = ["apptainer", "exec", "--cleanenv", "--no-home", "--writable-tmpfs"]
    command += ["--nv"] * bool(container.gpus)
    for source, target, read_only in binds:
        command += ["--bind", f"{source}:{target}" + ":ro" * read_only]
    for name, value in container.env.items():
        if not isinstance(value, Secret):
            command += ["--env", f"{name}={value}"]
    image = container.image
    return [*command, image if image.endswith(".sif") else f"docker://{image}"]


def runtime_environment(container: Container) -> dict[str, str]:
    """Return the variables through which the runtime's command line gets the secrets, by name only."""
    prefix = "APPTAINERENV_" if container.runtime == "apptainer" else ""
    return {
        f"{prefix}{HIDDEN}{name}": value.reveal()
        for name, value in container.env.items()
        if isinstance(value, Secret)
    }


def _bind(mount: tuple[str, str]) -> tuple[str, str, bool]:
    source, target = mount
    return source, target.removesuffix(":ro").removesuffix(":rw"), target.endswith(":ro")


def group_container(
    group: LocalGroup,
    *,
    run: str,
    workdir: Path,
    bundle: Path,
    environment: Environment | None = None,
) -> Container:
    """Return what the containers of a group are made from.

    Args:
        group: A group whose mode is ``container``.
        run: Id of the run.
        workdir: Folder of the manifest, where relative paths start.
        bundle: The zip of the run's code.
        environment: What it is brought, where its image has Python alone.
    """
    plan = group.plan
    script = plan.preload_script
    each = int(group.size.cpus // group.size.threads)
    threads = {} if each <= 1 else dict.fromkeys(THREAD_VARIABLES, str(each))
    return Container(
        runtime=str(plan.runtime),
        image=plan.resolved.pinned if plan.resolved is not None else str(plan.image),
        name=f"{run}-{group.name}",
        run=run,
        bundle=bundle,
        environment=environment,
        mounts={str(workdir / Path(s).expanduser()): t for s, t in plan.mounts.items()},
        env={**threads, **plan.env},
        cpus=group.size.cpus,
        memory=group.size.memory,
        gpus=plan.gpus,
        preload_script=None if script is None else Path(script),
    )


def require_runtime(runtime: str, image: str) -> None:
    """See that a runtime can be started.

    Raises:
        ClusterError: It is not on ``PATH``.
    """
    if shutil.which(runtime) is None:
        raise ClusterError(
            f"the workers of image {image} need {runtime}, which is not on PATH",
            cure=f"install {runtime}, or choose another runtime with containers: in the target",
        )


def remove_containers(run: str) -> list[str]:
    """Remove what containers of a run are left, whoever started them; return their ids."""
    removed = []
    for runtime in ("docker", "podman"):
        if shutil.which(runtime) is None:
            continue
        listing = [runtime, "ps", "--all", "--quiet", "--filter", f"label={RUN_LABEL}={run}"]
        found = subprocess.run(listing, capture_output=True, text=True, check=False)
        for container in found.stdout.split():
            gone = subprocess.run(
                [runtime, "rm", "--force", container], capture_output=True, check=False
            )
            removed += [container] * (gone.returncode == 0)
    return removed
