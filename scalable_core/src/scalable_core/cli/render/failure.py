"""Errors as text: a sentence and its cure, problems with their source, or the user's own traceback."""

from __future__ import annotations

import ast
import os
import sys
import traceback
from pathlib import Path
from typing import Any

import click

from scalable_core.cli.render.problems import render_problems
from scalable_core.cli.render.table import wrap
from scalable_core.cli.render.validation import render_verdict
from scalable_core.cli.terminal import Look, clean
from scalable_core.errors import ManifestError, ScalableError
from scalable_core.types import to_data

ERROR_SCHEMA = "scalable.error/1"

#: Packages whose frames say nothing about the user's code.
_PLUMBING = ("scalable", "dask", "distributed", "tornado", "asyncio", "concurrent", "pluggy")

#: What cloudpickle calls the file of a function that it carries by value.
_BY_VALUE = "<dynamic-code>"

#: A group without a subcommand: its help. Older versions of click print it themselves.
_HELP: type[Exception] | tuple[()] = getattr(click.exceptions, "NoArgsIsHelpError", ())


def render_error(error: BaseException, look: Look) -> list[str]:
    """Return an error as lines."""
    if isinstance(error, _HELP):
        return [str(error)]
    if isinstance(error, ManifestError) and error.problems:
        path = next((problem.file for problem in error.problems if problem.file), "the manifest")
        verdict = render_verdict(error.problems, look, path=path)
        return [*render_problems(error.problems, look), verdict]
    message, cure = _message(error), _cure(error)
    head = look.paint("error:", "red", "bold")
    lines = [
        line
        for number, text in enumerate(clean(message).splitlines() or [""])
        for line in wrap(text, look, first="  " if number else f"{head} ", rest="  ")
    ]
    for text in clean(cure or "").splitlines():
        lines += wrap(text, look, first="  ", rest="  ")
    for note in getattr(error, "__notes__", ()):
        lines += wrap(look.paint(clean(str(note)), "dim"), look, first="  ", rest="  ")
    return lines


def render_traceback(error: BaseException, workflow: Path | None = None) -> tuple[list[str], bool]:
    """Return the traceback of a workflow without the frames of Scalable and Dask.

    Args:
        error: What the workflow raised.
        workflow: The file. Its functions reach workers by value and forget it on the way; it is given back to
            the frames that are theirs.

    Returns:
        Its lines, and whether frames were left out.
    """
    whole = traceback.TracebackException.from_exception(error)
    left_out = _tidy(whole, workflow, set())
    return "".join(whole.format()).rstrip().splitlines(), left_out


def error_document(error: BaseException, code: int) -> dict[str, Any]:
    """Return an error as plain data for programs."""
    problems = error.problems if isinstance(error, ManifestError) else ()
    return {
        "schema": ERROR_SCHEMA,
        "type": type(error).__name__,
        "message": error.message if isinstance(error, ScalableError) else _message(error),
        "cure": _cure(error),
        "problems": to_data(problems),
        "exit_code": code,
    }


def _message(error: BaseException) -> str:
    if isinstance(error, ScalableError):
        return error.message
    if isinstance(error, click.ClickException):
        message = error.format_message()
        return message[:1].lower() + message[1:]
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _cure(error: BaseException) -> str | None:
    if isinstance(error, ScalableError):
        return error.cure
    if isinstance(error, click.UsageError) and error.ctx is not None:
        return f"see: {error.ctx.command_path} --help"
    if isinstance(error, click.ClickException):
        return None
    return "this should not happen; --debug shows where it did"


def _tidy(part: traceback.TracebackException, workflow: Path | None, seen: set[int]) -> bool:
    """Take the frames of others out of a traceback and of those that led to it."""
    if id(part) in seen:
        return False
    seen.add(id(part))
    kept = [_at_home(f, workflow) for f in part.stack if not _is_plumbing(f.filename)]
    left_out = len(kept) < len(part.stack)
    part.stack = traceback.StackSummary.from_list(kept)
    for other in (part.__cause__, part.__context__, *(part.exceptions or ())):
        if other is not None:
            left_out = _tidy(other, workflow, seen) or left_out
    return left_out


def _at_home(frame: traceback.FrameSummary, workflow: Path | None) -> traceback.FrameSummary:
    """Return a frame of code that travelled by value with its file, when it is the workflow's."""
    if workflow is None or frame.filename != _BY_VALUE or frame.lineno is None:
        return frame
    if frame.name not in _functions_at(workflow, frame.lineno):
        return frame
    return traceback.FrameSummary(str(workflow), frame.lineno, frame.name)


def _functions_at(path: Path, line: int) -> set[str]:
    """Return the names of the functions of a file that a line is in."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return set()
    return {
        "<lambda>" if isinstance(node, ast.Lambda) else node.name
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        and node.lineno <= line <= (node.end_lineno or node.lineno)
    }


def _is_plumbing(filename: str) -> bool:
    return any(filename.startswith(folder) for folder in _plumbing_folders())


def _plumbing_folders() -> tuple[str, ...]:
    """The folders of packages that are loaded and count as plumbing."""
    folders = []
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        ours = name in _PLUMBING or name.startswith("scalable_")
        if ours and file and "." not in name and os.path.basename(file) == "__init__.py":
            folders.append(os.path.dirname(file) + os.sep)
    return tuple(folders)
