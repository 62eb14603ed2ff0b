"""What this machine, or the part of it that this process may use, holds. Standard library only."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen


@frozen(kw_only=True)
class Machine:
    """What the workers share.

    Attributes:
        cpus: CPUs that this process may use.
        memory: Bytes of memory that this process may use.
    """

    cpus: int
    memory: int


def read_machine(root: Path = Path("/")) -> Machine:
    """Return what this process may use: the hardware, less affinity and the limits of its control groups.

    Args:
        root: Where ``proc`` and ``sys`` are.
    """
    return Machine(cpus=cpu_count(root), memory=memory_size(root))


def cpu_count(root: Path = Path("/")) -> int:
    """Return the number of CPUs that this process may use, at least 1."""
    there = os.cpu_count() or 1
    ours = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else there
    return max(1, min([ours, *_cpu_quotas(root)]))


def memory_size(root: Path = Path("/")) -> int:
    """Return the bytes of memory that this process may use."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limits = [
        limit
        for folder in _control_groups(root, "memory")
        for name in ("memory.max", "memory.high", "memory.limit_in_bytes")
        if (limit := _number(folder / name)) is not None
    ]
    return min([physical, *limits])


def _cpu_quotas(root: Path) -> Iterator[int]:
    for folder in _control_groups(root, "cpu"):
        with contextlib.suppress(OSError, ValueError):
            quota, period = (folder / "cpu.max").read_text().split()
            yield math.ceil(int(quota) / int(period))
        quota_us, period_us = (
            _number(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period")
        )
        if quota_us and period_us:
            yield math.ceil(quota_us / period_us)


def _control_groups(root: Path, controller: str) -> Iterator[Path]:
    """Folders of this process's control group and of all above it, of version 1 and version 2.

    Inside a container the path may be the host's and not exist here; the top folder is then the container's.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        for mount in (controllers, controller) if controllers else ("", "unified"):
            top = root / "sys/fs/cgroup" / mount
            folder = top / path.lstrip("/")
            yield folder
            yield from (parent for parent in folder.parents if parent.is_relative_to(top))


def _number(path: Path) -> int | None:
    """The number in a file; None when there is none, or it is negative: no limit."""
    try:
        number = int(path.read_text())
    except (OSError, ValueError):
        return None
    return number if number >= 0 else None
