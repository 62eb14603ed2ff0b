"""A new provider's project, from the template beside this module: that of a provider ``acme``."""

from __future__ import annotations

import re
from pathlib import Path

from scalable_core import __version__
from scalable_core.errors import UsageError

TEMPLATE = Path(__file__).parent / "plugin_template"

#: File of the template to the path under which it is written.
_FILES = {
    "project.toml": "pyproject.toml",
    "README.md": "README.md",
    "gitignore": ".gitignore",
    "ci.yml": ".github/workflows/test.yml",
    "package.py": "src/scalable_acme/__init__.py",
    "plugin.py": "src/scalable_acme/plugin.py",
    "options.py": "src/scalable_acme/options.py",
    "estimate.py": "src/scalable_acme/estimate.py",
    "cluster.py": "src/scalable_acme/cluster.py",
    "test_conformance.py": "tests/test_conformance.py",
}


def write_plugin(name: str, folder: Path) -> tuple[Path, ...]:
    """Write the files of a new provider.

    Args:
        name: Of the provider, as a manifest will write it.
        folder: Made if it is not there.

    Returns:
        What was written.

    Raises:
        UsageError: The name cannot be one, or a file is there already; nothing has been written.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*", name):
        near = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-0123456789") or "acme"
        raise UsageError(
            f"{name!r} cannot be the name of a provider: lower case letters, digits, - and _ can",
            cure=f"such as: scalable plugins new {near}",
        )
    texts = {
        folder / _named(path, name): _named((TEMPLATE / source).read_text("utf-8"), name)
        for source, path in _FILES.items()
    }
    there = [str(path) for path in texts if path.exists()]
    if there:
        raise UsageError(
            f"{there[0]} exists already; nothing was written",
            cure=f"name another folder, such as: --directory {folder}-new",
        )
    try:
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{error.filename} cannot be written: {error.strerror}") from None
    return tuple(texts)


def _named(text: str, name: str) -> str:
    """Put a provider's name in the place of ``acme``, and what it needs of the core in its own."""
    major, minor = __version__.split(".")[:2]
    core = f">={major}.{minor},<{major}.{int(minor) + 1}"
    for old, new in (
        ("@core@", core),
        ("scalable_acme", f"scalable_{name.replace('-', '_')}"),
        ("Acme", "".join(part.title() for part in re.split("[-_]", name))),
        ("acme", name),
    ):
        text = text.replace(old, new)
    return text
