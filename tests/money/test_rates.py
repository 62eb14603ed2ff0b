"""The price of a worker's hour is read from the provider's own estimate."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve

from scalable_core.plugins import PluginHost
from scalable_core.session.planning import load, make_plan
from scalable_core.session.rates import hourly_rates
from scalable_core.types import Forecast, GroupForecast, HookContext, HourlyRates, Plan

MANIFEST = """\
version: 1
project: {name: study}
targets:
  here: {provider: local, max_workers: 3, price: {vcpu_hour: 0.04, gib_hour: 0.004}}
  free: {provider: local, max_workers: 3}
  fargate:
    {provider: aws, region: us-east-1, worker_cpu: 4096, worker_mem: 16384, n_workers: 10,
     image: 'python:3.11'}
  run: {provider: gcp, region: us-central1, project_id: study-123, n_workers: 10, image: 'python:3.11'}
components:
  model: {cpus: 2, memory: 8G}
  post: {cpus: 4, memory: 16G}
tasks:
  simulate: {component: model}
  reduce: {component: post}
"""


def rates_of(tmp_path: Path, target: str) -> tuple[Plan, HourlyRates, PluginHost]:
    """The plan for a target, and its rates."""
    (tmp_path / "scalable.yaml").write_text(MANIFEST)
    host = PluginHost()
    plan = make_plan(load(tmp_path / "scalable.yaml", target=target, host=host), host=host)
    context = HookContext(project="study", workdir=tmp_path)
    return plan, hourly_rates(plan, lambda plan: host.estimate_cost(plan, context)), host


def test_on_this_machine_it_is_what_its_owner_charges(tmp_path: Path) -> None:
    """2 vCPU x 0.04 + 8 GiB x 0.004 = 0.112, and 4 x 0.04 + 16 x 0.004 = 0.224 an hour, and no more."""
    _, rates, _ = rates_of(tmp_path, "here")

    assert rates.workers == pytest.approx({"model": 0.112, "post": 0.224})
    assert (rates.shared, rates.once) == (pytest.approx(0.0), 0.0)


def test_without_a_price_this_machine_is_free(tmp_path: Path) -> None:
    """Nothing is counted, and the estimate says why."""
    plan, rates, _ = rates_of(tmp_path, "free")

    assert rates.free
    assert plan.cost is not None
    assert (plan.cost.expected, plan.cost.basis) == (0.0, "this machine; nothing is billed")


def test_a_fargate_workers_hour_has_its_address_in_it(tmp_path: Path) -> None:
    """4 vCPU x 0.04048 + 16 GB x 0.004445 = 0.23304, its IPv4 0.005, 1/1024 GB of logs at 0.50: 0.23853."""
    _, rates, _ = rates_of(tmp_path, "fargate")

    assert rates.workers["post"] == pytest.approx(0.23304 + 0.005 + 0.5 / 1024, rel=1e-6)
    assert 0.005 < rates.shared < 0.1  # the scheduler and its address


@pytest.mark.parametrize("target", ["here", "fargate", "run"])
def test_rates_times_hours_are_the_estimate(target: str, tmp_path: Path) -> None:
    """What is counted while a run lasts is what was estimated for the same hours, within a thousandth."""
    plan, rates, host = rates_of(tmp_path, target)
    groups = {
        name: GroupForecast(worker_hours=hours, low=hours, high=hours, workers=3)
        for name, hours in (("model", 4.5), ("post", 7.0))
    }
    forecast = Forecast(
        basis="", wall_hours=2.5, low_wall_hours=2.5, high_wall_hours=2.5, groups=groups
    )
    context = HookContext(project="study", workdir=tmp_path)
    cost = host.estimate_cost(evolve(plan, forecast=forecast), context)
    counted = sum(rates.workers[name] * group.worker_hours for name, group in groups.items())
    counted += rates.shared * 2.5 + rates.once

    assert cost.expected == pytest.approx(counted, rel=1e-3)
