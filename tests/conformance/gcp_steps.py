"""Counts the requests of a driver to Google Cloud, each a step at which it may be killed."""

from __future__ import annotations

#: Seconds between looks at a local Google Cloud, and until it shows what was asked for last.
LOOK_EVERY, SETTLING = 0.3, 0.5


def look_often(set_attribute=setattr):
    """Look at the local Google Cloud more often than at the real one."""
    from scalable_gcp import cloud, release
    from scalable_gcp.cloud_run import CloudRunLauncher

    set_attribute(CloudRunLauncher, "poll_interval", LOOK_EVERY)
    set_attribute(cloud, "BREATH", 0.1)
    set_attribute(cloud, "FIRST_PAUSE", 0.05)
    set_attribute(release, "SETTLING", SETTLING)


def count_calls(step):
    """See to it that ``step()`` is called before each request."""
    from scalable_gcp.cloud import Cloud

    look_often()
    once = Cloud._once

    async def counted(self, *arguments):
        step()
        return await once(self, *arguments)

    Cloud._once = counted
