"""The cluster stage: what every cluster of worker groups shares, whichever provider makes it.

A worker advertises its component as a Dask resource and a call that names a component needs it, so Dask's
own scheduler routes the calls. `adaptive` decides how many workers each group should have, `autoscaler`
carries that out, `scheduler` is Dask's scheduler with an eye for groups.
"""

from __future__ import annotations

from collections.abc import Iterable

#: What stands before a component's name in the Dask resource of its workers.
RESOURCE_PREFIX = "component:"


def component_resource(name: str) -> dict[str, float]:
    """Return the Dask resource that a worker of a component advertises."""
    return {f"{RESOURCE_PREFIX}{name}": 1.0}


def task_resource(name: str) -> dict[str, float]:
    """Return the Dask resource that a call on a component needs.

    The amount is zero: Dask only sends the call to workers that have the resource, and nothing is used up. So
    routing never limits how many calls a worker runs at once, also when calls wait for calls of their own.
    """
    return {f"{RESOURCE_PREFIX}{name}": 0.0}


def component_of(resources: Iterable[str] | None) -> str | None:
    """Return the component that a worker's or a call's resources name; None when they name none."""
    for resource in resources or ():
        if resource.startswith(RESOURCE_PREFIX):
            return resource.removeprefix(RESOURCE_PREFIX)
    return None
