"""How members on Google Cloud find the run's documents: what is below the mark travels to them as text.

It runs in images that have no SDK. Its token is that of the member's service account, from the metadata server.
``PLACE`` is ``<secret>`` or ``<secret>#<way>``, where the way says how others reach a worker's port (see
`relay`).
"""

from __future__ import annotations

import inspect
import sys

PLACE = ""

# -- what travels --------------------------------------------------------------------------------------------
import base64  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import random  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402
import urllib.error  # noqa: E402
import urllib.request  # noqa: E402
import zlib  # noqa: E402
from typing import Any  # noqa: E402

_documents: dict[str, str] = {}
_parts: list[str] = []
_state = {"version": 1, "absent": 0, "watched": 0}


def read(key: str) -> str | None:
    """Return a document, or None while it is not there."""
    if key not in _documents:
        try:
            while _read_version():
                pass
            if "run" in _documents and not _state["watched"]:
                _state["watched"] = 1
                threading.Thread(target=_end_unless_joined, daemon=True).start()
        except Exception as error:  # it may not be allowed yet, or not now
            sys.stderr.write(f"the documents in {PLACE} cannot be read yet: {error}\n")
        if key not in _documents:  # many members ask
            time.sleep(random.uniform(0.5, 3.0) * float(os.environ.get("SCALABLE_HASTE", "1")))
    return _documents.get(key)


def host() -> str:
    """Return this instance's own address."""
    return _metadata("instance/network-interfaces/0/ip")


def port() -> int:
    """Return the one port that Cloud Run promises to be reached."""
    return int(os.environ.get("PORT", "8080"))


def relay() -> str:
    """Return how others reach a worker: ``direct``, ``relay``, or ``auto`` for what works."""
    return PLACE.partition("#")[2] or "direct"


def _read_version() -> bool:
    """Take the next version of the secret; False when there is none yet."""
    secret, number = PLACE.partition("#")[0], _state["version"]
    root = os.environ.get("CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER")
    root = root or "https://secretmanager.googleapis.com/"
    try:
        answer = _ask("GET", f"{root}v1/{secret}/versions/{number}:access")
    except urllib.error.HTTPError as error:
        said = error.read().decode("utf-8", "replace")
        if error.code != 404:
            raise RuntimeError(f"{error.code} {said}") from None
        if "Version" not in said:  # without its secret the run is over
            _state["absent"] += 1
            if _state["absent"] > 5:
                _end_pool()
        return False
    text = base64.b64decode(answer["payload"]["data"]).decode()
    head, _, body = text.partition("\n")
    part, parts = map(int, head.split("/"))
    if part == 1:
        _parts.clear()
    if part == len(_parts) + 1:  # or it is there twice
        _parts.append(body)
    if len(_parts) == parts:
        _documents.update(json.loads(zlib.decompress(base64.b64decode("".join(_parts)))))
        _parts.clear()
    _state["version"] = number + 1
    return True


def _end_unless_joined() -> None:
    """Delete the pool if the scheduler cannot be reached in time: Cloud Run would go on with it for ever."""
    time.sleep(0.9 * json.loads(_documents["run"])["limits"]["join"])
    if "scalable_core.member" not in sys.modules:  # that is what the scheduler gives
        _end_pool()


def _end_pool() -> None:
    """Delete the pool that this instance is one of: nobody else may be left who would."""
    pool = os.environ.get("SCALABLE_POOL")
    if pool:
        root = (
            os.environ.get("CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN") or "https://run.googleapis.com/"
        )
        _ask("DELETE", f"{root}v2/{pool}")


def _ask(method: str, url: str) -> Any:
    token = json.loads(_metadata("instance/service-accounts/default/token"))["access_token"]
    request = urllib.request.Request(
        url, method=method, headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.loads(answer.read() or b"{}")


def _metadata(path: str) -> str:
    server = os.environ.get("GCE_METADATA_HOST") or "metadata.google.internal"
    request = urllib.request.Request(
        f"http://{server}/computeMetadata/v1/{path}", headers={"Metadata-Flavor": "Google"}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=10) as answer:
        return str(answer.read().decode())


# -- end of what travels -------------------------------------------------------------------------------------


def reader_source() -> str:
    """Return what travels, for `scalable_core.cluster.launcher.Fleet.program`."""
    text = inspect.getsource(sys.modules[__name__])
    return text.split("# -- what travels")[1].partition("\n")[2].partition("# -- end of")[0]
