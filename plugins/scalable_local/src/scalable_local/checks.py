"""What the `local` provider says before anything runs: rules, warnings and the cost, which is nothing."""

from __future__ import annotations

from collections.abc import Sequence

from scalable_core.types import CostEstimate, CostLine, Plan, Problem, Target

FREE = "this machine; nothing is billed"


def target_problems(target: Target) -> Sequence[Problem]:
    """Return what is wrong or odd in a target's options taken together."""
    options, problems = target.options, []
    adaptive = options.adaptive
    if adaptive is not None and adaptive.minimum > adaptive.maximum:
        problems.append(
            Problem(
                code="E1401",
                message=f"minimum {adaptive.minimum} is more than maximum {adaptive.maximum}",
                where="adaptive.minimum",
            )
        )
    if options.image is not None and options.containers == "none":
        problems.append(
            Problem(
                code="W1404",
                severity="warning",
                message="the image is not used, because the workers run without containers",
                where="image",
                cure="set containers, or remove image",
            )
        )
    return problems


def cost_estimate(plan: Plan, *, provider: str) -> CostEstimate:
    """Return an estimate of nothing, with one line for each group to say so."""
    lines = tuple(
        CostLine(
            item="Compute",
            component=group.name,
            unit="h",
            unit_price=0.0,
            amount=0.0,
            low=0.0,
            high=0.0,
            source=FREE,
        )
        for group in plan.groups
    )
    return CostEstimate(
        provider=provider, expected=0.0, low=0.0, high=0.0, monthly=0.0, basis=FREE, lines=lines
    )
