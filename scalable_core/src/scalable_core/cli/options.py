"""Arguments and options that commands share, and what they stand for."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from scalable_core.errors import UsageError

Function = TypeVar("Function", bound=Callable[..., Any])

DEFAULT_MANIFEST = "scalable.yaml"


def manifest_argument(metavar: str = "[MANIFEST]") -> Callable[[Function], Function]:
    """Return the argument that names the manifest, or whatever ``metavar`` says besides."""
    return click.argument(
        "manifest", envvar="SCALABLE_MANIFEST", default=DEFAULT_MANIFEST, metavar=metavar
    )


target_option = click.option(
    "-t",
    "--target",
    metavar="NAME",
    help="Target of the manifest.  [default: SCALABLE_TARGET, the only one, or local]",
)
overlay_option = click.option(
    "--overlay",
    "overlays",
    metavar="NAME",
    multiple=True,
    help="Overlay of the manifest to lay over it; may be given more than once.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def common_options(function: Function) -> Function:
    """Add the options that every command has: ``-q``, ``-v`` and ``--debug``."""
    for decorate in (
        click.option("--debug", is_flag=True, help="Show whole tracebacks, ours and Dask's too."),
        click.option("-v", "--verbose", count=True, help="Say more; -vv says most."),
        click.option("-q", "--quiet", is_flag=True, help="Say only results and errors."),
    ):
        function = decorate(function)
    return function


def chosen(target: str | None) -> Any:
    """Return what the manifest reader takes for the ``--target`` that was or was not given."""
    from scalable_core.manifest import AUTO

    return AUTO if target is None else target


def next_command(
    command: str, manifest: str, target: str | None, overlays: tuple[str, ...] = ()
) -> str:
    """Return the command line that follows, with the same manifest, target and overlays."""
    words = ["scalable", command]
    words += [] if manifest == DEFAULT_MANIFEST else [manifest]
    words += [] if target is None else ["--target", target]
    words += [word for overlay in overlays for word in ("--overlay", overlay)]
    return shlex.join(words)


@contextmanager
def writing(path: str) -> Iterator[Path]:
    """Turn what goes wrong while a file is written into a sentence.

    Raises:
        UsageError: The file cannot be written.
    """
    try:
        yield Path(path)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {error.strerror}", cure="name another file with --output"
        ) from None
