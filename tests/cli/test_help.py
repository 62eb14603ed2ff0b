"""The root command answers from a table: it loads nothing that it does not need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scalable_core import __version__
from scalable_core.cli.app import COMMANDS

HEAVY = {
    "attr", "attrs", "cattrs", "dask", "distributed", "importlib.metadata", "pluggy", "rich", "ruamel",
    "scalable_local", "scalable_aws", "scalable_gcp", "scalable_kubernetes", "scalable_core.types",
    "scalable_core.plugins", "scalable_core.session", "numpy", "pandas",
}  # fmt: skip


def modules_after(*arguments: str, cwd: Path | None = None) -> set[str]:
    """The modules that are there after a command line has been run in a fresh Python."""
    code = f"import sys; sys.argv = ['scalable', *{list(arguments)!r}]\n"
    code += "from scalable_core.cli import main\n"
    code += "try: main()\nexcept SystemExit: pass\nprint('MODULES', *sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=cwd
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.partition("MODULES ")[2].split())


def dist(folder: Path, name: str, module: str, entry_points: str) -> None:
    """Put a dist with one module into a folder, as pip would."""
    info = folder / f"{name.replace('-', '_')}-0.3.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.3.0\n")
    (info / "entry_points.txt").write_text(entry_points)
    (folder / f"{name.replace('-', '_')}.py").write_text(module)


TAIL = """\
import click

@click.command
@click.argument("name")
def tail(name):
    print("tailing", name)
    return 7
"""


@pytest.mark.parametrize("argument", ["--help", "-h"])
def test_help_loads_no_command_and_nothing_heavy(argument: str) -> None:
    """`scalable --help` imports click and the table, and no command, plugin, Dask, rich or attrs."""
    modules = modules_after(argument)

    assert "click" in modules
    assert HEAVY & modules == set()
    assert [name for name in modules if name.startswith("scalable_core.cli.commands")] == []


def test_the_version_is_answered_before_click_is_loaded(scalable) -> None:
    """`scalable --version` imports next to nothing."""
    assert scalable("--version").stdout == f"scalable {__version__}\n"
    assert "click" not in modules_after("--version")


@pytest.mark.parametrize("command", ["validate", "plan"])
def test_planning_imports_no_dask_and_no_other_provider(command: str, project: Path) -> None:
    """`validate` and `plan` load the provider that is named, and neither Dask nor a cloud's plugin."""
    modules = modules_after(command, cwd=project)

    assert "scalable_local" in modules
    assert {"dask", "distributed", "rich", "scalable_aws", "scalable_gcp"} & modules == set()


def test_help_names_every_command_with_its_summary(scalable) -> None:
    """The help lists the commands in the order in which a user meets them."""
    text = scalable("--help").stdout

    places = [text.index(f"\n  {name} ") for name in COMMANDS]
    assert places == sorted(places)
    assert all(entry.summary in text for entry in COMMANDS.values())


@pytest.mark.parametrize("name", COMMANDS)
def test_summaries_are_those_of_the_commands(name: str, scalable) -> None:
    """Each command loads, and its own help begins as the table says or says more."""
    done = scalable(name, "--help")

    assert done.returncode == 0
    assert done.stdout.startswith(f"Usage: scalable {name}")
    words = COMMANDS[name].summary.rstrip(".").split()[:2]
    assert words == done.stdout.split("\n\n")[1].split()[:2]


def test_nothing_typed_shows_the_help(scalable) -> None:
    """`scalable` alone is `scalable --help`."""
    assert scalable().stdout == scalable("--help").stdout


def test_a_mistyped_command_gets_a_suggestion(scalable) -> None:
    """A word that is no command: one sentence, the close one, exit code 2."""
    done = scalable("valdate")

    assert done.returncode == 2
    assert "there is no command 'valdate'; did you mean 'validate'?" in done.stderr


def test_a_mistyped_option_gets_a_suggestion(scalable) -> None:
    """An option that is not there: one sentence, the close one, where to read on, exit code 2."""
    done = scalable("plan", "--targt", "aws")

    assert done.returncode == 2
    assert "--target" in done.stderr
    assert "see: scalable plan --help" in done.stderr
    assert "Traceback" not in done.stderr


def test_commands_of_plugins_are_listed_by_metadata_alone(scalable, tmp_path: Path) -> None:
    """The help names a plugin's command and its dist although its module cannot be imported."""
    dist(tmp_path, "acme-tail", "import nowhere", "[scalable.commands]\ntail = acme_tail:tail\n")

    done = scalable("--help", PYTHONPATH=str(tmp_path))

    assert "From plugins:\n  tail  acme-tail 0.3.0" in done.stdout


