"""Commands of plugins, found by their metadata alone.

`importlib.metadata` costs as much as click itself, so the entry points' files are read here directly. It is
asked only when a plugin's command has been typed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import click

GROUP = "scalable.commands"


class FoundCommand(NamedTuple):
    """A command that a dist offers.

    Attributes:
        name: As it is typed.
        dist: Name and version of the dist, such as ``acme-scalable 0.3.0``.
    """

    name: str
    dist: str

    def load(self) -> click.Command:
        """Import the command.

        Raises:
            ProviderError: It cannot be imported, two dists offer it, or it is not a click command.
        """
        from scalable_core.errors import PluginContractError
        from scalable_core.plugins import PluginHost

        command = PluginHost().load_command(self.name)
        if not isinstance(command, click.Command):
            raise PluginContractError(
                f"command {self.name!r} ({self.dist}) is {command!r}, not a click command",
                cure=f"report it to the authors of {self.dist.partition(' ')[0]}",
            )
        return command


def find_commands(folders: Sequence[str] | None = None) -> dict[str, FoundCommand]:
    """Return the commands that installed dists offer, by name; of two with one name, the first on the path.

    Those that ``SCALABLE_DISABLE_PLUGINS`` names, by command or by dist, are left out.

    Args:
        folders: Where to look; ``sys.path`` when None.
    """
    disabled = set(os.environ.get("SCALABLE_DISABLE_PLUGINS", "").replace(",", " ").split())
    found: dict[str, FoundCommand] = {}
    for info in _metadata_folders(sys.path if folders is None else folders):
        for name in _names(os.path.join(info, "entry_points.txt")):
            dist = _describe(info)
            if not disabled & {name, dist.partition(" ")[0]}:
                found.setdefault(name, FoundCommand(name, dist))
    return dict(sorted(found.items()))


def _metadata_folders(folders: Sequence[str]) -> Iterator[str]:
    seen = set()
    for folder in folders:
        try:
            names = sorted(os.listdir(folder or "."))
        except OSError:
            continue  # a zip file, or a folder that is not there
        for name in names:
            if name.endswith((".dist-info", ".egg-info")):
                dist = name.partition("-")[0].lower()
                if dist not in seen:
                    seen.add(dist)
                    yield os.path.join(folder, name)


def _names(path: str) -> Iterator[str]:
    """Yield the keys of the group in an ``entry_points.txt``."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (OSError, ValueError):
        return
    if GROUP not in text:
        return
    inside = False
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            inside = line == f"[{GROUP}]"
        elif inside and "=" in line and not line.startswith(("#", ";")):
            yield line.partition("=")[0].strip()


def _describe(info: str) -> str:
    """Return name and version of a dist as its METADATA has them, else as its folder does."""
    words = {}
    for name in ("METADATA", "PKG-INFO"):
        try:
            with open(os.path.join(info, name), encoding="utf-8", errors="replace") as file:
                for line in file:
                    key, _, value = line.partition(":")
                    if key in ("Name", "Version"):
                        words[key] = value.strip()
                    if not line.strip() or len(words) == 2:
                        break
        except OSError:
            continue
    folder = os.path.basename(info).rpartition(".")[0]
    return f"{words['Name']} {words['Version']}" if len(words) == 2 else folder
