"""``scalable validate``: everything that is wrong in a manifest."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from scalable_core.cli.options import (
    chosen,
    common_options,
    json_option,
    manifest_argument,
    next_command,
    overlay_option,
    target_option,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scalable_core.plugins import PluginHost
    from scalable_core.types import Manifest, Problem

#: There is no target to choose: only a mistake where one has to be chosen.
_NO_DEFAULT_TARGET = "E0208"


@click.command
@manifest_argument()
@target_option
@overlay_option
@json_option
@common_options
def command(
    manifest: str,
    target: str | None,
    overlays: tuple[str, ...],
    as_json: bool,
    quiet: bool,
    verbose: int,
    debug: bool,
) -> int:
    """Say everything that is wrong in a manifest, with its place.

    MANIFEST is ./scalable.yaml unless it is named, here or by SCALABLE_MANIFEST. All problems are found in
    one pass, without network. With --target, only what that target needs must be right, its environment
    variables included; what is wrong elsewhere is then a warning.

    Exit code 2 when there is an error.
    """
    from scalable_core.cli.host import make_host
    from scalable_core.cli.render.problems import render_problems
    from scalable_core.cli.render.table import wrap
    from scalable_core.cli.render.validation import render_verdict, validation_document
    from scalable_core.cli.terminal import look_of, say, show, show_json

    host = make_host(quiet=quiet, verbose=verbose, offline=True)
    read, problems = _find_problems(manifest, target, overlays, host)
    errors = any(problem.severity == "error" for problem in problems)
    if as_json:
        show_json(validation_document(problems, path=manifest, manifest=read))
        return 2 if errors else 0
    look = look_of(sys.stdout)
    for line in render_problems(problems, look):
        show(line)
    for line in wrap(render_verdict(problems, look, path=manifest, manifest=read), look):
        show(line)
    if not errors and not quiet:
        say(f"Next: {next_command('plan', manifest, target, overlays)}")
    return 2 if errors else 0


def _find_problems(
    manifest: str, target: str | None, overlays: Sequence[str], host: PluginHost
) -> tuple[Manifest | None, tuple[Problem, ...]]:
    """Read a manifest and return it, if that goes, and all that is wrong with it.

    Raises:
        ManifestError: Without a list of problems.
        ProviderError: The provider of the selected target fails while it checks.
    """
    from scalable_core.errors import ManifestError
    from scalable_core.session.planning import load

    def read(selected: object) -> tuple[Manifest | None, tuple[Problem, ...]]:
        try:
            found = load(manifest, target=selected, overlays=overlays, host=host)
        except ManifestError as error:
            if not error.problems:
                raise
            return None, error.problems
        return found, found.problems

    found, problems = read(chosen(target))
    if target is not None or os.environ.get("SCALABLE_TARGET"):
        return found, problems
    if any(problem.code == _NO_DEFAULT_TARGET for problem in problems):
        return read(None)
    return found, tuple(_as_written(problem) for problem in problems)


def _as_written(problem: Problem) -> Problem:
    """Nobody asked for one target, so an error in another one is an error too."""
    from attrs import evolve

    return evolve(problem, severity="error" if problem.code.startswith("E") else "warning")
