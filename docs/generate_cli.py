"""Write ``reference/cli.md`` from the commands' own help; ``--check`` only compares.

python docs/generate_cli.py [--check]
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from scalable_core.cli.app import COMMANDS, root

PAGE = Path(__file__).parent / "reference" / "cli.md"

HEAD = """\
<!-- Written by docs/generate_cli.py from the commands' own help; change that. -->

# Command line

`scalable COMMAND --help` says what is here. A command is loaded when it is typed; commands that plugins add
are listed by `scalable --help` under *From plugins*.

**Output.** What was asked for goes to stdout; progress, problems and what to do next go to stderr. Every
listing has `--json`: one object with a versioned `schema`. `scalable run --json` prints events, one object
a line, then the record of the run; what the workflow prints then goes to stderr. With `--json` an error
is an object on stdout too, `scalable.error/1`.

**Terminals.** Colours, and lines that are drawn again, appear only on a terminal. `NO_COLOR` turns colours off,
`FORCE_COLOR` turns them on where there is no terminal, `COLUMNS` sets the width.

**Completion.** `eval "$(_SCALABLE_COMPLETE=bash_source scalable)"` completes commands and options in bash;
`zsh_source` and `fish_source` do in theirs.

## Exit codes

| code | meaning |
|---|---|
| 0 | done |
| 1 | the workflow raised, or ended itself with an error |
| 2 | a usage or manifest error |
| 3 | a provider is missing or broken, or its service refuses |
| 4 | the service has no capacity |
| 130 | interrupted, after everything was released |

## Environment

| variable | meaning |
|---|---|
| `SCALABLE_MANIFEST` | the manifest, in place of `./scalable.yaml` |
| `SCALABLE_TARGET` | the target, in place of the only one or `local` |
| `SCALABLE_DEFAULT_STORAGE` | in place of `project.default_storage` |
| `SCALABLE_CACHE_DIR` | folder of cached results, in place of `project.local_cache` |
| `SCALABLE_DISABLE_PLUGINS` | names of plugins or dists to leave out, separated by commas |
| `SCALABLE_TRACE_HOOKS` | `1` logs every call of a hook |

No `.env` file is ever read.
"""


def render() -> str:
    """Return the page."""
    parts = [HEAD.rstrip()]
    context = click.Context(root, info_name="scalable")
    for name in COMMANDS:
        command = root.get_command(context, name)
        assert command is not None
        parts += _command(command, click.Context(command, info_name=name, parent=context))
    return "\n\n".join(parts) + "\n"


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    """A heading, how it is called, what it does, its options; then its subcommands."""
    subcommands = command.commands if isinstance(command, click.Group) else {}
    if not subcommands:
        yield f"## {context.command_path}"
        usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
        yield f"```text\n{usage}\n```"
        yield from _paragraphs(inspect.cleandoc(command.help or ""))
        yield "\n".join(["| option | |", "|---|---|", *_options(command, context)])
    for name, subcommand in subcommands.items():
        yield from _command(subcommand, click.Context(subcommand, info_name=name, parent=context))


def _paragraphs(text: str) -> Iterator[str]:
    """The paragraphs of a help text; those that click keeps as they are become code."""
    for paragraph in text.split("\n\n"):
        as_is = paragraph.removeprefix("\b\n")
        yield paragraph if as_is == paragraph else f"```text\n{as_is}\n```"


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is not None and record[1]:
            names, meaning = (text.replace("|", "\\|") for text in record)
            yield f"| `{names}` | {' '.join(meaning.split())} |"


def main() -> None:
    """Write the page, or say whether it is as it would be written."""
    if "--check" not in sys.argv:
        PAGE.write_text(render(), encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != render():
        sys.exit(f"{PAGE} is not up to date; run: python docs/generate_cli.py")


if __name__ == "__main__":
    main()
