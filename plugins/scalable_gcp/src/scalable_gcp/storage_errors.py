"""What goes wrong with Cloud Storage, what may pass if one waits, and the sentence for what does not."""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from typing import Literal

import aiohttp
from attrs import frozen

from scalable_core.errors import ScalableError
from scalable_gcp.client import CredentialsError, Token

Action = Literal["stored", "fetched", "listed", "removed"]

_PERMISSIONS: dict[Action, str] = {
    "stored": "storage.objects.create",
    "fetched": "storage.objects.get",
    "listed": "storage.objects.list",
    "removed": "storage.objects.delete",
}
#: How the service itself names the permission that is missing.
_NAMED = re.compile(r"storage\.(?:objects|buckets|multipartUploads)\.\w+")
#: Gives `storage.objects.*` but for what administers: enough for all of the above.
_ROLE = "roles/storage.objectUser"
#: What a call may end with and is no error of ours. Broken connections and silence are among the first two.
FAILURES = (aiohttp.ClientError, TimeoutError, CredentialsError)


@frozen(kw_only=True)
class Patience:
    """How long to go on trying while nothing moves.

    Attributes:
        seconds: From the last progress to the end.
        first: Most seconds before the second try; doubles with each, and is drawn from 0 to that.
        most: What it doubles up to.
        stall: Seconds without a byte after which a connection counts as broken.
    """

    seconds: float = 45.0
    first: float = 0.25
    most: float = 8.0
    stall: float = 30.0

    def until(self, deadline: float | None) -> Patience:
        """Return a patience that ends at a deadline, on the clock of `time.monotonic`."""
        if deadline is None:
            return self
        left = max(0.0, min(self.seconds, deadline - time.monotonic()))
        return Patience(
            seconds=left, first=self.first, most=self.most, stall=max(0.1, min(self.stall, left))
        )


class Tries:
    """Waits between the tries of one piece of work, and ends them."""

    def __init__(self, patience: Patience, token: Token | None = None) -> None:
        self._patience, self._token = patience, token
        self._renewed = False
        self.failed = 0
        self.progress()

    def progress(self) -> None:
        """Something has moved: begin to count anew."""
        self.failed = 0
        self._until = time.monotonic() + self._patience.seconds

    async def wait(self, error: BaseException) -> None:
        """Wait before the next try; raise the error when it will not pass, or not in time."""
        if not self._passes(error):
            raise error
        pause = min(self._patience.most, self._patience.first * 2**self.failed)
        self.failed += 1
        pause *= random.random()  # so that those who failed together do not come back together
        if time.monotonic() + pause >= self._until:
            raise error
        await asyncio.sleep(pause)

    def _passes(self, error: BaseException) -> bool:
        if isinstance(error, CredentialsError):
            return error.passing
        if isinstance(error, aiohttp.ClientResponseError):
            if error.status == 401 and self._token is not None and not self._renewed:
                self._renewed = True
                self._token.forget()
                return True
            return error.status in (408, 429) or error.status >= 500
        return isinstance(error, FAILURES) and not isinstance(error, aiohttp.InvalidURL)


class DamagedError(Exception):
    """Bytes are not what their checksum says; the message tells both."""


def status(error: BaseException) -> int | None:
    """Return the status of an answer that refuses, None for any other failure."""
    return error.status if isinstance(error, aiohttp.ClientResponseError) else None


def is_absent(error: BaseException) -> bool:
    """Whether an answer says that there is no such object, in a bucket that is there."""
    return status(error) == 404 and "bucket does not exist" not in str(error)


def sentence(
    kind: type[ScalableError], action: Action, uri: str, error: BaseException
) -> ScalableError:
    """Return the error that says why something could not be done, and what to do.

    Args:
        kind: Its class.
        action: What was to be done.
        uri: To what.
        error: What ended it.
    """
    bucket = uri.partition("://")[2].partition("/")[0]
    named = _NAMED.search(str(error)) if status(error) == 403 else None
    permission = named[0] if named else _PERMISSIONS[action]
    grant = f"grant {permission} on bucket {bucket!r}, for example with {_ROLE}"
    code = status(error)
    if isinstance(error, CredentialsError):
        why, cure = error.message, error.cure
    elif isinstance(error, DamagedError):
        why, cure = str(error), "store it again"
    elif code == 401:
        why = f"Cloud Storage does not accept the credentials{_said(error)}"
        cure = (
            "run `gcloud auth application-default login` again, or renew the service account's key"
        )
    elif code == 403:
        why, cure = f"{permission} is denied on bucket {bucket!r}{_said(error)}", grant
    elif code == 404:
        why = f"there is no bucket {bucket!r}"
        cure = f"create it with `gcloud storage buckets create gs://{bucket}`, or name another one"
    elif code in (408, 429) or (code or 0) >= 500:
        why = f"Cloud Storage answers {code} again and again{_said(error)}"
        cure = "try again later; https://status.cloud.google.com tells of troubles"
    elif code == 400 and "crc32c" in str(error).lower():
        why, cure = f"other bytes have arrived than were sent{_said(error)}", "store it again"
    elif code is not None:
        why, cure = f"Cloud Storage answers {code}{_said(error)}", "see what it says"
    elif isinstance(error, TimeoutError):
        why, cure = "Cloud Storage does not answer in time", "see that this machine reaches it"
    else:
        why = f"Cloud Storage cannot be reached: {error or type(error).__name__}"
        cure = (
            "see that this machine reaches it, and what HTTPS_PROXY and STORAGE_EMULATOR_HOST say"
        )
    return kind(f"{uri} cannot be {action}: {why}", cure=cure)


def _said(error: BaseException) -> str:
    """The service's own words, which follow a colon, if it has said any."""
    text = getattr(error, "message", "")
    _, brace, body = text.partition("{")
    if not brace:
        return ""
    try:
        said = json.loads(brace + body)["error"]["message"]
    except (ValueError, KeyError, TypeError):
        return ""
    return f": {str(said).partition(chr(10))[0].rstrip('. ')}" if said else ""
