"""The other things that ``scalable plan`` does: compare targets and regions, and choose what to pay."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from attrs import frozen

from scalable_core.cli.render.ways import (
    choice_verdict,
    regions_verdict,
    render_choice,
    render_regions,
    render_targets,
    targets_verdict,
)
from scalable_core.cli.terminal import Look, look_of, show, show_json
from scalable_core.errors import UsageError
from scalable_core.plan import plan_document
from scalable_core.plan.choose import Objective
from scalable_core.plan.ways import Choice, Comparison, choice_document, comparison_document
from scalable_core.plugins import PluginHost
from scalable_core.session.choosing import choose_plan
from scalable_core.types import Plan

_OBJECTIVES: dict[str | None, Objective | None] = {
    None: None, "cost": "minimize cost", "time": "minimize time", "balance": "balance",
}  # fmt: skip


@frozen(kw_only=True)
class Wishes:
    """The options by which a plan is chosen; each is None or false when it is not given."""

    deadline: float | None = None
    budget: float | None = None
    objective: str | None = None
    max_workers: int | None = None
    likely: bool = False

    @property
    def any(self) -> bool:
        """Whether a plan is to be chosen at all."""
        return (self.deadline, self.budget, self.objective) != (None, None, None)

    def words(self) -> list[str]:
        """Return the options as they are typed."""
        words = []
        if self.deadline is not None:
            minutes = round(60 * self.deadline, 6)
            whole = minutes.is_integer() and minutes % 60
            words += ["--deadline", f"{minutes:g}m" if whole else f"{self.deadline:g}h"]
        if self.budget is not None:
            words += ["--budget", f"{self.budget:g}"]
        if self.objective is not None:
            words += ["--objective", self.objective]
        if self.max_workers is not None:
            words += ["--max-workers", str(self.max_workers)]
        return [*words, "--likely"] if self.likely else words


def check_together(wishes: Wishes, *, compare: bool, regions: bool, **given: Any) -> None:
    """Refuse options that make no sense beside each other.

    Args:
        wishes: By which a plan is chosen.
        compare: Targets are compared.
        regions: Regions are compared.
        **given: The values of ``output``, ``hours`` and ``online``.

    Raises:
        UsageError: Naming both.
    """
    modes = {"--compare": compare, "--regions": regions, f"--{_first(wishes)}": wishes.any}
    used = [name for name, wanted in modes.items() if wanted]
    apart = ("hours",) if wishes.any else ("output", "online")
    used += [f"--{name}" for name in apart if used and given[name]]
    if len(used) > 1:
        raise UsageError(
            f"{used[0]} and {used[1]} do not go together", cure="leave one of them out"
        )
    if not wishes.any and (wishes.max_workers is not None or wishes.likely):
        name = "--likely" if wishes.likely else "--max-workers"
        raise UsageError(
            f"{name} is for a plan that is chosen",
            cure="say for what, with --deadline, --budget or --objective",
        )


def _first(wishes: Wishes) -> str:
    names = ("deadline", "budget", "objective")
    return next((name for name in names if getattr(wishes, name) is not None), "")


def choose(plan: Plan, host: PluginHost, wishes: Wishes, output_size: int | None) -> Choice:
    """Return the plan that fits the wishes best, among the others that come into question.

    Raises:
        UsageError: Nothing is known of the tasks, or of the prices.
    """
    return choose_plan(
        plan,
        host=host,
        deadline=wishes.deadline,
        budget=wishes.budget,
        objective=_OBJECTIVES[wishes.objective],
        most=wishes.max_workers,
        likely=wishes.likely,
        output_size=output_size,
    )


def show_targets(comparison: Comparison, *, as_json: bool, quiet: bool) -> None:
    """Show the targets of a manifest side by side."""
    _show(comparison, comparison_document, targets_verdict, render_targets, as_json, quiet)


def show_regions(comparison: Comparison, *, as_json: bool, quiet: bool) -> None:
    """Show the regions for a plan."""
    _show(comparison, comparison_document, regions_verdict, render_regions, as_json, quiet)


def show_choice(choice: Choice, *, as_json: bool, quiet: bool) -> None:
    """Show what was chosen, and among what."""
    _show(choice, _whole_document, choice_verdict, render_choice, as_json, quiet)


def _whole_document(choice: Choice) -> Mapping[str, Any]:
    plan = None if choice.chosen is None else plan_document(choice.chosen.plan)
    return {**choice_document(choice), "plan": plan}


def _show(
    found: Any,
    document: Callable[[Any], Mapping[str, Any]],
    verdict: Callable[[Any], str],
    render: Callable[[Any, Look], list[str]],
    as_json: bool,
    quiet: bool,
) -> None:
    if as_json:
        show_json(document(found))
        return
    for line in [verdict(found)] if quiet else render(found, look_of(sys.stdout)):
        show(line)
