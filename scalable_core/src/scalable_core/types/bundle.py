"""What travels as one file: a project's folder to a driver, this environment's packages to workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attrs import frozen


@frozen(kw_only=True)
class BundleRef:
    """The folder of a project on its way to a driver.

    Attributes:
        place: Folder or URI that this process and the driver both reach; holds the bundle and the run's order.
        key: Of the bundle in there.
        digest: ``sha256:`` and the digest of the bundle in hex.
        size: Its bytes.
        files: How many files it holds.
        command: What the driver has to run, without the Python: ``("-m", "scalable", "drive", PLACE, RUN)``.
    """

    place: str
    key: str
    digest: str
    size: int
    files: int
    command: tuple[str, ...] = ()


@frozen(kw_only=True)
class Environment:
    """The packages of this environment on their way to workers whose image has Python alone.

    Attributes:
        path: The zip.
        digest: Its SHA-256 in hex.
        size: Its bytes.
        folder: The same packages laid out, for workers that see this machine's files.
        python: The version that they are for, such as ``3.11``.
        machine: ``x86_64`` or ``aarch64``; None when nothing is compiled.
        glibc: The oldest with which the compiled parts run; None when nothing is compiled.
    """

    path: Path
    digest: str
    size: int
    folder: Path
    python: str
    machine: str | None = None
    glibc: str | None = None

    @property
    def needs(self) -> dict[str, Any]:
        """What `scalable_core.member.environment.misfit` compares."""
        return {"python": self.python, "machine": self.machine, "glibc": self.glibc}
