"""What a run's scheduler and workers get from its session once the scheduler is there. Imports distributed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from scalable_core.member.code import CodePlugin
from scalable_core.member.drain import DrainPlugin
from scalable_core.member.retry import RetryPlugin
from scalable_core.records.dask_plugins import RunPlugin

if TYPE_CHECKING:
    from distributed import Client

    from scalable_core.member.bundle import Bundle


def equip(client: Client, cluster: Any, bundle: Callable[[], Bundle]) -> None:
    """Let the scheduler record, retry and drain, and worker processes have the modules beside the workflow.

    Args:
        client: A client of the scheduler, which has got no call yet.
        cluster: Its cluster; workers that are in this process have the modules already.
        bundle: Makes the zip of the modules.
    """
    client.register_plugin(RetryPlugin())
    client.register_plugin(RunPlugin())
    client.register_plugin(DrainPlugin())
    if not getattr(cluster, "in_this_process", False):
        client.register_plugin(CodePlugin(bundle()))
