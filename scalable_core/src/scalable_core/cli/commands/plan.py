"""``scalable plan``: what a run would create, what that would cost, and what else could be paid."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Any

import click
from attrs import evolve

from scalable_core.cli.options import (
    chosen,
    common_options,
    json_option,
    manifest_argument,
    next_command,
    overlay_option,
    target_option,
    writing,
)
from scalable_core.cli.quantities import Dollars, Hours, Size

if TYPE_CHECKING:
    from scalable_core.plugins import PluginHost
    from scalable_core.types import Plan

#: The exit code when nothing keeps to the deadline and the budget.
_NOTHING_DOES = 2


@click.command
@manifest_argument()
@target_option
@overlay_option
@click.option("-o", "--output", metavar="FILE", help="Also write the plan, for: scalable run FILE")
@click.option(
    "--hours",
    metavar="H",
    type=Hours(),
    help="Estimate exactly H hours with every worker there.  [default: as long as it may take]",
)
@click.option(
    "--output-size",
    metavar="SIZE",
    type=Size(),
    help="Estimate the cost of keeping so much, such as 50GB.",
)
@click.option(
    "--compare",
    is_flag=True,
    help="Show every target side by side, and what Spot, on-demand and ARM would cost on each.",
)
@click.option("--regions", is_flag=True, help="Show in which regions the same plan is cheapest.")
@click.option(
    "--deadline",
    metavar="TIME",
    type=Hours(),
    help="Choose workers that are done within TIME, such as 2h or 90m.",
)
@click.option(
    "--budget", metavar="USD", type=Dollars(), help="Choose workers that cost at most USD."
)
@click.option(
    "--objective",
    type=click.Choice(["cost", "time", "balance"]),
    help="Choose workers for the least of it.  [default: cost; time with a budget alone]",
)
@click.option(
    "--max-workers",
    metavar="N",
    type=click.IntRange(min=1),
    help="Choose among up to N workers.  [default: as many as the target has]",
)
@click.option(
    "--likely",
    is_flag=True,
    help="Hold deadline and budget against what is expected.  [default: the ninetieth percentile]",
)
@click.option("--online", is_flag=True, help="Ask the registries and pin images to digests.")
@click.option(
    "-n", "--dry-run", is_flag=True, help="Plan only, which is all that this command does."
)
@json_option
@common_options
def command(
    manifest: str,
    target: str | None,
    overlays: tuple[str, ...],
    output: str | None,
    hours: float | None,
    output_size: int | None,
    compare: bool,
    regions: bool,
    online: bool,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
    verbose: int,
    debug: bool,
    **wish: Any,
) -> int:
    """Show what a run would create and cost.

    MANIFEST is ./scalable.yaml unless it is named, here or by SCALABLE_MANIFEST. Nothing is created and,
    without --online, no socket is opened: images stay as they are written and prices come from the
    snapshot that ships with the provider.

    How long the run takes is, in this order: what --hours says, what the project's earlier runs say, what
    `expect` in the manifest says, or one hour. The estimate names which.

    With --deadline, --budget or --objective the number of workers, and whether they are Spot, are chosen;
    otherwise they are the manifest's. Limits hold at the ninetieth percentile: nine runs of ten keep to
    them. When nothing keeps to them the exit code is 2, and no plan is written.

    \b
    scalable plan --target aws
    scalable plan --target aws --hours 2 --output-size 50GB
    scalable plan --compare
    scalable plan --target aws --deadline 2h --budget 50 --output plan.json
    scalable run plan.json
    """
    from scalable_core.cli import choosing
    from scalable_core.cli.host import make_host
    from scalable_core.plan import build_plan, write_plan
    from scalable_core.session.choosing import compare_regions, compare_targets
    from scalable_core.session.planning import load, make_plan

    wishes = choosing.Wishes(**wish)
    choosing.check_together(
        wishes, compare=compare, regions=regions, output=output, hours=hours, online=online
    )
    host = make_host(quiet=quiet, verbose=verbose, offline=not online)
    tell = not (quiet or as_json)
    if compare:
        found = compare_targets(
            manifest,
            host=host,
            target=target,
            overlays=overlays,
            hours=hours,
            output_size=output_size,
        )
        choosing.show_targets(found, as_json=as_json, quiet=quiet)
        return _done(next_command("plan", manifest, found.ways[0].target, overlays), tell)
    read = load(manifest, target=chosen(target), overlays=overlays, host=host)
    if regions:
        found = compare_regions(build_plan(read), host=host, hours=hours, output_size=output_size)
        choosing.show_regions(found, as_json=as_json, quiet=quiet)
        return _done(f"{next_command('plan', manifest, target, overlays)} --compare", tell)
    plan = make_plan(read, host=host, online=online, hours=hours, output_size=output_size)
    following = next_command("run", manifest, target, overlays)
    if wishes.any:
        choice = choosing.choose(plan, host, wishes, output_size)
        choosing.show_choice(choice, as_json=as_json, quiet=quiet)
        again = next_command("plan", manifest, target, overlays)
        if choice.chosen is None:
            more = evolve(wishes, max_workers=2 * choice.most)
            following = f"{again} {shlex.join(more.words())}"
            return _done(following, tell and choice.wants_workers, code=_NOTHING_DOES)
        plan = choice.chosen.plan
        following = f"{again} {shlex.join(wishes.words())} --output plan.json"
    if output is not None:
        following = f"scalable run {shlex.quote(output)}"
        with writing(output) as path:
            write_plan(plan, path)
    if not wishes.any:
        _show_plan(plan, host, as_json=as_json, quiet=quiet)
    return _done(following, tell)


def _done(following: str, tell: bool, *, code: int = 0) -> int:
    """Say which command follows, where that is wanted, and return the exit code."""
    from scalable_core.cli.terminal import say

    if tell:
        say(f"Next: {following}")
    return code


def _show_plan(plan: Plan, host: PluginHost, *, as_json: bool, quiet: bool) -> None:
    from scalable_core.cli.host import package_of
    from scalable_core.cli.render.plan import plan_verdict, render_plan
    from scalable_core.cli.terminal import look_of, show, show_json
    from scalable_core.plan import plan_document

    if as_json:
        show_json(plan_document(plan))
        return
    package = package_of(host, plan.target.provider)
    lines = [plan_verdict(plan)]
    if not quiet:
        lines = render_plan(plan, look_of(sys.stdout), package=package)
    for line in lines:
        show(line)
