"""What the `local` provider says of a target before anything runs: rules and warnings."""

from __future__ import annotations

from collections.abc import Sequence

from scalable_core.types import Problem, Target


def target_problems(target: Target) -> Sequence[Problem]:
    """Return what is wrong or odd in a target's options taken together."""
    options = target.options
    if options.image is None or options.containers != "none":
        return []
    return [
        Problem(
            code="W1404",
            severity="warning",
            message="the image is not used, because the workers run without containers",
            where="image",
            cure="set containers, or remove image",
        )
    ]
