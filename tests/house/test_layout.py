"""The house rules that a machine can see."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def modules(root: Path) -> list[Path]:
    """Every module that is shipped."""
    found = [*root.glob("scalable_core/src/**/*.py"), *root.glob("plugins/*/src/**/*.py")]
    assert len(found) > 50
    return found


def lines(path: Path) -> int:
    """How many lines a file has."""
    return len(path.read_text(encoding="utf-8").splitlines())


def test_modules_are_short(modules: list[Path]) -> None:
    """A module has at most 400 lines; the specs of the hooks are a document and may have more."""
    long = {path.name: lines(path) for path in modules if lines(path) > 400}
    assert set(long) <= {"hookspecs.py"}


def test_plugin_modules_are_shorter(modules: list[Path]) -> None:
    """A ``plugin.py`` says which function answers which hook, in fewer than 100 lines."""
    plugins = [path for path in modules if path.name == "plugin.py"]
    assert len(plugins) == 5  # ours, and the one that `scalable plugins new` writes
    assert {str(path): lines(path) for path in plugins if lines(path) >= 100} == {}


def test_only_the_command_line_prints(modules: list[Path]) -> None:
    """No module outside ``cli`` calls print."""
    prints = [
        f"{path}:{node.lineno}"
        for path in modules
        if "cli" not in path.parts and "member" not in path.parts
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    assert prints == []


def test_every_module_says_what_lives_in_it(modules: list[Path]) -> None:
    """Each module starts with a docstring."""
    silent = [str(path) for path in modules if not ast.get_docstring(ast.parse(path.read_text()))]
    assert silent == []


def test_who_imports_whom(root: Path) -> None:
    """The import contracts of pyproject.toml hold."""
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_repository_names_no_machine_and_no_lock_file(root: Path) -> None:
    """Nothing that is committed leads to somebody's own folders or keeps a lock with index addresses."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=root, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    files = listed.stdout.splitlines()
    assert "uv.lock" not in files
    here = (f"{root}/", f"{Path.home()}/.")
    text = {".md", ".py", ".toml", ".yaml", ".yml", ".txt", ".svg", ".sh"}
    named = [
        name
        for name in files
        if Path(name).suffix in text
        and (root / name).exists()
        and any(folder in (root / name).read_text(encoding="utf-8") for folder in here)
    ]
    assert named == []