def test_commands_of_plugins_run_when_typed(scalable, tmp_path: Path) -> None:
    """A plugin's command gets its arguments, and its number is the exit code."""
    dist(tmp_path, "acme-tail", TAIL, "[scalable.commands]\ntail = acme_tail:tail\n")

    done = scalable("tail", "run-1", PYTHONPATH=str(tmp_path))

    assert done.stdout == "tailing run-1\n"
    assert done.returncode == 7


def test_a_broken_command_of_a_plugin_is_a_sentence(scalable, tmp_path: Path) -> None:
    """A plugin's command that cannot be imported names its dist and the cause, exit code 3."""
    dist(tmp_path, "acme-tail", "import nowhere", "[scalable.commands]\ntail = acme_tail:tail\n")

    done = scalable("tail", PYTHONPATH=str(tmp_path))

    assert done.returncode == 3
    assert "acme-tail 0.3.0" in done.stderr
    assert "No module named 'nowhere'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_plugins_command_that_is_none_is_a_sentence(scalable, tmp_path: Path) -> None:
    """An entry point that leads to something else than a click command is said, exit code 3."""
    dist(tmp_path, "acme-tail", "tail = 1", "[scalable.commands]\ntail = acme_tail:tail\n")

    done = scalable("tail", PYTHONPATH=str(tmp_path))

    assert done.returncode == 3
    assert "is 1, not a click command" in done.stderr


def test_two_dists_with_one_command_are_refused(scalable, tmp_path: Path) -> None:
    """Nobody runs one of two commands by chance."""
    for name in ("acme-tail", "other-tail"):
        module = name.replace("-", "_")
        dist(tmp_path, name, TAIL, f"[scalable.commands]\ntail = {module}:tail\n")

    done = scalable("tail", "x", PYTHONPATH=str(tmp_path))

    assert done.returncode == 3
    assert "acme-tail" in done.stderr
    assert "other-tail" in done.stderr


def test_a_plugin_cannot_replace_a_command_of_scalable(scalable, tmp_path: Path) -> None:
    """`validate` stays Scalable's own, and the help does not list it twice."""
    dist(tmp_path, "acme-tail", TAIL, "[scalable.commands]\nvalidate = acme_tail:tail\n")

    done = scalable("--help", PYTHONPATH=str(tmp_path))

    assert done.stdout.count("validate") == 1
    assert "From plugins" not in done.stdout


def test_disabled_commands_are_neither_listed_nor_run(scalable, tmp_path: Path) -> None:
    """`SCALABLE_DISABLE_PLUGINS` takes a plugin's command out of the help and says so when it is typed."""
    dist(tmp_path, "acme-tail", TAIL, "[scalable.commands]\ntail = acme_tail:tail\n")
    env = {"PYTHONPATH": str(tmp_path), "SCALABLE_DISABLE_PLUGINS": "acme-tail"}

    assert "tail" not in scalable("--help", **env).stdout
    done = scalable("tail", "x", **env)
    assert done.returncode == 2
    assert "there is no command 'tail'" in done.stderr


def test_damaged_metadata_do_not_break_the_help(scalable, tmp_path: Path) -> None:
    """Dists that cannot be read are passed over."""
    info = tmp_path / "acme-1.0.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_bytes(b"[scalable.commands]\n\xff\xfe = x:y\n")
    bare = tmp_path / "bare-1.0.dist-info"
    bare.mkdir()
    (bare / "entry_points.txt").write_text("[scalable.commands]\nbare = bare:bare\n")

    done = scalable("--help", PYTHONPATH=str(tmp_path))

    assert done.returncode == 0
    assert "bare  bare-1.0" in done.stdout


def test_the_shell_completes_commands_without_loading_them(scalable, tmp_path: Path) -> None:
    """Completion answers with names of Scalable's and of plugins' commands."""
    dist(tmp_path, "acme-tail", "import nowhere", "[scalable.commands]\nplane = acme_tail:tail\n")

    done = scalable(
        _SCALABLE_COMPLETE="bash_complete",
        COMP_WORDS="scalable pl",
        COMP_CWORD="1",
        PYTHONPATH=str(tmp_path),
    )

    assert done.stdout.split() == ["plain,plan", "plain,plugins", "plain,plane"]


def test_an_unexpected_error_is_a_sentence_and_debug_shows_where(scalable, project: Path) -> None:
    """What nobody foresaw is one line; the traceback is there with --debug."""
    dist(
        project,
        "acme-crash",
        "import click\n@click.command\n@click.option('--debug', is_flag=True)\n"
        "def crash(debug):\n    raise KeyError('lost')\n",
        "[scalable.commands]\ncrash = acme_crash:crash\n",
    )

    plain = scalable("crash", PYTHONPATH=str(project))
    whole = scalable("crash", "--debug", PYTHONPATH=str(project))

    assert plain.returncode == whole.returncode == 1
    assert plain.stderr.startswith("error: KeyError: 'lost'\n")
    assert "Traceback" not in plain.stderr
    assert "Traceback" in whole.stderr
    assert "acme_crash.py" in whole.stderr
