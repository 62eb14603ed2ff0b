"""The hooks of the extension: it stands before the verb that spends money."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from scalable_budget_guard.limits import Limits, read_limits
from scalable_core.errors import UsageError
from scalable_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from scalable_core.types import Plan

SCALABLE_PLUGIN_API = 1


@hookimpl(wrapper=True)
def provision_cluster(plan: Plan) -> Generator[None, Any, Any]:
    """Refuse a plan that may cost more than is allowed; nothing has been created then.

    Raises:
        UsageError: It may, or nobody knows.
    """
    check(plan, read_limits())
    return (yield)


def check(plan: Plan, limits: Limits) -> None:
    """Check a plan against limits.

    Raises:
        UsageError: It may cost more, or what it costs is not known and that is not allowed.
    """
    limit, cost = limits.of(plan.project.name), plan.cost
    if limit is None:
        return
    unknown = ("all of it",) if cost is None else cost.unpriced
    if unknown and not limits.allow_unknown:
        raise UsageError(
            f"the budget guard refuses this run: nobody knows what {', '.join(unknown)} will cost",
            cure="give the target a price, or let the team set allow_unknown = true",
        )
    most = None if cost is None else cost.high if cost.high is not None else cost.expected
    if most is not None and most > limit:
        raise UsageError(
            f"the budget guard refuses this run: it may cost ${most:,.2f}, and"
            f" {plan.project.name!r} may spend ${limit:,.2f} on a run",
            cure="plan fewer workers or a shorter run, or ask the team for a higher limit",
        )
