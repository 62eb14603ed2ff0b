"""A plan is chosen from Python, with the providers that are installed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scalable import ScalableSession
from scalable_core.errors import UsageError
from scalable_core.plan import build_plan, read_plan, restore_plan, write_plan
from scalable_core.plugins import PluginHost
from scalable_core.session.appraise import Appraiser
from scalable_core.session.choosing import choose_plan, compare_regions, compare_targets
from scalable_core.session.planning import load
from scalable_core.types import Plan

MANIFEST = """\
version: 1
project: {name: study, default_storage: s3://bucket/runs}
targets:
  local: {provider: local, max_workers: 4, processes: false}
  aws:
    provider: aws
    region: us-east-1
    adaptive: {minimum: 1, maximum: 40}
  ec2: {provider: aws, region: us-east-1, cluster_type: ec2, n_workers: 40, instance_type: m5.xlarge}
  gke: {provider: gcp, region: us-central1, cluster_type: gke, cluster: c, n_workers: 20}
  own: {provider: kubernetes, n_workers: 9}
components:
  model: {cpus: 4, memory: 16G}
  reduce: {cpus: 1, memory: 4G}
tasks:
  simulate: {component: model, expect: {count: 500, duration: 90s}}
  gather: {component: reduce, expect: {count: 20, duration: 30s}}
"""


@pytest.fixture
def manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study whose tasks are known, with targets of every kind."""
    monkeypatch.delenv("SCALABLE_TARGET", raising=False)
    path = tmp_path / "scalable.yaml"
    path.write_text(MANIFEST)
    return path


@pytest.fixture
def plan(manifest: Path) -> Callable[[str], Plan]:
    """The plan of a target as the manifest has it."""
    return lambda target: build_plan(load(manifest, target=target, host=PluginHost()))


def test_a_session_gives_its_own_plan_when_nothing_is_asked(manifest: Path) -> None:
    """As ever."""
    session = ScalableSession.from_yaml(manifest, target="aws")

    assert session.plan() is session.plan()
    assert session.plan().maximum == 40


def test_a_session_chooses_for_a_deadline_and_a_budget(manifest: Path) -> None:
    """A time is written as on the command line, or given in hours; the choice is not the session's own plan."""
    session = ScalableSession.from_yaml(manifest, target="aws")
    chosen = session.plan(deadline="45m", budget=50)

    assert chosen.forecast is not None
    assert chosen.cost is not None
    assert chosen.forecast.high_wall_hours <= 0.75
    assert chosen.cost.high is not None
    assert chosen.cost.high <= 50
    assert chosen.target.name == "aws"
    assert chosen.target.options.capacity == "spot_with_fallback"
    assert chosen == session.plan(deadline=0.75, budget=50)
    assert session.plan().maximum == 40


def test_the_objectives_differ(manifest: Path) -> None:
    """The fastest is not the cheapest, and the balance is between them."""
    session = ScalableSession.from_yaml(manifest, target="aws")
    cheap, fast, balanced = (
        session.plan(objective=objective)
        for objective in ("minimize cost", "minimize time", "balance")
    )

    def figures(plan: Plan) -> tuple[float, float]:
        assert plan.forecast
        assert plan.cost
        assert plan.cost.high
        return plan.forecast.high_wall_hours, plan.cost.high

    hours, usd = zip(figures(fast), figures(balanced), figures(cheap), strict=True)
    assert list(hours) == sorted(hours)
    assert list(usd) == sorted(usd, reverse=True)
    assert hours[0] < hours[2]


def test_what_nothing_keeps_to_is_an_error_with_the_nearest(manifest: Path) -> None:
    """In one sentence."""
    session = ScalableSession.from_yaml(manifest, target="aws")

    with pytest.raises(UsageError, match=r"40 workers, spot come nearest, with .* h and .* USD"):
        session.plan(deadline="1m")


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        ({"objective": "cheap"}, "'cheap' is no objective"),
        ({"deadline": "soon"}, "the deadline 'soon' is not a duration"),
        ({"deadline": -1}, "the deadline -1 is not a time"),
        ({"budget": 0}, "the budget must be above 0"),
    ],
)
def test_what_is_no_wish_is_refused(manifest: Path, wish: dict[str, object], sentence: str) -> None:
    """Each with what it is about."""
    session = ScalableSession.from_yaml(manifest, target="aws")

    with pytest.raises(UsageError, match=sentence):
        session.plan(**wish)  # type: ignore[arg-type]


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    target=st.sampled_from(["aws", "ec2", "gke", "local"]),
    deadline=st.none() | st.floats(0.05, 20),
    budget=st.none() | st.floats(0.05, 20),
    likely=st.booleans(),
)
def test_what_is_chosen_keeps_to_its_limits_by_what_it_says_itself(
    plan: Callable[[str], Plan],
    target: str,
    deadline: float | None,
    budget: float | None,
    likely: bool,
) -> None:
    """And says the same when it is appraised anew, on its own."""
    host, own = PluginHost(), plan(target)
    choice = choose_plan(own, host=host, deadline=deadline, budget=budget, likely=likely)
    if choice.chosen is None:
        assert deadline is not None or budget is not None
        return
    chosen = choice.chosen.plan
    assert chosen == Appraiser(own, host=host)(chosen)
    assert chosen.forecast is not None
    assert chosen.cost is not None
    hours, usd = chosen.forecast.high_wall_hours, chosen.cost.high
    if likely:
        hours, usd = chosen.forecast.wall_hours, chosen.cost.expected
    assert deadline is None or hours <= deadline
    assert budget is None or (usd is not None and usd <= budget)
    assert chosen.maximum <= own.maximum


