"""The sizes that a worker pool of Cloud Run has: memory is bound to a band that depends on the CPUs."""

from __future__ import annotations

from attrs import frozen

from scalable_core.types.units import GIB, MIB, format_size

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
