"""Asking before money is spent."""

from __future__ import annotations

import sys

import click

from scalable_core.cli.render.cost import cost_verdict, costs_money
from scalable_core.cli.render.problems import count
from scalable_core.cli.terminal import clean, say
from scalable_core.errors import UsageError
from scalable_core.types import Plan


def consents(plan: Plan, *, yes: bool) -> bool:
    """Return whether a plan may be run; the user is asked when that costs money, or might.

    Args:
        plan: With its estimate.
        yes: The answer was given beforehand.

    Raises:
        UsageError: There is nobody to ask.
        click.Abort: The user ended the question with Ctrl-C or Ctrl-D.
    """
    if yes or not costs_money(plan):
        return True
    verdict = cost_verdict(plan.cost)
    target = clean(plan.target.name)
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            f"a run on {target!r} spends money, and there is no terminal to ask on. {verdict}",
            cure="agree beforehand with --yes; see what is paid for with --dry-run",
        )
    most = "at most " if plan.adaptive else ""
    say(f"About to start {most}{count(plan.maximum, 'worker')} on {target}. {verdict}")
    return click.confirm("Proceed?", default=False, err=True)
