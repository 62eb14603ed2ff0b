"""The REST APIs of one project: calls that are tried again where it helps, operations that are waited for."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import quote

from scalable_core.errors import ClusterError

#: Service to where it is; gcloud's own variables, such as CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN, name other
#: places.
_ROOTS = {
    "run": "https://run.googleapis.com/v2",
    "compute": "https://compute.googleapis.com/compute/v1",
    "container": "https://container.googleapis.com/v1",
    "secretmanager": "https://secretmanager.googleapis.com/v1",
    "artifactregistry": "https://artifactregistry.googleapis.com/v1",
    "cloudresourcemanager": "https://cloudresourcemanager.googleapis.com/v3",
    "serviceusage": "https://serviceusage.googleapis.com/v1",
    "logging": "https://logging.googleapis.com/v2",
    "iam": "https://iam.googleapis.com/v1",
}
#: Tries of one call, and the seconds before the second of them at most; they double with each.
TRIES, FIRST_PAUSE, MOST_PAUSE = 6, 0.5, 16.0
#: Seconds between looks at an operation.
BREATH = 0.5
#: Seconds that one call may take.
PATIENCE = 60.0


class CallError(ClusterError):
    """A call that Google Cloud has refused, or that found no answer.

    Attributes:
        status: Of the answer; 0 without one.
        reason: The service's own word, such as ``SERVICE_DISABLED`` or ``NOT_FOUND``; may be empty.
        said: Its message.
    """

    status = 0
    reason = ""
    said = ""

    @property
    def absent(self) -> bool:
        """There is no such thing."""
        return self.status == 404

    @property
    def passing(self) -> bool:
        """It may be over soon."""
        return self.status in (0, 408, 429) or self.status >= 500


class Cloud:
    """One project in one region, as the user of google-auth's default credentials. Cheap to make.

    Args:
        project: Its id; that of the credentials when None.
        region: Where.

    Attributes:
        calls: How many requests were sent.
    """

    def __init__(self, project: str | None, region: str) -> None:
        self.project, self.region = project or default_project(), region
        self.calls = 0

    @property
    def location(self) -> str:
        """The name of the region in the newer APIs."""
        return f"projects/{self.project}/locations/{self.region}"

    async def call(
        self,
        service: str,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        **params: str | int | bool | None,
    ) -> dict[str, Any]:
        """Send a request, from any event loop, and try again what may pass.

        Args:
            service: Such as ``run``.
            method: Such as ``POST``.
            path: Below the service's version, such as ``projects/p/secrets``.
            body: As JSON.
            **params: The query; None is left out.

        Raises:
            CallError: It failed.
        """
        from scalable_gcp import client

        return await client.hop(self._patiently(service, method, path, body, params))

    async def pages(
        self, service: str, path: str, key: str, **params: str | int | bool | None
    ) -> list[dict[str, Any]]:
        """Return what all pages of a list have under a key.

        Raises:
            CallError: A call failed.
        """
        found: list[dict[str, Any]] = []
        token: str | None = None
        while True:
            answer = await self.call(service, "GET", path, None, pageToken=token, **params)
            some = answer.get(key, [])
            found += some.values() if isinstance(some, dict) else some
            token = answer.get("nextPageToken")
            if not token:
                return found

    async def finish(
        self, service: str, operation: Mapping[str, Any], within: float = 300.0
    ) -> dict[str, Any]:
        """Wait for a long-running operation, and return it.

        Args:
            service: ``run`` or ``compute``.
            operation: The answer that began it.
            within: Seconds.

        Raises:
            CallError: It failed, or has not ended in time.
        """
        until = time.monotonic() + within
        current = dict(operation)
        while not is_done(current):
            if time.monotonic() > until:
                raise _refused(service, 0, "", f"{current.get('name')} has not ended in time")
            await asyncio.sleep(BREATH)  # an answer may come at once, and say that it goes on
            if service == "compute":
                current = await self.call(service, "POST", f"{operation_path(current)}/wait")
            else:
                wait = {"timeout": "30s"}
                current = await self.call(service, "POST", f"{current['name']}:wait", wait)
        failure = failure_of(service, current)
        if failure is not None:
            raise failure
        return current

    # -- inside ------------------------------------------------------------------------------------------

    async def _patiently(
        self,
        service: str,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        params: Mapping[str, str | int | bool | None],
    ) -> dict[str, Any]:
        pause, renewed = FIRST_PAUSE, False
        for left in reversed(range(TRIES)):
            try:
                return await self._once(service, method, path, body, params)
            except CallError as error:
                if error.status == 401 and not renewed:
                    renewed = True
                    await self._forget_token(service)
                elif not error.passing or not left:
                    raise
            await asyncio.sleep(
                pause * random.random()
            )  # who failed together shall not come together
            pause = min(MOST_PAUSE, pause * 2)
        raise AssertionError("the last try raises")

    async def _once(
        self,
        service: str,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        params: Mapping[str, str | int | bool | None],
    ) -> dict[str, Any]:
        import aiohttp

        from scalable_gcp import client

        self.calls += 1
        connection = await client.connect(root_of(service))
        query = {name: _plain(value) for name, value in params.items() if value is not None}
        try:
            response = await connection.call(
                method,
                f"{connection.root}/{quote(path, safe='/:%@')}",
                headers={"Content-Type": "application/json"} if body is not None else None,
                params=query or None,
                data=json.dumps(body).encode() if body is not None else None,
                timeout=client.silence(PATIENCE),
            )
            async with response:
                text = await response.read()
        except aiohttp.ClientResponseError as error:
            raise _explain(service, error.status, error.message) from error
        except client.CredentialsError as error:
            told = CallError(error.message, cure=error.cure)
            told.status = 0 if error.passing else 401
            raise told from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _refused(service, 0, "", str(error) or type(error).__name__) from error
        return json.loads(text) if text.strip() else {}

    async def _forget_token(self, service: str) -> None:
        from scalable_gcp import client

        connection = await client.connect(root_of(service))
        if connection.token is not None:
            connection.token.forget()


def root_of(service: str) -> str:
    """Return where a service is, its version included."""
    default = _ROOTS[service]
    other = os.environ.get(f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{service.upper()}")
    if not other:
        return default
    version = default.partition("googleapis.com/")[2]
    place = other.rstrip("/")
    return place if place.endswith(version) else f"{place}/{version}"


def default_project() -> str:
    """Return the project of the credentials.

    Raises:
        ClusterError: There is none.
    """
    import google.auth

    named = os.environ.get("GOOGLE_CLOUD_PROJECT") or os.environ.get("CLOUDSDK_CORE_PROJECT")
    if named:
        return named
    found = None
    try:
        _, found = google.auth.default()
    except Exception:
        found = None
    if not found:
        raise ClusterError(
            "it is not said in which project of Google Cloud to run",
            cure="write project_id in the target, or run `gcloud config set project PROJECT`",
        )
    return str(found)


def is_done(operation: Mapping[str, Any]) -> bool:
    """Whether an operation of either kind has ended."""
    return bool(operation.get("done")) or operation.get("status") == "DONE"


def operation_path(operation: Mapping[str, Any]) -> str:
    """Return the path of an operation of Compute Engine."""
    link = str(operation["selfLink"])
    return link[link.index("projects/") :]


def failure_of(service: str, operation: Mapping[str, Any]) -> CallError | None:
    """Return why an operation has failed; None when it has not."""
    error = operation.get("error")
    if not error:
        return None
    if "errors" in error:
        first = error["errors"][0]
        return _refused(service, 400, first.get("code", ""), first.get("message", ""))
    return _refused(service, 400, str(error.get("code", "")), error.get("message", ""))


async def gone(work: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any] | None:
    """Await a call that removes something; None when it was gone before.

    Raises:
        CallError: It failed otherwise.
    """
    try:
        return await work()
    except CallError as error:
        if error.absent:
            return None
        raise


def _plain(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _explain(service: str, status: int, message: str) -> CallError:
    """Return the error that an answer is; the service's own words are JSON after a colon."""
    _, brace, rest = message.partition("{")
    said, reason = message, ""
    try:
        error = json.loads(brace + rest)["error"]
        said = str(error["message"])
        details = error.get("details") or error.get("errors") or [{}]
        reasons = [str(each["reason"]) for each in details if each.get("reason")]
        reason = (reasons or [str(error.get("status", ""))])[0]
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    return _refused(service, status, reason, said)


def _refused(service: str, status: int, reason: str, said: str) -> CallError:
    said = " ".join(said.split()).rstrip(".")
    cure = None
    permission = re.search(r"[Pp]ermission '?([\w.]+)'?|([a-z]+\.[a-zA-Z]+\.[a-zA-Z]+)", said)
    if reason == "SERVICE_DISABLED" or "has not been used in project" in said:
        cure = f"enable it: gcloud services enable {service}.googleapis.com"
    elif status == 401:
        cure = "run `gcloud auth application-default login`"
    elif status == 403 and permission:
        cure = (
            f"grant {permission[1] or permission[2]}; the role with all that is needed is printed "
            "by: scalable doctor --print-policy"
        )
    elif status == 403:
        cure = "see what is needed with: scalable doctor --print-policy"
    elif status in (0, 408, 429) or status >= 500:
        cure = "try again later; https://status.cloud.google.com tells of troubles"
    told = CallError(f"{service}.googleapis.com: {said or f'status {status}'}", cure=cure)
    told.status, told.reason, told.said = status, reason, said
    return told
