"""What may stand in a target with ``provider: slurm``."""

from __future__ import annotations

from typing import Literal

from attrs import frozen

from scalable_core.types import Adaptive, option


@frozen(kw_only=True)
class Price:
    """What the site charges, for the estimate and the budget."""

    core_hour: float = option(minimum=0, help="USD for one CPU of a job for an hour.")


@frozen(kw_only=True)
class SlurmOptions:
    """Options of a `slurm` target."""

    queue: str | None = option(
        default=None, help="Partition for the jobs; the site's default when left out."
    )
    account: str | None = option(default=None, help="Account that the jobs are charged to.")
    walltime: float = option(
        default=3600.0,
        quantity="duration",
        minimum=60,
        help="Longest time one job may take, such as 4h; a job that reaches it is replaced.",
    )
    interface: str | None = option(
        default=None,
        help="Network interface of scheduler and workers, such as ib0; the usual one when left out.",
    )
    n_workers: int = option(
        default=1, minimum=1, help="Number of workers, each a job, over all components."
    )
    adaptive: Adaptive | None = option(
        default=None,
        help="Lets the number of workers follow the queued work; replaces n_workers.",
    )
    worker_cpu: float | None = option(
        default=None,
        quantity="cpus",
        unit=1.0,
        minimum=1,
        help="CPUs of components that set none.",
    )
    worker_mem: int = option(
        default=2 * 2**30,
        quantity="size",
        minimum=64 * 2**20,
        help="Memory of components that set none, such as 4G.",
    )
    threads_per_worker: int | None = option(
        default=None, minimum=1, help="Calls one worker runs at once; its cpus when left out."
    )
    container_runtime: Literal["none", "apptainer", "podman", "docker"] = option(
        default="none",
        help="Runs the workers of a component inside its image with this program of the nodes.",
    )
    image: str | None = option(
        default=None,
        help="Container image of components that name none, where containers are used.",
    )
    python: str | None = option(
        default=None,
        help="Python of the nodes; the one that runs Scalable when left out, python3 in an image.",
    )
    prologue: tuple[str, ...] = option(
        default=(), help="Lines of shell before a worker starts, such as `module load proj`."
    )
    directives: tuple[str, ...] = option(
        default=(), help="More arguments of sbatch, such as `--constraint=haswell`."
    )
    scratch: str | None = option(
        default=None, help="Folder of the nodes for spilled results; /tmp when left out."
    )
    shared_folder: bool = option(
        default=True,
        help="The nodes see the manifest's folder under the same path; false keeps no results there.",
    )
    poll: float = option(
        default=5.0,
        quantity="duration",
        minimum=1,
        help="Time between looks at the queue for jobs that have ended.",
    )
    price: Price | None = option(
        default=None, help="What a job costs; unknown, and not free, when left out."
    )
