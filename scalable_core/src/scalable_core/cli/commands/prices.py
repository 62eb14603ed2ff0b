"""``scalable prices``: which prices estimates are made with, how old they are, and today's."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from scalable_core.cli.options import common_options, json_option

if TYPE_CHECKING:
    from scalable_core.plugins import PluginHost
    from scalable_core.types import PriceSnapshot

#: Seconds that a refresh may take.
_PATIENCE = 900


@click.command
@click.option("--refresh", is_flag=True, help="Ask the providers for today's prices and keep them.")
@click.option(
    "--provider",
    "providers",
    multiple=True,
    metavar="NAME",
    help="Only of a provider; may be given more than once.  [default: all that are installed]",
)
@json_option
@common_options
def command(
    refresh: bool,
    providers: tuple[str, ...],
    as_json: bool,
    quiet: bool,
    verbose: int,
    debug: bool,
) -> int:
    """Show which prices estimates are made with.

    They come with each provider, with their dates and sources, and no socket is opened for them. --refresh
    asks AWS Price List, the Spot price history and the Cloud Billing Catalog for today's, with the credentials
    that are there, and keeps them for this user in SCALABLE_PRICES_DIR or the platform's cache. What looks
    wrong, such as a price that is more than three times off, is not taken: those prices stay as they were,
    and it is said which. Then the exit code is 3.

    \b
    scalable prices
    scalable prices --refresh --provider aws
    """
    from scalable_core.cli.host import make_host
    from scalable_core.cli.render.prices import prices_document, render_prices
    from scalable_core.cli.terminal import look_of, say, show, show_json

    host = make_host(quiet=quiet, verbose=verbose, offline=not refresh)
    snapshots = []
    for name in providers or host.provider_names():
        if refresh and not quiet:
            say(f"Asking for the prices of {name} ..")
        snapshot = _snapshot(host, name, refresh=refresh, asked=bool(providers))
        snapshots += [snapshot] if snapshot is not None else []
    if as_json:
        show_json(prices_document(snapshots))
    else:
        for line in render_prices(snapshots, look_of(sys.stdout), sources=verbose > 0):
            show(line)
        if not refresh and not quiet and snapshots:
            say("Next: scalable prices --refresh")
    return 3 if any(snapshot.notes for snapshot in snapshots) else 0


def _snapshot(host: PluginHost, name: str, *, refresh: bool, asked: bool) -> PriceSnapshot | None:
    """Return a provider's prices; a provider that nobody asked for by name may fail beside the others."""
    import time

    from attrs import evolve

    from scalable_core.errors import ScalableError
    from scalable_core.types import HookContext

    context = HookContext(deadline=time.monotonic() + _PATIENCE if refresh else None)
    try:
        return host.price_snapshot(name, refresh=refresh, context=context)
    except ScalableError as error:
        if asked or not refresh:
            raise
        old = host.price_snapshot(name, refresh=False, context=context)
        said = f"{error.message}; {error.cure}" if error.cure else error.message
        return old and evolve(old, notes=(said,))
