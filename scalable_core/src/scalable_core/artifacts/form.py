"""From a value and a name to bytes, a media type and a place."""

from __future__ import annotations

import json
import mimetypes
import pickle
from pathlib import Path, PurePosixPath
from typing import Any

from scalable_core.errors import ArtifactError


def to_artifact_bytes(name: str, value: Any) -> tuple[bytes | Path, str]:
    """Return the form in which a value is kept, decided by the name's suffix, and its media type.

    Args:
        name: Such as ``results/scenario_42.json``.
        value: Bytes, text, the `Path` of a file, plain data for ``.json``, anything for ``.pkl``.

    Raises:
        ArtifactError: The value does not fit the suffix, or the file is not there.
    """
    suffix = PurePosixPath(name).suffix.lower()
    media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
    if isinstance(value, Path):
        if not value.is_file():
            raise ArtifactError(f"artifact {name!r}: there is no file {value}")
        return value, media_type
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value), media_type
    if suffix == ".pkl":
        return pickle.dumps(value), "application/octet-stream"
    if suffix == ".json":
        try:
            return json.dumps(value, indent=2, allow_nan=False).encode(), "application/json"
        except (TypeError, ValueError) as error:
            raise ArtifactError(
                f"artifact {name!r} cannot be written as JSON: {error}",
                cure="store plain data under .json, or any value under .pkl",
            ) from None
    if isinstance(value, str):
        return value.encode(), media_type
    raise ArtifactError(
        f"artifact {name!r}: a {type(value).__name__} cannot be kept as {suffix or 'a file without suffix'}",
        cure="give bytes, text or a Path, or a name that ends in .json or .pkl",
    )


def artifact_uri(storage: str, run: str, name: str) -> str:
    """Return where an artifact goes: ``<storage>/<run>/<name>``.

    Args:
        storage: Folder or URI under which runs keep their artifacts.
        run: The run's id.
        name: Relative path with forward slashes.

    Raises:
        ArtifactError: The name would leave the run's own prefix, or is empty or too long for a key.
    """
    parts = name.split("/")
    if not name or any(part in ("", ".", "..") for part in parts) or "\\" in name or "\0" in name:
        raise ArtifactError(
            f"{name!r} cannot be the name of an artifact",
            cure="use a relative path without '..', such as results/scenario_42.json",
        )
    if len(name.encode()) > 900:
        raise ArtifactError(
            f"the artifact name that starts with {name[:40]!r} is longer than 900 bytes"
        )
    return f"{storage.rstrip('/')}/{run}/{name}"
