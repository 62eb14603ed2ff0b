"""SCALABLE_TRACE_HOOKS=1 shows who was asked what, and never a secret."""

from __future__ import annotations

import pytest
from attrs import evolve, field, frozen

from scalable_core.types import Artifact, Secret

TRACED = {"SCALABLE_TRACE_HOOKS": "1"}


@pytest.fixture
def lines(caplog):
    """The lines of the trace so far."""
    caplog.set_level("DEBUG", logger="scalable.hooks")
    return lambda: [r.getMessage() for r in caplog.records if r.name == "scalable.hooks"]


def test_a_call_is_shown_with_who_hears_it_and_the_answer(installed, context, plan_for, lines):
    """The wrapper is told from the provider, and providers that are not addressed are not there."""
    host = installed("acme", "zeta", "guard", **TRACED)
    host.target_options("zeta")
    host.estimate_cost(plan_for("acme"), context)

    asked, answered = [line for line in lines() if line.startswith("estimate_cost(")]
    assert asked.endswith("-> ext:budget-guard (wraps), acme")
    assert "plan=Plan(project=Project(name='study'" in asked
    assert answered.startswith("estimate_cost() = CostEstimate(provider='acme', currency='USD'")


def test_what_is_raised_is_shown_by_its_type(installed, context, plan_for, lines):
    """The words of an error are not for the log: a service may put anything into them."""
    with pytest.raises(KeyError):
        installed("raises", **TRACED).estimate_cost(plan_for("broken"), context)

    assert lines()[-1] == "estimate_cost() raised KeyError"


def test_secrets_and_contents_are_not_shown(installed, context, plan_for, lines):
    """A secret is its template, the bytes of an artifact are their number."""

    @frozen
    class Options:
        token: Secret = field(default=Secret("hunter2", template="${TOKEN}"))

    host = installed("acme", **TRACED)
    plan = plan_for("acme", Options())
    group = evolve(plan.groups[0], env={"PASSWORD": Secret("hunter2", template="${PASSWORD}")})
    host.estimate_cost(evolve(plan, groups=(group,)), context)
    host.store_artifact(Artifact(name="a", data=b"hunter2", run="r"), "acme://box/a", context)

    text = "\n".join(lines())
    assert "hunter2" not in text
    assert "${TOKEN}" in text
    assert "data=<7 bytes>" in text


@pytest.mark.parametrize("value", ["", "0"])
def test_nothing_is_traced_unless_asked(installed, context, plan_for, lines, value):
    """Off means off."""
    installed("acme", SCALABLE_TRACE_HOOKS=value).estimate_cost(plan_for("acme"), context)

    assert lines() == []


def test_a_trace_is_seen_where_no_log_is_set_up(python):
    """It goes to stderr then."""
    code = "from scalable_core.plugins import PluginHost; PluginHost().target_options('acme')"

    assert "target_options() -> acme" in python(code, "acme", SCALABLE_TRACE_HOOKS="1")
