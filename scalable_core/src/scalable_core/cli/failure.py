"""From an exception to what the user reads and the exit code; the last stop of every command."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Sequence

import click

from scalable_core.cli.render.failure import error_document, render_error
from scalable_core.cli.terminal import look_of, say, show
from scalable_core.errors import ManifestError, ProviderError, ScalableError

INTERRUPTED = 130

#: Problems of a manifest that are the provider's: it is not installed, or cannot be used.
_PROVIDER_CODES = frozenset({"E0202", "E0203"})

#: How the note begins that the plugin host adds to what a plugin raises.
_BLAME = "raised by "


def report_failure(error: BaseException, arguments: Sequence[str]) -> int:
    """Print what went wrong and return the exit code.

    Args:
        error: Whatever ended the command.
        arguments: The command line: ``--debug`` in it asks for tracebacks, ``--json`` for an object.
    """
    ours = arguments[: arguments.index("--")] if "--" in arguments else arguments
    look = look_of(sys.stderr)
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        say(look.paint("interrupted", "yellow"))
        return INTERRUPTED
    code = exit_code(error)
    if "--json" in ours:
        show(json.dumps(error_document(error, code)))
    if "--debug" in ours and not isinstance(error, click.ClickException):
        say("".join(traceback.format_exception(error)).rstrip())
        return code
    for line in render_error(error, look):
        say(line)
    return code


def exit_code(error: BaseException) -> int:
    """Return the exit code that an error stands for."""
    if isinstance(error, ManifestError) and _lacks_provider(error):
        return ProviderError.exit_code
    if isinstance(error, (ScalableError, click.ClickException)):
        return error.exit_code
    return ProviderError.exit_code if is_of_plugin(error) else 1


def is_of_plugin(error: BaseException) -> bool:
    """Whether an error is a provider's: one that it foresaw, or one that came out of its code."""
    notes = getattr(error, "__notes__", ())
    return isinstance(error, ProviderError) or any(note.startswith(_BLAME) for note in notes)


def _lacks_provider(error: ManifestError) -> bool:
    """Whether the manifest is right and only the provider it names is missing."""
    codes = {problem.code for problem in error.problems if problem.severity == "error"}
    return bool(codes) and codes <= _PROVIDER_CODES
