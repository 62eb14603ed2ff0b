"""The code blocks of a Markdown page, and how each kind is run.

Every page starts in a folder of its own that holds a copy of ``examples/``; its blocks are run there in order:

* ``console``: lines that start with ``$ `` are commands, and the lines below one are what it prints, where
  ``...`` stands for any text, and alone on a line for any lines. Nothing below it: it must only succeed. A
  block whose last command fails on purpose says so: ``console exit=2``.
* ``yaml``: a first line such as ``# scalable.yaml`` names the file that the block becomes. A block without a
  name is part of a manifest, and the manifest it is part of must be valid.
* ``python``: named in the same way; a block without a name is run.
* ``toml`` and ``json`` must parse; ``text`` claims nothing.
* ``sh``: commands that set up a clone, which ``.ci/run`` or another test runs.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML

#: Programs that a page may call.
PROGRAMS = {"cat", "cd", "export", "head", "ls", "mkdir", "python", "scalable", "unset"}

_FENCE = re.compile(r"^( *)(`{3,})([^\n`]*)\n(.*?)^\1\2 *$", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"# ([\w./-]+\.(?:py|yaml))\n")
_DIRECTIVE = re.compile(r"\{(\S+)\}")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: The file that it is in.
        line: Its first line there, 1-based.
        kind: The word after the fence; empty without one.
        code: What is in it.
        fails: The exit code that its last command must have.
    """

    page: Path
    line: int
    kind: str
    code: str
    fails: int = 0

    def __str__(self) -> str:
        return f"{self.page}:{self.line} ({self.kind})"


def read_blocks(page: Path) -> list[Block]:
    """Return the blocks of code of a page; directives that hold prose are left out."""
    text = page.read_text(encoding="utf-8")
    blocks = []
    for found in _FENCE.finditer(text):
        kind, _, options = found[3].strip().partition(" ")
        if _DIRECTIVE.fullmatch(kind):
            continue
        indent = re.compile(f"^{found[1]}", re.MULTILINE)
        fails = re.search(r"exit=(\d+)", options)
        blocks.append(
            Block(
                page=page,
                line=text.count("\n", 0, found.start()) + 1,
                kind=kind,
                code=indent.sub("", found[4]),
                fails=int(fails[1]) if fails else 0,
            )
        )
    return blocks


class Reader:
    """Somebody who types what a page says, in one folder and one shell."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("SCALABLE_", "S3_"))}
        programs = f"{Path(sys.executable).parent}{os.pathsep}{clean['PATH']}"
        self.environ = {**clean, "PATH": programs, "COLUMNS": "100", "NO_COLOR": "1"}

    def follow(self, block: Block) -> None:
        """Do what a block says.

        Raises:
            AssertionError: It does not do what the page says it does.
        """
        do = getattr(self, f"_{block.kind}", None)
        assert do is not None, f"{block}: no way is known to run a block of this kind"
        do(block)

    def _text(self, block: Block) -> None:
        pass

    def _json(self, block: Block) -> None:
        json.loads(block.code)

    def _toml(self, block: Block) -> None:
        tomllib.loads(block.code)

    def _yaml(self, block: Block) -> None:
        if not self._save(block):
            (self.folder / "part.yaml").write_text(complete(block.code), encoding="utf-8")
            self._run("scalable validate part.yaml", block, 0)

    def _python(self, block: Block) -> None:
        if not self._save(block):
            (self.folder / "part.py").write_text(block.code, encoding="utf-8")
            self._run("python part.py", block, 0)

    def _console(self, block: Block) -> None:
        steps = re.split(r"^\$ ", block.code, flags=re.MULTILINE)
        assert not steps[0], f"{block}: it does not start with a command"
        for number, step in enumerate(steps[1:], start=1):
            command, _, expected = step.partition("\n")
            said = self._run(command, block, block.fails if number == len(steps) - 1 else 0)
            wanted = expected.rstrip()
            if wanted and not matches(wanted, said):
                raise AssertionError(
                    f"{block}: $ {command}\nprinted:\n{said}\nthe page has:\n{wanted}"
                )

    def _save(self, block: Block) -> bool:
        """Write a block that names a file."""
        name = _NAME.match(block.code)
        if name is None:
            return False
        path = self.folder / name[1]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.code, encoding="utf-8")
        return True

    def _run(self, command: str, block: Block, exit_code: int) -> str:
        program, *arguments = shlex.split(command)
        assert program in PROGRAMS, f"{block}: {program} is not a program that a page may call"
        if program == "cd":
            self.folder = self.folder / arguments[0]
            return ""
        if program == "export":
            self.environ.update(argument.split("=", 1) for argument in arguments)
            return ""
        if program == "unset":
            self.environ = {k: v for k, v in self.environ.items() if k not in arguments}
            return ""
        done = subprocess.run(
            command,
            shell=True,
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=240,
        )
        said = f"{block}: $ {command}\n{done.stdout}"
        assert done.returncode == exit_code, f"exit {done.returncode}, not {exit_code}: {said}"
        return done.stdout


def complete(part: str) -> str:
    """Return a whole manifest that has ``part`` in it."""
    yaml = YAML(typ="safe", pure=True)
    manifest = yaml.load(part)
    components = {t.get("component") for t in (manifest.get("tasks") or {}).values()} - {None}
    whole = {
        "version": 1,
        "project": {"name": "part"},
        "targets": {"local": {"provider": "local"}},
        **manifest,
    }
    for name in components:
        whole.setdefault("components", {}).setdefault(name, {})
    return json.dumps(whole)


def matches(wanted: str, said: str) -> bool:
    """Tell whether a text is what a page shows, ``...`` standing for anything."""
    pattern = ""
    for line in wanted.splitlines():
        if line.strip() == "...":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += (
                ".*".join(re.escape(part) for part in line.rstrip().split("...")) + r"[ \t]*\n"
            )
    return re.fullmatch(pattern, said if said.endswith("\n") else f"{said}\n") is not None
