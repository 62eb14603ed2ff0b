"""What tests of providers and of the core itself share; nothing else of the core imports it.

`SubprocessLauncher` drives `FleetCluster` with real processes on this machine; `HiveLauncher` does so with many
real workers in one process, so that hundreds of members fit on two cores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scalable_core.testing.hive import Hive, HiveLauncher
    from scalable_core.testing.loopback import LoopbackLauncher
    from scalable_core.testing.subprocesses import SubprocessLauncher

__all__ = ["Hive", "HiveLauncher", "LoopbackLauncher", "SubprocessLauncher"]

_HOMES = {
    "Hive": "hive",
    "HiveLauncher": "hive",
    "LoopbackLauncher": "loopback",
    "SubprocessLauncher": "subprocesses",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(name)
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
