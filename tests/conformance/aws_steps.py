"""Counts the calls of a driver to AWS, each a step at which it may be killed."""

from __future__ import annotations


def count_calls(step):
    """See to it that ``step()`` is called before each call."""
    from aiobotocore.client import AioBaseClient

    call = AioBaseClient._make_api_call

    async def counted(self, *arguments):
        step()
        return await call(self, *arguments)

    AioBaseClient._make_api_call = counted
