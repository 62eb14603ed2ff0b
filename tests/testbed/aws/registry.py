"""A registry that has every image; all of them are this machine's own Python.

They are for both architectures, but those with the tag ``amd64`` or ``arm64``, which are for this one alone.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_contents: dict[str, tuple[str, bytes]] = {}


def answer(path: str, start: Any) -> list[bytes]:
    """Answer a request below ``/v2/``."""
    if path == "/v2/":
        kind, data = "application/json", b"{}"
    else:
        word = path.rpartition("/")[2]
        kind, data = _contents.get(word) or _contents["index"]
    headers = [("Content-Type", kind), ("Content-Length", str(len(data)))]
    start("200 OK", [*headers, ("Docker-Content-Digest", _digest(data))])
    return [data]


def manifest(tag: str) -> tuple[str, str]:
    """Return digest and text of what stands for images with a tag."""
    data = _contents.get(tag, _contents["index"])[1]
    return _digest(data), data.decode()


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _keep(kind: str, content: dict[str, Any]) -> dict[str, Any]:
    data = json.dumps({"schemaVersion": 2, "mediaType": kind, **content}).encode()
    _contents[_digest(data)] = (kind, data)
    return {"mediaType": kind, "digest": _digest(data), "size": len(data)}


def _fill() -> None:
    manifests = []
    for architecture in ("amd64", "arm64"):
        platform = {"architecture": architecture, "os": "linux"}
        config = _keep(_CONFIG, platform)
        made = _keep(_MANIFEST, {"config": config, "layers": []})
        _contents[architecture] = _contents[made["digest"]]
        manifests.append({**made, "platform": platform})
    index = _keep(_INDEX, {"manifests": manifests})
    _contents["index"] = _contents[index["digest"]]


_fill()
