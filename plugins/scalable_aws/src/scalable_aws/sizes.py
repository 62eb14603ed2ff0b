"""The sizes that Fargate has: CPU and memory come in pairs, and what is asked for is rounded up to one."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from scalable_core.errors import UsageError
from scalable_core.types.units import GIB, MIB, format_size

#: vCPU to the memory that goes with it, in MiB (Linux). The last row is new; not every region has it yet.
_TABLE: dict[float, tuple[int, ...]] = {
    0.25: (512, 1024, 2048),
    0.5: (1024, 2048, 3072, 4096),
    1: tuple(range(2048, 8192 + 1, 1024)),
    2: tuple(range(4096, 16384 + 1, 1024)),
    4: tuple(range(8192, 30720 + 1, 1024)),
    8: tuple(range(16384, 61440 + 1, 4096)),
    16: tuple(range(32768, 122880 + 1, 8192)),
    32: (61440, 122880, 249856),
}


#: What a workflow has beside the scheduler where the target does not size its driver: vCPU, and bytes.
WORKFLOW = (1.0, 4 * GIB)


@frozen(kw_only=True)
class FargateSize:
    """A pair that Fargate has.

    Attributes:
        cpus: vCPU.
        memory: Bytes.
    """

    cpus: float
    memory: int

    def __str__(self) -> str:
        return f"{self.cpus:g} vCPU with {format_size(self.memory)}"


LARGEST = FargateSize(cpus=32, memory=_TABLE[32][-1] * MIB)


def fit(cpus: float, memory: int | None) -> FargateSize | None:
    """Return the smallest size that holds what is asked for; None when nothing does.

    Args:
        cpus: vCPU.
        memory: Bytes; the least that goes with the CPUs when None.
    """
    for size_cpus, memories in _TABLE.items():
        for mebibytes in memories:
            if size_cpus >= cpus and mebibytes * MIB >= (memory or 0):
                return FargateSize(cpus=size_cpus, memory=mebibytes * MIB)
    return None


def misfit(cpus: float, memory: int | None) -> str:
    """Say why nothing holds what is asked for, with the nearest size there is."""
    if cpus > LARGEST.cpus:
        nearest = fit(LARGEST.cpus, min(memory or 0, LARGEST.memory))
        return f"Fargate has at most 32 vCPU, not {cpus:g}; the nearest size is {nearest}"
    gib = LARGEST.memory / GIB
    return (
        f"Fargate has at most {gib:g}G of memory, not {format_size(memory or 0)};"
        f" the nearest size is {LARGEST}"
    )


def driver_size(options: Any, target: str) -> FargateSize:
    """Return the size of the driver of a detached run: as large as a scheduler and a workflow are.

    Args:
        options: Of a target on Fargate or EC2.
        target: Its name.

    Raises:
        UsageError: There is none that is large enough.
    """
    cpus = options.driver_cpu or options.scheduler_cpu + WORKFLOW[0]
    memory = options.driver_mem or options.scheduler_mem + WORKFLOW[1]
    size = fit(cpus, memory)
    if size is None:
        raise UsageError(
            f"the driver of target {target!r} does not fit Fargate: {misfit(cpus, memory)}",
            cure="set driver_cpu and driver_mem in the target",
        )
    return size
