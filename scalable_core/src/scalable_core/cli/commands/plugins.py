"""``scalable plugins``: what is installed, and whether it works."""

from __future__ import annotations

import sys

import click

from scalable_core.cli.options import common_options, json_option


@click.group
def command() -> None:
    """List and check the installed plugins."""


@command.command("list")
@json_option
@common_options
def list_command(as_json: bool, quiet: bool, verbose: int, debug: bool) -> int:
    """List the installed plugins from their metadata; none is imported."""
    return _show(load=False, as_json=as_json, quiet=quiet, verbose=verbose)


@command.command("check")
@json_option
@common_options
def check_command(as_json: bool, quiet: bool, verbose: int, debug: bool) -> int:
    """Import every installed plugin and say what is wrong with it.

    Exit code 3 when one is broken or does not fit this version; disabled ones are left alone.
    """
    return _show(load=True, as_json=as_json, quiet=quiet, verbose=verbose)


def _show(*, load: bool, as_json: bool, quiet: bool, verbose: int) -> int:
    from scalable_core.cli.host import make_host
    from scalable_core.cli.render.plugins import plugins_document, render_plugins
    from scalable_core.cli.terminal import look_of, say, show, show_json

    host = make_host(quiet=quiet, verbose=verbose, offline=True)
    statuses = host.statuses(load=load)
    if as_json:
        show_json(plugins_document(statuses, checked=load))
    else:
        for line in render_plugins(statuses, look_of(sys.stdout), checked=load):
            show(line)
        if not load and not quiet:
            say("Next: scalable plugins check")
    faulty = any(status.status not in ("ready", "disabled") for status in statuses)
    return 3 if load and faulty else 0
