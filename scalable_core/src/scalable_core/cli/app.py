"""The root command: a table of commands that are imported when they are typed.

Nothing but click may be imported here, so that `scalable --help` answers at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import click

from scalable_core import __version__
from scalable_core.cli.found import FoundCommand, find_commands


class Entry(NamedTuple):
    """A command before it is loaded: the module that has it as ``command``, and its line in the help."""

    module: str
    summary: str


#: In the order in which a user meets them.
COMMANDS = {
    "init": Entry("scalable_core.cli.commands.init", "Start a project that runs as it is."),
    "validate": Entry("scalable_core.cli.commands.validate", "Say everything that is wrong in a manifest."),
    "plan": Entry("scalable_core.cli.commands.plan", "Show what a run would create and cost."),
    "run": Entry("scalable_core.cli.commands.run", "Run the workflow on a target and release everything."),
    "attach": Entry("scalable_core.cli.commands.attach", "Watch a run that goes on without you."),
    "detach": Entry("scalable_core.cli.commands.detach", "Let a run go on without this machine."),
    "cancel": Entry("scalable_core.cli.commands.cancel", "End a run and keep what it has done."),
    "status": Entry("scalable_core.cli.commands.status", "List what is running, and what it costs an hour."),
    "logs": Entry("scalable_core.cli.commands.logs", "Print what the workers of a run wrote."),
    "down": Entry("scalable_core.cli.commands.down", "End a run, or all, and remove what they have created."),
    "doctor": Entry("scalable_core.cli.commands.doctor", "Look at all that a run needs; say what mends it."),
    "runs": Entry("scalable_core.cli.commands.runs", "List the runs of this project."),
    "report": Entry("scalable_core.cli.commands.report", "Say what happened in a run."),
    "advise": Entry("scalable_core.cli.commands.advise", "Advise memory, time and workers for a task."),
    "artifacts": Entry("scalable_core.cli.commands.artifacts", "Look at what runs have stored, and fetch it."),
    "why": Entry("scalable_core.cli.commands.why", "Say why calls are computed again."),
    "cache": Entry("scalable_core.cli.commands.cache", "Look at the results that are kept."),
    "prices": Entry("scalable_core.cli.commands.prices", "Show which prices estimates are made with."),
    "plugins": Entry("scalable_core.cli.commands.plugins", "List and check the installed plugins."),
    "drive": Entry("scalable_core.cli.commands.drive", "Run the workflow of a run that was handed over."),
    "schema": Entry("scalable_core.cli.commands.schema", "Write the JSON Schema of the manifest."),
}  # fmt: skip


class LazyGroup(click.Group):
    """A group that knows its commands' names and summaries without loading them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of Scalable's own commands, then of the plugins'."""
        return [*COMMANDS, *self._from_plugins()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one command; None when there is none of that name."""
        if cmd_name in COMMANDS:
            from importlib import import_module

            command: click.Command = import_module(COMMANDS[cmd_name].module).command
            return command
        found = self._from_plugins().get(cmd_name)
        return None if found is None else found.load()

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that was typed, or say which one may have been meant."""
        command = self.get_command(ctx, args[0])
        if command is None and not args[0].startswith("-"):
            from difflib import get_close_matches

            names = self.list_commands(ctx)
            close = get_close_matches(args[0], names, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"commands: {', '.join(names)}"
            raise click.UsageError(f"there is no command {args[0]!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the summaries from the table, and plugins' commands by the dist they come from."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])
        found = self._from_plugins()
        if found:
            with formatter.section("From plugins"):
                formatter.write_dl([(name, command.dist) for name, command in found.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """Complete the names of commands without loading any."""
        from click.shell_completion import CompletionItem

        summaries = {name: entry.summary for name, entry in COMMANDS.items()}
        summaries |= {name: found.dist for name, found in self._from_plugins().items()}
        names = [
            CompletionItem(name, help=summary)
            for name, summary in summaries.items()
            if name.startswith(incomplete)
        ]
        return names + click.Command.shell_complete(self, ctx, incomplete)

    def _from_plugins(self) -> dict[str, FoundCommand]:
        return {name: found for name, found in find_commands().items() if name not in COMMANDS}


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with: scalable init my-study",
)
@click.version_option(__version__, "-V", "--version", message="scalable %(version)s")
def root() -> None:
    """One manifest and one workflow, from the laptop to the cloud."""


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code; whatever goes wrong has been printed.

    Args:
        arguments: Without the program's own name.
    """
    try:
        code = root.main(list(arguments) or ["--help"], prog_name="scalable", standalone_mode=False)
    except BaseException as error:
        from scalable_core.cli.failure import report_failure

        return report_failure(error, arguments)
    return code if isinstance(code, int) else 0
