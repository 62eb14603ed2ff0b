"""Make the environment ``.venv`` of this repository; needs Python 3.11 and pip, and nothing else.

python3 scripts/workspace.py                 everything that development needs
from workspace import ...                    what first_run.py and test.py share
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv"
BIN = ENVIRONMENT / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / "python"

#: Folders of the dists that a laptop needs; the root goes last, because it needs the others.
LOCAL = ("scalable_core", "plugins/scalable_local", ".")
ALL = (
    "scalable_core",
    "plugins/scalable_local",
    "plugins/scalable_kubernetes",
    "plugins/scalable_aws[eks]",
    "plugins/scalable_gcp[gke]",
    ".",
)


def install(dists: tuple[str, ...], *more: str) -> None:
    """Install dists of this repository, editable, and further arguments of pip into ``.venv``.

    The environment is made when it is not there, and made again when its Python has gone or changed.
    """
    if sys.version_info < (3, 11):  # noqa: UP036  any Python may be asked to run this file
        sys.exit(f"Scalable needs Python 3.11 or newer; this is {sys.version.split()[0]}")
    own_pip = importlib.util.find_spec("pip") is None
    if not _is_current():
        import venv

        say(f"making {ENVIRONMENT.relative_to(ROOT)} with Python {sys.version.split()[0]}")
        venv.EnvBuilder(clear=True, with_pip=own_pip, symlinks=os.name != "nt").create(ENVIRONMENT)
    # The pip that is here installs into the environment, which saves a copy of pip, and works where Debian
    # has taken ensurepip out of Python.
    pip = (
        [str(PYTHON), "-m", "pip"]
        if own_pip
        else [sys.executable, "-m", "pip", "--python", str(PYTHON)]
    )
    folders = [part for folder in dists for part in ("--editable", _path(folder))]
    say(f"installing {len(dists)} dists of this repository and what they need")
    constraints = ["--constraint", str(ROOT / "constraints.txt")]
    run(*pip, "install", "-qq", *constraints, "pip", *folders, *more)


def dependency_group(name: str) -> list[str]:
    """Return the requirements of a dependency group of pyproject.toml."""
    import tomllib

    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    found: list[str] = []
    for entry in groups[name]:
        found += [entry] if isinstance(entry, str) else dependency_group(entry["include-group"])
    return found


def install_everything() -> None:
    """Install all dists, the tools of development and what the example needs."""
    install(ALL, *dependency_group("dev"), "-r", str(ROOT / "examples/solar/requirements.txt"))


def run(*command: str, **options: object) -> None:
    """Run a command in the repository's root; end this program with its exit code when it fails."""
    done = subprocess.run(command, cwd=ROOT, check=False, **options)
    if done.returncode:
        sys.exit(done.returncode)


def say(text: str) -> None:
    """Tell the user what takes the time."""
    print(f"-- {text}", file=sys.stderr, flush=True)


def _path(folder: str) -> str:
    """``plugins/scalable_aws[eks]`` as an absolute path that pip takes for a folder."""
    return str(ROOT) if folder == "." else f"{ROOT}{os.sep}{folder.replace('/', os.sep)}"


def _is_current() -> bool:
    version = "import sys; print(*sys.version_info[:3])"
    try:
        there = subprocess.run([PYTHON, "-c", version], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return there.stdout.split() == [str(part) for part in sys.version_info[:3]]


if __name__ == "__main__":
    install_everything()
    say(f"done; run things with {BIN.relative_to(ROOT)}{os.sep}scalable, pytest, nox ...")
