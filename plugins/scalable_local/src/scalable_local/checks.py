"""What the `local` provider says of a target before anything runs: rules and warnings."""

from __future__ import annotations

from collections.abc import Sequence

from scalable_core.types import Problem, Target


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
