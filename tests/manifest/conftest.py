"""Providers of the tests' own, and ways to read a manifest that is written in the test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import attrs
import pytest

from scalable_core.errors import ManifestError
from scalable_core.manifest import AUTO, read_manifest
from scalable_core.types import Adaptive, Manifest, Problem, Secret, option
from scalable_core.types.units import MIB


@attrs.frozen(kw_only=True)
class LocalOptions:
    """A provider with one kind of cluster."""

    max_workers: int = option(default=1, minimum=1, maximum=1000, help="Most workers.")
    processes: bool | None = option(default=None, help="Processes instead of threads.")
    containers: Literal["none", "docker", "podman"] = option(default="none", help="Runtime.")
    adaptive: Adaptive | None = option(default=None, help="Bounds.")


@attrs.frozen(kw_only=True)
class Volume:
    """A class of options inside another."""

    path: str = option(help="Folder.")
    size: int | None = option(default=None, quantity="size", help="Size.")
    key: str | Secret | None = option(default=None, secret=True, help="Key.")


@attrs.frozen(kw_only=True)
class FargateOptions:
    """A provider's first kind of cluster, with a field of every type."""

    region: str = option(help="Region.")
    image: str | None = option(default=None, help="Image.")
    worker_cpu: float | None = option(default=None, quantity="cpus", unit=1 / 1024, help="CPU.")
    worker_mem: int | None = option(default=None, quantity="size", unit=MIB, help="Memory.")
    idle: float = option(default=60.0, quantity="duration", maximum=3600, help="Idle time.")
    share: float = option(default=1.0, minimum=0, maximum=1, help="Share.")
    spot: bool = option(default=False, help="Spot.")
    subnets: tuple[str, ...] = option(default=(), help="Subnets.")
    labels: Mapping[str, str] = option(factory=dict, help="Labels.")
    volumes: tuple[Volume, ...] = option(default=(), help="Volumes.")
    volume: Volume | None = option(default=None, help="Volume.")
    port: int | str | None = option(default=None, help="Port or its name.")
    extra: Any = option(default=None, help="Anything.")
    token: str | Secret | None = option(default=None, secret=True, help="Token.")
    environment: Mapping[str, str | Secret] = option(factory=dict, help="Environment.")
    adaptive: Adaptive | None = option(default=None, help="Bounds.")
    arn: str = attrs.field(default="", metadata={"internal": True})


@attrs.frozen(kw_only=True)
class Ec2Options:
    """A provider's second kind of cluster."""

    region: str = option(help="Region.")
    instance_type: str = option(help="Machine.")


OPTIONS: dict[str, Any] = {
    "local": LocalOptions,
    "cloud": {"fargate": FargateOptions, "ec2": Ec2Options},
}

#: What most tests start from.
BASE = """\
version: 1
project: {name: study}
targets:
  local: {provider: local}
components:
  model: {cpus: 2, memory: 4G}
tasks:
  step: {component: model}
"""


@pytest.fixture
def options() -> dict[str, Any]:
    """The providers of the tests."""
    return OPTIONS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the manifest of a test is."""
    return tmp_path / "scalable.yaml"


@pytest.fixture
def read(path: Path) -> Callable[..., Manifest]:
    """Write a manifest and read it; keywords go to `read_manifest`."""

    def write_and_read(
        text: str, *, target: Any = AUTO, environ: Any = None, **more: Any
    ) -> Manifest:
        path.write_text(text, encoding="utf-8")
        return read_manifest(
            path, target=target, options=OPTIONS.get, environ=environ or {}, **more
        )

    return write_and_read


@pytest.fixture
def problems(read: Callable[..., Manifest]) -> Callable[..., tuple[Problem, ...]]:
    """Write a manifest and return its problems, whether or not there is an error among them."""

    def write_and_fail(text: str, **more: Any) -> tuple[Problem, ...]:
        try:
            return read(text, **more).problems
        except ManifestError as error:
            return error.problems

    return write_and_fail


@pytest.fixture
def cloud() -> Callable[[str], str]:
    """A manifest with one cloud target that has the lines given."""

    def write(lines: str) -> str:
        body = "".join(f"    {line}\n" for line in lines.splitlines())
        return (
            f"version: 1\nproject: {{name: study}}\ntargets:\n  far:\n    provider: cloud\n{body}"
        )

    return write
