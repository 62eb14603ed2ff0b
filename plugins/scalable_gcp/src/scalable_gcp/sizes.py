"""The sizes that instances of Cloud Run have: memory is bound to a band that depends on the CPUs."""

from __future__ import annotations

from attrs import frozen

from scalable_core.types import Plan
from scalable_core.types.units import GIB, MIB, format_size
from scalable_gcp.options import CloudRunOptions

#: vCPU to least and most memory, in bytes.
_BANDS: dict[int, tuple[int, int]] = {
    1: (512 * MIB, 4 * GIB),
    2: (512 * MIB, 8 * GIB),
    4: (2 * GIB, 16 * GIB),
    6: (4 * GIB, 24 * GIB),
    8: (4 * GIB, 32 * GIB),
}


@frozen(kw_only=True)
class CloudRunSize:
    """CPUs and memory that Cloud Run takes together.

    Attributes:
        cpus: vCPU.
        memory: Bytes.
    """

    cpus: int
    memory: int

    def __str__(self) -> str:
        return f"{self.cpus} vCPU with {format_size(self.memory)}"


LARGEST = CloudRunSize(cpus=8, memory=32 * GIB)
#: Bytes for a driver and a scheduler beside the workers of one instance, as far as there is room.
DRIVER_MEMORY = GIB
#: Seconds that a task of a job may take.
LONGEST_TASK = 168 * 3600


def fit(cpus: float, memory: int | None) -> CloudRunSize | None:
    """Return the smallest size that holds what is asked for; None when nothing does.

    Args:
        cpus: vCPU.
        memory: Bytes; the least that goes with the CPUs when None.
    """
    for size_cpus, (least, most) in _BANDS.items():
        if size_cpus >= cpus and most >= (memory or 0):
            return CloudRunSize(cpus=size_cpus, memory=max(memory or 0, least))
    return None


def misfit(cpus: float, memory: int | None) -> str:
    """Say why nothing holds what is asked for, with the nearest size there is."""
    if cpus > LARGEST.cpus:
        nearest = fit(LARGEST.cpus, min(memory or 0, LARGEST.memory))
        return f"Cloud Run has at most 8 vCPU, not {cpus:g}; the nearest size is {nearest}"
    return f"Cloud Run has at most 32G of memory, not {format_size(memory or 0)}; the nearest size is {LARGEST}"


def single_size(plan: Plan) -> CloudRunSize | None:
    """Return the size of the one instance that holds driver, scheduler and workers; None when there are more.

    That is so for a detached run with ``transport: single``, and with ``auto`` when all of it fits.
    """
    options = plan.target.options
    if not isinstance(options, CloudRunOptions) or options.transport not in ("auto", "single"):
        return None
    if not (plan.detached or options.transport == "single") or why_not_single(plan):
        return None
    cpus, memory = _together(plan)
    return fit(cpus, min(memory + DRIVER_MEMORY, LARGEST.memory))


def why_not_single(plan: Plan) -> str | None:
    """Return what keeps a plan from running in one instance, as the end of a sentence; None for nothing."""
    cpus, memory = _together(plan)
    images = {group.resolved.pinned if group.resolved else group.image for group in plan.groups}
    if cpus > LARGEST.cpus or memory > LARGEST.memory:
        each = f"{plan.maximum} workers with {cpus:g} vCPU and {format_size(memory)} together"
        return f"{each} do not fit into {LARGEST}"
    if any(group.gpus for group in plan.groups):
        return "workers have GPUs"
    driver_image = plan.target.options.driver_image
    if len(images | ({driver_image} if driver_image else set())) > 1:
        return "components, or the driver, have different images"
    if plan.target.options.max_lifetime > LONGEST_TASK:
        return "max_lifetime is longer than the 7 days of a job"
    return None


def _together(plan: Plan) -> tuple[float, int]:
    """Return vCPU and bytes of all workers that there may be at one time."""
    largest = sorted(
        ((group.cpus, group.memory or _least(group.cpus)) for group in plan.groups), reverse=True
    )
    if plan.adaptive:  # any of them, up to the total
        return plan.maximum * largest[0][0], plan.maximum * max(memory for _, memory in largest)
    cpus = sum(group.maximum * group.cpus for group in plan.groups)
    return cpus, sum(group.maximum * (group.memory or _least(group.cpus)) for group in plan.groups)


def _least(cpus: float) -> int:
    size = fit(cpus, None)
    return LARGEST.memory if size is None else size.memory
