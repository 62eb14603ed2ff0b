"""A worker as a job: what sbatch is told, and what the job runs. Pure."""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from scalable_core.types import HookContext, WorkerGroup, reveal
from scalable_slurm.options import SlurmOptions

MIB = 1024**2

#: Folder of the jobs' output, in that of the run.
LOGS = "slurm"


def directives(
    options: SlurmOptions, group: WorkerGroup, *, name: str, project: str
) -> tuple[str, ...]:
    """Return the arguments of sbatch for a worker of a group.

    Args:
        options: Of the target.
        group: Its size.
        name: The job's name, by which a run's jobs are found again: the run's id.
        project: Goes into the job's comment, by which a project's jobs are found again.
    """
    minutes = math.ceil(options.walltime / 60)
    lines = [
        f"--job-name={name}",
        f"--comment={comment(project)}",
        "--ntasks=1",
        f"--cpus-per-task={cores(group)}",
        f"--mem={math.ceil(memory(options, group) / MIB)}M",
        f"--time={minutes}",
        "--no-requeue",  # a job that is lost is submitted anew
    ]
    lines += [f"--partition={options.queue}"] if options.queue else []
    lines += [f"--account={options.account}"] if options.account else []
    lines += [f"--gres=gpu:{group.gpus}"] if group.gpus else []
    return (*lines, *options.directives)


def comment(project: str) -> str:
    """Return the comment of a project's jobs."""
    return f"scalable:{project}"


def cores(group: WorkerGroup) -> int:
    """Return the CPUs of a job: Slurm gives whole ones."""
    return max(1, math.ceil(group.cpus))


def memory(options: SlurmOptions, group: WorkerGroup) -> int:
    """Return the bytes of a job."""
    return group.memory or options.worker_mem


def environment(group: WorkerGroup, context: HookContext) -> dict[str, str]:
    """Return what the environment of a worker holds besides this process's; secrets are revealed."""
    variables = reveal(group.env)
    return {**variables, **(context.secrets() if context.secrets else {})}


def job_options(
    options: SlurmOptions, group: WorkerGroup, member: str, context: HookContext
) -> dict[str, Any]:
    """Return the arguments of `dask_jobqueue.slurm.SLURMJob` for one worker.

    Args:
        options: Of the target.
        group: What the worker is one of.
        member: Its name.
        context: The run's id and folder.
    """
    assert context.run_dir is not None
    assert context.run is not None
    output = context.run_dir / LOGS / f"{member}-%j.log"
    arguments = ["--resources", _quoted(f"{name}={n:g}" for name, n in group.resource.items())]
    if group.preload_script is not None:
        arguments += ["--preload", shlex.quote(group.preload_script)]
    told = directives(options, group, name=context.run, project=context.project)
    told += (f"--output={output}", f"--chdir={context.workdir}")
    return {
        "cores": group.threads,
        "processes": 1,
        "memory": f"{memory(options, group)} B",
        "python": _python(options, group, context),
        "local_directory": options.scratch,
        "worker_extra_args": arguments,
        "job_script_prologue": list(options.prologue),
        # None of the class's own directives is wanted: those above say all.
        "job_directives_skip": ["#SBATCH"],
        "job_extra_directives": [_directive(each) for each in told],
        "environ": environment(group, context),
    }


def _python(options: SlurmOptions, group: WorkerGroup, context: HookContext) -> str:
    """Return the words that start Python: that of the node, or of the image."""
    image = group.resolved.pinned if group.resolved is not None else group.image
    if options.container_runtime == "none" or image is None:
        return shlex.quote(options.python or sys.executable)
    folders = {
        str(context.workdir): str(context.workdir),
        str(context.run_dir): str(context.run_dir),
    }
    names = sorted(environment(group, context))
    variables: dict[str, str] = {}
    if context.bundle is not None:  # the image need not have Scalable
        code = context.bundle().path
        variables["PYTHONPATH"] = str(code)
        folders[str(code.parent)] = str(code.parent)
    mounts = [f"{_host(host, context)}:{inside}" for host, inside in group.mounts.items()]
    mounts += [f"{host}:{inside}" for host, inside in folders.items()]
    words = _container(options.container_runtime, image, mounts, names, variables)
    return " ".join(map(shlex.quote, [*words, options.python or "python3"]))


def _container(
    runtime: str, image: str, mounts: list[str], names: list[str], variables: Mapping[str, str]
) -> list[str]:
    if runtime == "apptainer":  # the job's environment reaches its inside by itself
        reference = image if "://" in image or Path(image).suffix == ".sif" else f"docker://{image}"
        words = ["apptainer", "exec", *(part for each in mounts for part in ("--bind", each))]
        words += [
            part for name, value in variables.items() for part in ("--env", f"{name}={value}")
        ]
        return [*words, reference]
    words = [runtime, "run", "--rm", "--init", "--network=host"]
    words += [f"--volume={each}" for each in mounts]
    words += [f"--env={name}" for name in names]
    words += [f"--env={name}={value}" for name, value in variables.items()]
    return [*words, image]


def _host(folder: str, context: HookContext) -> Path:
    return context.workdir / Path(folder).expanduser()


def _quoted(words: Iterable[str]) -> str:
    return shlex.quote(",".join(words))


def _directive(argument: str) -> str:
    """Write an argument as a line of a script takes it."""
    name, equals, value = argument.partition("=")
    return f'{name}="{value}"' if equals and set(value) & set(" \t'#") else argument
