"""The control plane of AWS in one region, as one user: every call that is not one of S3's goes through here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from scalable_core.errors import ClusterError

if TYPE_CHECKING:
    from scalable_aws.options import AwsOptions

#: Prefixes of IAM actions that differ from the name of the SDK's service.
_PREFIXES = {"resourcegroupstaggingapi": "tag", "service-quotas": "servicequotas"}


class CallError(ClusterError):
    """A call that AWS has refused, or that found no answer, after it was tried again as often as makes sense.

    Attributes:
        code: The service's own word, such as ``DependencyViolation``; empty when there was no answer.
        said: Its message.
        passing: It may be over soon.
    """

    code = ""
    said = ""
    passing = False


class Account:
    """One region, as one user. Cheap to make: clients are shared by the whole process.

    Args:
        region: Where.
        profile: Whose credentials; as every AWS tool finds them when None.
    """

    def __init__(self, region: str | None, profile: str | None = None) -> None:
        self.region, self.profile = region, profile

    @classmethod
    def of(cls, options: AwsOptions) -> Account:
        """Return the account that a target means; the driver of a detached run has its own role there."""
        profile = None if "SCALABLE_DRIVER_TASK" in os.environ else options.profile
        return cls(options.region, profile)

    async def call(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """Call an operation, from any event loop, and try again what may pass.

        Args:
            service: As the SDK calls it, such as ``ecs``.
            operation: As the API calls it, such as ``RunTask``.
            **parameters: As the API calls them.

        Raises:
            CallError: It failed.
        """
        from scalable_aws import client as aws

        async def work() -> dict[str, Any]:
            client = await aws.client(service, self.region, self.profile)
            method = getattr(client, _snake(operation))
            answer: dict[str, Any] = await aws.patiently(lambda: method(**parameters))
            return answer

        try:
            return await aws.hop(work())
        except Exception as error:
            raise _explain(error, service, operation) from error

    async def identity_url(self, *, expires: int, headers: Mapping[str, str]) -> str:
        """Return an address at which STS says who we are, to whoever sends these headers along.

        Args:
            expires: Seconds, as the address says it.
            headers: Signed with it.

        Raises:
            CallError: There are no credentials, or they cannot be renewed.
        """
        from scalable_aws import client as aws

        async def work() -> str:
            sts = await aws.client("sts", self.region, self.profile)
            return await aws.identity_url(sts, expires=expires, headers=headers)

        try:
            return await aws.hop(work())
        except Exception as error:
            raise _explain(error, "sts", "GetCallerIdentity") from error

    async def pages(
        self, service: str, operation: str, key: str, **parameters: Any
    ) -> list[dict[str, Any]]:
        """Return what all pages of an answer have under a key.

        Raises:
            CallError: A call failed.
        """
        found: list[dict[str, Any]] = []
        token: dict[str, str] = {}
        while True:
            answer = await self.call(service, operation, **parameters, **token)
            found += answer.get(key, [])
            name = next((n for n in ("nextToken", "NextToken") if answer.get(n)), None)
            if name is None:
                return found
            token = {name: answer[name]}


def _explain(error: Exception, service: str, operation: str) -> CallError:
    from scalable_aws import client as aws
    from scalable_aws.refusals import refusal

    permission = f"{_PREFIXES.get(service, service)}:{operation}"
    why = refusal(error, permission=permission, resource="the resource that it names")
    told = CallError(f"{permission} failed: {why.reason}", cure=why.cure)
    told.code, told.passing = aws.code_of(error), aws.passes(error)
    if told.code:
        told.said = " ".join(str(error.response["Error"].get("Message", "")).split())  # type: ignore[attr-defined]
    return told


def _snake(operation: str) -> str:
    from botocore import xform_name

    name: str = xform_name(operation)
    return name
