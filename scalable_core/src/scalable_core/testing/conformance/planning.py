"""Plans are made offline: the hooks that a plan asks touch nothing and give the same answer each time."""

from __future__ import annotations

import json
import math
import os

from scalable_core.testing.conformance.base import Conformance, skip
from scalable_core.testing.conformance.loading import heavy
from scalable_core.testing.conformance.subject import FIRST
from scalable_core.types import Secret, from_data, to_data


class PlanningChecks(Conformance):
    """`service_profile`, `variants`, `price_snapshot`, `required_permissions`, and the plan as a whole."""

    def test_planning_opens_no_socket(self) -> None:
        """Not for prices, not for names, not for a clock."""
        sockets = self.subject.probe()["sockets"]
        assert not sockets, f"planning opens a socket: {sockets[0]}"

    def test_planning_loads_no_sdk_and_no_dask(self) -> None:
        """A plan is printed in a moment."""
        found = heavy(self.subject.probe()["modules"])
        assert not found, f"planning imports {', '.join(found)}"

    def test_a_plan_has_workers_for_each_component(self) -> None:
        """With the CPUs that the component asks for, or more."""
        plan = self.subject.plan(components={FIRST: self.component})
        group = plan.group(FIRST)
        assert group.cpus >= float(self.component.get("cpus", 0)), f"it plans {group.cpus} vCPU"
        assert plan.maximum >= 1, "it plans no worker at all"

    def test_a_plan_is_written_and_read_as_data(self) -> None:
        """`plan.json` holds the target whole."""
        target = self.subject.read_target()
        again = from_data(to_data(target.options), type(target.options))
        assert to_data(again) == to_data(target.options), "the options are not the same as data"

    def test_secrets_of_the_environment_are_not_in_the_plan(self) -> None:
        """What came from a variable is known by the variable's name alone."""
        from scalable_core.plan import plan_document

        value = "hunter2-in-the-clear"
        os.environ["CONFORMANCE_SECRET"] = value
        machine = {**self.component, "env": {"WORD": "${CONFORMANCE_SECRET}"}}
        try:
            plan = self.subject.plan(components={FIRST: machine}, hours=1)
        finally:
            del os.environ["CONFORMANCE_SECRET"]
        env = plan.group(FIRST).env["WORD"]
        assert isinstance(env, Secret), "the plan holds the value in the clear"
        assert env.reveal() == value, "the plan has lost the value"
        texts = [repr(plan), json.dumps(to_data(plan)), json.dumps(plan_document(plan))]
        assert not any(value in text for text in texts), "the plan shows a secret"

    def test_the_profile_of_the_service_is_sound_and_pure(self) -> None:
        """Seconds and rates that a simulation can use."""
        target = self.subject.read_target()
        profile, again = (self.subject.host.service_profile(target) for _ in range(2))
        assert profile == again, "service_profile() differs the second time"
        numbers = (profile.boot, profile.boot_high, profile.interruptions, profile.billed_minimum)
        assert all(math.isfinite(each) and each >= 0 for each in numbers), f"{profile} is not sound"
        assert profile.boot <= profile.boot_high, "a usual boot takes longer than a slow one"

    def test_variants_are_other_ways_with_names_of_their_own(self) -> None:
        """Each can be told from the plan by its target's name and options, and can be estimated."""
        if not self.subject.has("variants"):
            skip("it offers no variants")
        plan = self.subject.plan(hours=2)
        found = self.subject.host.variants(plan, self.subject.context)
        names = [plan.target.name, *(each.target.name for each in found)]
        assert len(set(names)) == len(names), f"two variants have one name: {', '.join(names)}"
        for each in found:
            assert each.target.options != plan.target.options, f"{each.target.name} is the plan"
            self.subject.host.estimate_cost(each, self.subject.context)

    def test_its_prices_are_known_without_asking(self) -> None:
        """`price_snapshot` without ``refresh`` answers from what is there, the same each time."""
        if not self.subject.has("price_snapshot"):
            skip("it has no price list")
        ask = self.subject.host.price_snapshot
        first, again = (
            ask(self.provider, refresh=False, context=self.subject.context) for _ in range(2)
        )
        assert first == again, "price_snapshot() differs the second time"
        assert first is None or first.id, "its price snapshot has no id"

    def test_the_permissions_that_it_needs_are_listed(self) -> None:
        """A policy with text, its actions sorted and none of them everything."""
        if not self.subject.has("required_permissions"):
            skip("its service has no permissions")
        policy = self.subject.host.required_permissions(self.subject.plan())
        if policy is None:
            skip("its service has no permissions")
        assert policy.text.strip(), "its policy is empty"
        assert list(policy.actions) == sorted(set(policy.actions)), "its actions are not sorted"
        assert "*" not in policy.actions, "its policy allows everything"