def test_what_is_chosen_is_the_same_when_it_is_read_back(
    manifest: Path, plan: Callable[[str], Plan], tmp_path: Path
) -> None:
    """Its options too, which the manifest does not have."""
    host = PluginHost()
    choice = choose_plan(plan("ec2"), host=host, deadline="2h")
    assert choice.chosen is not None
    write_plan(choice.chosen.plan, tmp_path / "plan.json")

    read = load(manifest, target="ec2", host=host)
    restored = restore_plan(read_plan(tmp_path / "plan.json"), build_plan(read), read)

    assert restored.target == choice.chosen.plan.target
    assert (restored.groups, restored.changes) == (
        choice.chosen.plan.groups,
        choice.chosen.plan.changes,
    )


def test_processors_and_machines_are_not_changed_by_a_choice(plan: Callable[[str], Plan]) -> None:
    """ARM needs other images: it is compared, and never chosen unasked."""
    host = PluginHost()
    choice = choose_plan(plan("ec2"), host=host, objective="minimize cost")

    assert {way.label for way in choice.ways} <= {"spot", "on-demand"}
    labels = {way.label for way in compare_targets(Path(plan("ec2").manifest), host=host).ways}
    assert "spot, arm64" in labels


def test_where_nobody_knows_a_price_a_deadline_can_be_kept_nevertheless(
    plan: Callable[[str], Plan],
) -> None:
    """With as few worker-hours as can be."""
    choice = choose_plan(plan("own"), host=PluginHost(), deadline="12h")

    assert choice.chosen is not None
    assert choice.chosen.plan.cost is not None
    assert choice.chosen.plan.cost.expected is None


def test_a_provider_that_fails_is_a_target_without_a_plan(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own mistakes do not keep the others from being compared."""

    def fail(plan: Plan, *, provider: str) -> None:
        raise RuntimeError("a slip in a plugin")

    monkeypatch.setattr("scalable_kubernetes.estimate.cost_estimate", fail)
    comparison = compare_targets(manifest, host=PluginHost())

    assert [no.target for no in comparison.failed] == ["own"]
    assert {way.target for way in comparison.ways} == {"local", "aws", "ec2", "gke"}


def test_regions_are_priced_for_the_same_work(plan: Callable[[str], Plan]) -> None:
    """Each takes as long, and only its prices differ."""
    comparison = compare_regions(plan("aws"), host=PluginHost())

    assert len({way.worker_hours for way in comparison.ways}) == 1
    assert comparison.current in comparison.ways
    assert len({way.plan.cost.expected for way in comparison.ways if way.plan.cost}) > 5


NO_SPOT = """\
from scalable_core.hookspecs import hookimpl

SCALABLE_PLUGIN_API = 1

@hookimpl(wrapper=True)
def variants(plan):
    found = yield
    return [variant for variant in found or () if "spot" not in variant.target.name]
"""


def test_a_rule_of_the_team_holds_for_every_choice(
    plan: Callable[[str], Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An extension that wraps `variants` takes Spot away: neither chosen nor compared."""
    (tmp_path / "no_spot.py").write_text(NO_SPOT)
    info = tmp_path / "no_spot-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: no-spot\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[scalable.extensions]\nno-spot = no_spot\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    own = plan("aws")

    choice = choose_plan(own, host=PluginHost(), deadline="2h")
    comparison = compare_targets(own.manifest, host=PluginHost())

    assert {way.label for way in choice.ways} == {"on-demand"}
    assert not any("spot" in way.label for way in comparison.ways)
