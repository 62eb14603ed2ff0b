"""Asking before money is spent."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from scalable_core.cli.render.cost import cost_verdict, costs_money
from scalable_core.cli.render.problems import count
from scalable_core.cli.render.table import wrap
from scalable_core.cli.terminal import Look, clean, say
from scalable_core.errors import UsageError
from scalable_core.types import Plan
from scalable_core.types.units import format_usd


def check_budget(plan: Plan, budget: float | None, *, allow_unpriced: bool) -> None:
    """Refuse a budget that cannot be kept, because nobody knows what the run spends.

    Raises:
        UsageError: Something that is paid by the hour has no price, and that is not allowed.
    """
    if budget is None or allow_unpriced or plan.cost is None or not plan.cost.unpriced_compute:
        return
    names = ", ".join(dict.fromkeys(map(clean, plan.cost.unpriced_compute)))
    raise UsageError(
        f"a budget cannot be kept on {clean(plan.target.name)!r}: no price is known for {names}",
        cure="give the target a price, or count only what has one: --allow-unpriced",
    )


def consents(plan: Plan, *, yes: bool, look: Look, budget: float | None = None) -> bool:
    """Return whether a plan may be run; the user is asked when that costs money, or might.

    Args:
        plan: With its estimate.
        yes: The answer was given beforehand.
        look: Of stderr.
        budget: USD at which the run will be stopped.

    Raises:
        UsageError: There is nobody to ask.
        click.Abort: The user ended the question with Ctrl-C or Ctrl-D.
    """
    if not costs_money(plan):
        return True
    verdict = cost_verdict(plan.cost)
    if budget is not None:
        verdict += f" Budget {format_usd(budget)}."
    target = clean(plan.target.name)
    if not yes and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            f"a run on {target!r} spends money, and there is no terminal to ask on. {verdict}",
            cure="agree beforehand with --yes; see what is paid for with --dry-run",
        )
    for text in [] if budget is None else _doubts(plan, budget):
        for line in wrap(text, look, first=look.paint("!", "yellow", "bold") + " ", rest="  "):
            say(line)
    if yes:
        return True
    most = "at most " if plan.adaptive else ""
    say(f"About to start {most}{count(plan.maximum, 'worker')} on {target}. {verdict}")
    return click.confirm("Proceed?", default=False, err=True)


def _doubts(plan: Plan, budget: float) -> Iterator[str]:
    """Yield what a user should know of a budget before it is tried."""
    if plan.cost is None:
        return
    if budget < (plan.cost.expected or 0.0):
        yield (
            "the budget is below what the run is expected to cost: it will be stopped before it is done, "
            "and can be resumed"
        )
    if plan.cost.unpriced_compute:
        names = ", ".join(dict.fromkeys(map(clean, plan.cost.unpriced_compute)))
        yield f"the budget does not count what has no price: {names}"
