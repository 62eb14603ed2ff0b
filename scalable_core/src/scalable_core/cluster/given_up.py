"""The groups of a fleet that can have no workers, and why; the scheduler ends the calls that wait for them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from scalable_core.errors import ClusterError, NoCapacityError


class GivenUp(dict[str, ClusterError]):
    """Group to the reason why it has no workers."""

    async def tell(self, scheduler: Any, groups: Collection[str]) -> None:
        """Have the scheduler end the calls of these groups.

        Args:
            scheduler: Dask's own remote control of it.
            groups: All that there are: when none is left, calls that any worker could run end too.
        """
        last = set(self) == set(groups)
        for group, error in list(self.items()):
            await scheduler.scalable_fail_group(
                name=group,
                message=error.message,
                cure=error.cure,
                scarce=isinstance(error, NoCapacityError),
                last=last,
            )
