"""Plans with a known length, priced by the providers that are installed."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from ruamel.yaml import YAML

from scalable_core.manifest import read_manifest
from scalable_core.plan import build_plan
from scalable_core.plugins import PluginHost
from scalable_core.types import CostEstimate, Forecast, GroupForecast, HookContext, ResolvedImage
from scalable_core.types.snapshot import SUMMARY, seal, use
from scalable_core.types.units import GIB

sys.path.insert(0, str(Path(__file__).parent))

Estimate = Callable[..., CostEstimate]


@pytest.fixture(autouse=True)
def own_prices(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have refreshed prices."""
    monkeypatch.setenv("SCALABLE_PRICES_DIR", str(tmp_path_factory.getbasetemp() / "no-prices"))


@pytest.fixture
def own_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make the prices of a user those of one region and few machines, so that a refresh has little to ask."""
    home = tmp_path / "prices"
    monkeypatch.setenv("SCALABLE_PRICES_DIR", str(home))

    def make(provider: str, data: Path, region: str, *, machines: Sequence[str]) -> None:
        few = tmp_path / "few"
        shutil.copytree(data, few, ignore=lambda *_: [f"{SUMMARY}"])
        for path in few.glob("*/*.csv"):
            if path.stem not in (region, "global"):
                path.unlink()
        path = few / "machines" / f"{region}.csv"
        facts, heads, *rows = path.read_text().splitlines()
        kept = [row for row in rows if row.split(",")[0] in machines]
        path.write_text("\n".join([facts, heads, *kept]) + "\n")
        families = {name.partition(".")[0] for name in machines}
        path = few / "regions" / f"{region}.csv"
        rows = path.read_text().splitlines()
        spot = [row for row in rows if row.startswith("ec2_spot,")]
        other = {row for row in spot if row.split(",")[1] not in families}
        path.write_text("\n".join(row for row in rows if row not in other) + "\n")
        (home / provider).mkdir(parents=True)
        seal(few, fetched="2026-10-07")
        use(provider, few)

    return make


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
        others: Mapping[str, Any] | None = None,
        image_gb: float | None = None,
        **component: Any,
    ) -> CostEstimate:
        size = "max_workers" if target["provider"] == "local" else "n_workers"
        document = {
            "version": 1,
            "project": {"name": "study", "default_storage": store},
            "targets": {"there": {size: max(workers, 1), **target}},
            "components": {"model": {"cpus": 4, "memory": "16G", **component}, **(others or {})},
            "tasks": {name: {"component": name} for name in ("model", *(others or {}))},
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
            groups=dict.fromkeys(("model", *(others or {})), group),
        )
        plan = evolve(plan, forecast=forecast)
        if image_gb is not None:  # as a plan with --online has it
            image = ResolvedImage(
                reference="m", pinned="m", digest="d", size=round(image_gb * GIB), provider="oci"
            )
            plan = evolve(plan, groups=tuple(evolve(g, resolved=image) for g in plan.groups))
        return host.estimate_cost(plan, HookContext(dry_run=True))

    return estimate
