"""Counts the calls of a driver to AWS, each a step at which it may be killed."""

from __future__ import annotations

#: Seconds between looks at a local AWS, and until it shows what was asked for last.
LOOK_EVERY, SETTLING = 0.3, 1.0


def look_often(set_attribute=setattr):
    """Look at the local AWS more often than at the real one."""
    from scalable_aws import release
    from scalable_aws.fargate import FargateLauncher

    set_attribute(FargateLauncher, "poll_interval", LOOK_EVERY)
    set_attribute(release, "LOOK_EVERY", LOOK_EVERY)
    set_attribute(release, "SETTLING", SETTLING)


def count_calls(step):
    """See to it that ``step()`` is called before each call."""
    from aiobotocore.client import AioBaseClient

    look_often()
    call = AioBaseClient._make_api_call

    async def counted(self, *arguments):
        step()
        return await call(self, *arguments)

    AioBaseClient._make_api_call = counted
