"""Artifacts: what a run leaves behind."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen


@frozen(kw_only=True)
class Artifact:
    """Something to store, already in the form in which it is kept.

    Attributes:
        name: Path under the run's prefix, such as ``results/scenario_42.json``.
        data: The bytes, or the path of a file that holds them.
        media_type: Such as ``application/json``.
        run: Who made it.
        task: The task that made it; None for the driver.
        component: The component it ran on.
        overwrite: Take the place of what has the name already; otherwise that is an error.
    """

    name: str
    data: bytes | Path
    media_type: str = "application/octet-stream"
    run: str
    task: str | None = None
    component: str | None = None
    overwrite: bool = False


@frozen(kw_only=True)
class ArtifactRef:
    """Where an artifact is, what it is, and who made it.

    Attributes:
        uri: ``s3://...``, ``gs://...`` or ``file:///...``.
        digest: ``sha256:`` and 64 hex digits of the bytes.
        size: Bytes.
        media_type: Such as ``application/json``.
        run: The run that made it.
        task: The task that made it; None for the driver.
        component: The component it ran on.
        created: ISO time.
        provider: The plugin that stored it.
    """

    uri: str
    digest: str
    size: int
    media_type: str
    run: str
    task: str | None = None
    component: str | None = None
    created: str
    provider: str
