"""Targets as a manifest has them, read and checked by the providers that are installed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from scalable_core.manifest import read_manifest
from scalable_core.plan import build_plan
from scalable_core.plugins import PluginHost
from scalable_core.types import CostEstimate, HookContext, Manifest, Problem


@pytest.fixture
def host() -> PluginHost:
    """The plugins of this environment."""
    return PluginHost(environ={})


@pytest.fixture
def read(tmp_path: Path, host: PluginHost) -> Callable[..., Manifest]:
    """Read a manifest with one target and one component."""

    def read(target: Mapping[str, Any], **component: Any) -> Manifest:
        document = {
            "version": 1,
            "project": {"name": "study", "default_storage": "s3://bucket/runs"},
            "targets": {"there": dict(target)},
            "components": {"model": component},
        }
        path = tmp_path / "scalable.yaml"
        YAML().dump(document, path)
        return read_manifest(path, options=host.options_lookup, environ={})

    return read


@pytest.fixture
def found(host: PluginHost, read: Callable[..., Manifest]) -> Callable[..., dict[str, Problem]]:
    """What a provider finds in a target, by code."""

    def found(**target: Any) -> dict[str, Problem]:
        manifest = read(target)
        assert manifest.target is not None
        context = HookContext(project="study", workdir=manifest.path.parent, dry_run=True)
        problems = host.check_target(manifest.target, context)
        assert len({problem.code for problem in problems}) == len(problems)
        return {problem.code: problem for problem in problems}

    return found


@pytest.fixture
def estimate(host: PluginHost, read: Callable[..., Manifest]) -> Callable[..., CostEstimate]:
    """The estimate of a target for one component."""

    def estimate(target: Mapping[str, Any], **component: Any) -> CostEstimate:
        manifest = read(target, **component)
        return host.estimate_cost(build_plan(manifest, environ={}), HookContext(dry_run=True))

    return estimate
