"""``scalable init``: a project that runs as it is."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click

from scalable_core.cli.options import common_options
from scalable_core.errors import UsageError

STARTER = Path(__file__).parents[1] / "starter"

#: File of the starter to the name under which it is written, and what it is.
_FILES = {
    "scalable.yaml": ("scalable.yaml", "what runs where"),
    "workflow.py": ("workflow.py", "30 scenarios of an epidemic; put your own work here"),
    "gitignore": (".gitignore", "keeps records of runs and secrets out of git"),
}


@click.command
@click.argument("directory", default=".", metavar="[DIRECTORY]")
@common_options
def command(directory: str, quiet: bool, verbose: int, debug: bool) -> int:
    """Start a project that runs as it is: a manifest, a workflow and a .gitignore.

    The directory is made if it is not there. No file is overwritten: a .gitignore that is there is kept,
    anything else stops the command.
    """
    from scalable_core.cli.terminal import say, show

    folder = Path(directory)
    try:
        written, kept = write_starter(folder)
    except OSError as error:
        place = error.filename or directory
        raise UsageError(f"{place} cannot be written: {error.strerror}") from None
    width = max(map(len, [*written, *kept]))
    for name, what in written.items():
        show(f"wrote {name:<{width}}  {what}")
    for name in kept:
        show(f"kept  {name:<{width}}  it was there; let it ignore .scalable/")
    if not quiet:
        say(f"Next: {'' if directory == '.' else f'cd {shlex.quote(directory)} && '}scalable run")
    return 0


def write_starter(folder: Path) -> tuple[dict[str, str], list[str]]:
    """Write the files of a new project.

    Args:
        folder: Made if it is not there.

    Returns:
        What was written, each with what it is, and what was there and is kept.

    Raises:
        UsageError: A manifest or workflow is there already; nothing has been written.
        OSError: The folder or a file cannot be written.
    """
    there = [name for name, _ in _FILES.values() if (folder / name).exists()]
    blocking = [str(folder / name) for name in there if name != ".gitignore"]
    if blocking:
        raise UsageError(
            f"{' and '.join(blocking)} {'exists' if len(blocking) == 1 else 'exist'} already; "
            "nothing was written",
            cure="name another directory, such as: scalable init my-study",
        )
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for source, (name, what) in _FILES.items():
        if name not in there:
            text = (STARTER / source).read_text(encoding="utf-8")
            with (folder / name).open("x", encoding="utf-8") as file:
                file.write(text.replace("@name@", project_name(folder)))
            written[str(folder / name)] = what
    return written, [str(folder / name) for name in there]


def project_name(folder: Path) -> str:
    """Return a project's name from its folder's: letters, digits and hyphens."""
    words = re.sub(r"[^A-Za-z0-9]+", "-", folder.resolve().name).strip("-").lower()
    return words or "study"
