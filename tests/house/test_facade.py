"""`import scalable`: the user's door."""

from __future__ import annotations

import ast
import subprocess
import sys

import scalable

HEAVY = {
    "aiobotocore", "boto3", "botocore", "click", "dask", "distributed", "gcloud", "google", "kubernetes",
    "numpy", "pandas", "rich", "ruamel",
    "scalable_aws", "scalable_gcp", "scalable_kubernetes", "scalable_local",
}  # fmt: skip


def modules_after(code: str) -> set[str]:
    """The modules and packages that are there after ``code`` has run in a fresh Python."""
    code += "\nimport sys; print('MODULES', *sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    return {name.partition(".")[0] for name in done.stdout.partition("MODULES ")[2].split()}


def test_public_names_are_sorted_and_complete() -> None:
    """The table of public names, ``__all__`` and the imports for type checkers name the same things."""
    names = sorted(scalable._PUBLIC)
    assert names == list(scalable._PUBLIC)
    assert [name for name in scalable.__all__ if name != "__version__"] == names
    assert names == sorted(type_checking_imports())
    assert dir(scalable) == sorted(scalable.__all__)


def type_checking_imports() -> list[str]:
    """Names that the façade imports under ``if TYPE_CHECKING``."""
    with open(scalable.__file__) as file:
        tree = ast.parse(file.read())
    blocks = [node for node in tree.body if isinstance(node, ast.If)]
    return [
        alias.name
        for block in blocks
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    ]


def test_public_names_can_be_imported() -> None:
    """Every name of the table leads to something."""
    for name in scalable.__all__:
        assert getattr(scalable, name) is not None


def test_unknown_names_are_refused_as_python_does() -> None:
    """A misspelt name gives an AttributeError, so that ``from scalable import`` gives an ImportError."""
    done = subprocess.run(
        [sys.executable, "-c", "from scalable import ScalableSesion"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert "ImportError: cannot import name 'ScalableSesion'" in done.stderr


def test_importing_scalable_imports_nothing_heavy() -> None:
    """`import scalable` costs nothing: no dask, no SDK, no plugin."""
    assert modules_after("import scalable") & HEAVY == set()


def test_importing_the_errors_imports_nothing_heavy() -> None:
    """Catching an error of Scalable does not load Dask."""
    assert modules_after("from scalable import ManifestError") & HEAVY == set()


def test_help_imports_click_and_nothing_else_heavy() -> None:
    """`scalable --help` answers without dask, an SDK, rich or a plugin."""
    code = "import sys; sys.argv = ['scalable', '--help']\n"
    code += "from scalable_core.cli import main\ntry: main()\nexcept SystemExit: pass"
    assert modules_after(code) & HEAVY == {"click"}
