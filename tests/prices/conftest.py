"""Plans with a known length, priced by the providers that are installed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from ruamel.yaml import YAML

from scalable_core.manifest import read_manifest
from scalable_core.plan import build_plan
from scalable_core.plugins import PluginHost
from scalable_core.types import CostEstimate, Forecast, GroupForecast, HookContext
from scalable_core.types.units import GIB

Estimate = Callable[..., CostEstimate]


@pytest.fixture(scope="session")
def estimate(tmp_path_factory: pytest.TempPathFactory) -> Estimate:
    """The estimate of a target: workers of one component for some hours, and GB that are stored and fetched."""
    host = PluginHost(environ={})
    path: Path = tmp_path_factory.mktemp("prices") / "scalable.yaml"

    def estimate(
        target: Mapping[str, Any],
        *,
        workers: int = 10,
        hours: float = 2.0,
        gb: float = 0.0,
        store: str = "s3://bucket/runs",
        **component: Any,
    ) -> CostEstimate:
        document = {
            "version": 1,
            "project": {"name": "study", "default_storage": store},
            "targets": {"there": {"n_workers": max(workers, 1), **target}},
            "components": {"model": {"cpus": 4, "memory": "16G", **component}},
        }
        YAML().dump(document, path)
        plan = build_plan(read_manifest(path, options=host.options_lookup, environ={}), environ={})
        total = workers * hours
        group = GroupForecast(worker_hours=total, low=total, high=total, workers=workers)
        forecast = Forecast(
            basis=f"{hours:g} h as asked",
            wall_hours=hours,
            low_wall_hours=hours,
            high_wall_hours=hours,
            output_bytes=round(gb * GIB),
            download_bytes=round(gb * GIB),
            groups={"model": group},
        )
        return host.estimate_cost(evolve(plan, forecast=forecast), HookContext(dry_run=True))

    return estimate
