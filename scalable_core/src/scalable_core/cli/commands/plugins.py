"""``scalable plugins``: what is installed, whether it works, and how a new one begins."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from scalable_core.cli.options import common_options, json_option
from scalable_core.errors import ProviderNotFoundError, UsageError


@click.group
def command() -> None:
    """List and check the installed plugins; start a new one."""


@command.command("list")
@json_option
@common_options
def list_command(as_json: bool, quiet: bool, verbose: int, debug: bool) -> int:
    """List the installed plugins from their metadata; none is imported."""
    return _show(load=False, as_json=as_json, quiet=quiet, verbose=verbose)


@command.command("check")
@click.argument("name", required=False, metavar="[NAME]")
@click.option("--spend", is_flag=True, help="Also start clusters that may cost something.")
@json_option
@common_options
def check_command(
    name: str | None, spend: bool, as_json: bool, quiet: bool, verbose: int, debug: bool
) -> int:
    """Import every installed plugin and say what is wrong with it.

    With the NAME of a provider, run the conformance kit on it: all that can be run without spending, and
    clusters too where the provider's own estimate says that they cost nothing.

    Exit code 3 when one is broken, does not fit this version, or fails a check; disabled ones are left alone.
    """
    if name is not None:
        return _score(name, spend=spend, as_json=as_json, quiet=quiet, verbose=verbose)
    if spend:
        raise UsageError("--spend is for one provider", cure="scalable plugins check NAME --spend")
    return _show(load=True, as_json=as_json, quiet=quiet, verbose=verbose)


@command.command("new")
@click.argument("name")
@click.option("--directory", metavar="DIR", help="Where to write it.  [default: scalable-NAME]")
@common_options
def new_command(name: str, directory: str | None, quiet: bool, verbose: int, debug: bool) -> int:
    """Write a complete small project with a provider NAME: code, tests, metadata, CI.

    It can be installed, and passes the conformance kit, as it is written. No file is overwritten.
    """
    from scalable_core.cli.new_plugin import write_plugin
    from scalable_core.cli.terminal import say, show

    folder = Path(directory or f"scalable-{name}")
    for path in write_plugin(name, folder):
        show(f"wrote {path}")
    if not quiet:
        say(f"Next: pip install -e '{folder}[test]' && scalable plugins check {name}")
    return 0


def _score(name: str, *, spend: bool, as_json: bool, quiet: bool, verbose: int) -> int:
    from scalable_core.cli.host import make_host
    from scalable_core.cli.kit import run_kit
    from scalable_core.cli.render.conformance import render_scorecard
    from scalable_core.cli.terminal import look_of, show, show_json
    from scalable_core.plugins.scorecard import keep_score, scorecard

    host = make_host(quiet=quiet, verbose=verbose, offline=True)
    found = [each for each in host.statuses(load=False, name=name) if each.kind == "provider"]
    if not found:
        installed = ", ".join(host.provider_names()) or "none"
        raise ProviderNotFoundError(
            f"no installed plugin provides {name!r}; installed: {installed}",
            cure="`scalable plugins list` shows what is there",
        )
    checks = run_kit(name, spend=spend, quiet=quiet or as_json)
    card = scorecard(name, found[0].dist, found[0].version, checks)
    keep_score(card, found[0].module)
    if as_json:
        show_json(card)
    else:
        for line in render_scorecard(card, look_of(sys.stdout)):
            show(line)
    return 3 if card["failed"] else 0


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
