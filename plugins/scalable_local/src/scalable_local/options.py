"""What may stand in a target with ``provider: local``."""

from __future__ import annotations

from typing import Literal

from attrs import frozen

from scalable_core.types import Adaptive, option
from scalable_local.machine import cpu_count


@frozen(kw_only=True)
class Price:
    """What the machine's owner charges, for the estimate and the budget."""

    vcpu_hour: float = option(minimum=0, help="USD for one CPU of a worker for an hour.")
    gib_hour: float = option(
        default=0.0, minimum=0, help="USD for one GiB of a worker's memory for an hour."
    )


@frozen(kw_only=True)
class LocalOptions:
    """Options of a `local` target."""

    max_workers: int = option(
        factory=cpu_count,
        minimum=1,
        help="Number of workers over all components; the number of CPUs when left out.",
    )
    threads_per_worker: int | None = option(
        default=None, minimum=1, help="Calls one worker runs at once; its cpus when left out."
    )
    processes: bool = option(
        default=True,
        help="Workers are processes; false makes them threads of one process, where that is possible.",
    )
    containers: Literal["none", "docker", "podman", "apptainer"] = option(
        default="none", help="Runs the workers of a component inside its image with this runtime."
    )
    image: str | None = option(
        default=None,
        help="Container image of components that name none, where containers are used.",
    )
    base_image: str = option(
        default="python:{python}-slim",
        help="Image of components that have none, where containers are used: Python alone, of the same"
        " version as here; the packages of this environment are brought to it.",
    )
    worker_cpu: float | None = option(
        default=None,
        quantity="cpus",
        unit=1.0,
        minimum=0.01,
        help="CPUs of components that set none.",
    )
    worker_mem: int | None = option(
        default=None,
        quantity="size",
        minimum=16 * 2**20,
        help="Memory of components that set none, such as 2G; the machine's, shared, when left out.",
    )
    adaptive: Adaptive | None = option(
        default=None,
        help="Lets the number of workers follow the queued work; replaces max_workers.",
    )
    price: Price | None = option(
        default=None,
        help="What workers cost here, to charge them back; nothing is billed when left out.",
    )
    dashboard: bool | None = option(
        default=None,
        help="Serves Dask's dashboard on 127.0.0.1; when left out, if bokeh is installed.",
    )
    dashboard_port: int = option(
        default=0, minimum=0, maximum=65535, help="Port of the dashboard; 0 takes a free one."
    )
