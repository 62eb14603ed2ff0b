"""``scalable plan``: what a run would create, and what that would cost."""

from __future__ import annotations

import math
import shlex
import sys
from typing import Any

import click

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


class Hours(click.ParamType[float]):
    """A time in hours: ``2``, ``0.5``, or with a unit of its own as in ``90m``."""

    name = "hours"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the hours."""
        from scalable_core.types.units import parse_duration

        try:
            hours = float(value)
        except ValueError:
            try:
                hours = parse_duration(value) / 3600
            except ValueError as error:
                self.fail(str(error), param, ctx)
        if not math.isfinite(hours) or hours <= 0:
            self.fail(f"{value!r} is not a time; it must be above 0", param, ctx)
        return hours


class Size(click.ParamType[int]):
    """A size in bytes: ``50GB``."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the bytes."""
        from scalable_core.types.units import parse_size

        try:
            return parse_size(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


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
    online: bool,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
    verbose: int,
    debug: bool,
) -> int:
    """Show what a run would create and cost.

    MANIFEST is ./scalable.yaml unless it is named, here or by SCALABLE_MANIFEST. Nothing is created and,
    without --online, no socket is opened: images stay as they are written and prices come from the
    snapshot that ships with the provider.

    How long the run takes is, in this order: what --hours says, what the project's earlier runs say, what
    `expect` in the manifest says, or one hour. The estimate names which.

    \b
    scalable plan --target aws
    scalable plan --target aws --hours 2 --output-size 50GB
    scalable plan --target aws --online --output plan.json
    scalable run plan.json
    """
    from scalable_core.cli.host import make_host, package_of
    from scalable_core.cli.render.plan import plan_verdict, render_plan
    from scalable_core.cli.terminal import look_of, say, show, show_json
    from scalable_core.plan import plan_document, write_plan
    from scalable_core.session.planning import load, make_plan

    host = make_host(quiet=quiet, verbose=verbose, offline=not online)
    read = load(manifest, target=chosen(target), overlays=overlays, host=host)
    plan = make_plan(read, host=host, online=online, hours=hours, output_size=output_size)
    if output is not None:
        with writing(output) as path:
            write_plan(plan, path)
    if as_json:
        show_json(plan_document(plan))
        return 0
    look = look_of(sys.stdout)
    package = package_of(host, plan.target.provider)
    lines = [plan_verdict(plan)] if quiet else render_plan(plan, look, package=package)
    for line in lines:
        show(line)
    if not quiet:
        following = f"scalable run {shlex.quote(output)}" if output else None
        say(f"Next: {following or next_command('run', manifest, target, overlays)}")
    return 0
