"""The chores: ``nox`` runs the tests, ``nox -l`` lists the others."""

from __future__ import annotations

from pathlib import Path

import nox

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "types", "imports", "tests"]

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = ["3.11", "3.12", "3.13"]
DISTS = [
    "scalable_core",
    *sorted(str(folder.parent) for folder in Path("plugins").glob("*/pyproject.toml")),
    ".",
]
CONSTRAINTS = ["--constraint", "constraints.txt"]


def group(name: str) -> list[str]:
    """Return the requirements of a dependency group."""
    return nox.project.dependency_groups(PROJECT, name)


def install_workspace(session: nox.Session, *more: str) -> None:
    """Install every dist, editable, with what ``more`` says."""
    editable = [part for dist in DISTS for part in ("--editable", f"./{dist}")]
    session.install(*CONSTRAINTS, *editable, *more)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests."""
    install_workspace(
        session, *group("test"), *group("lint"), "-r", "examples/solar/requirements.txt"
    )
    session.run("pytest", *session.posargs)


@nox.session(name="crash-full", default=False)
def crash_full(session: nox.Session) -> None:
    """Kill drivers on the local AWS after each call, with members that are processes."""
    install_workspace(session, *group("test"))
    session.env["SCALABLE_CRASH"] = "processes"
    session.run("pytest", "tests/aws/test_fargate_crash.py", *session.posargs)


@nox.session(python="3.11", default=False)
def slow(session: nox.Session) -> None:
    """Run what takes minutes: whole runs by every way between members, and with each kind of machine."""
    install_workspace(session, *group("test"), "-r", "examples/solar/requirements.txt")
    session.run("pytest", "-m", "slow", *session.posargs)


@nox.session(python="3.11", default=False)
def kubelet(session: nox.Session) -> None:
    """Run pods by a real kubelet with containerd, as root, in namespaces that end with the session."""
    install_workspace(session, *group("test"))
    session.env["SCALABLE_KUBELET"] = "1"
    alone = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    words = ["pytest", "-m", "slow", "tests/kubernetes/test_kubelet.py", *session.posargs]
    session.run(*alone, *words, external=True)


@nox.session(python="3.11", default=False)
def minimums(session: nox.Session) -> None:
    """Run the tests with the oldest versions of what each dist names."""
    editable = [part for dist in DISTS for part in ("--editable", f"./{dist}")]
    requirements = [*group("test"), *group("lint"), "-r", "examples/solar/requirements.txt"]
    session.install("--resolution=lowest-direct", *editable, *requirements)
    session.run("pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check the style and the format."""
    session.install(*CONSTRAINTS, "ruff")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types of what is shipped."""
    install_workspace(session, *group("lint"))
    session.run("mypy")


@nox.session
def imports(session: nox.Session) -> None:
    """Check who imports whom."""
    install_workspace(session, *group("lint"))
    session.run("lint-imports")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the pages; a broken reference is an error."""
    install_workspace(session, *group("docs"))
    session.run(
        "sphinx-build", "-n", "-W", "--keep-going", "-b", "html", "docs", "docs/_build/html"
    )


@nox.session
def build(session: nox.Session) -> None:
    """Build the wheel and the source archive of every dist into ``dist/``."""
    session.install(*CONSTRAINTS, "build", "hatchling")
    for dist in DISTS:
        session.run("python", "-m", "build", "--no-isolation", "--outdir", "dist", dist)


@nox.session(default=False)
def constraints(session: nox.Session) -> None:
    """Resolve the newest versions into ``constraints.txt``; it names no index."""
    session.install("uv")
    own = [f"--no-emit-package={Path(dist).name.replace('_', '-')}" for dist in DISTS[:-1]]
    session.run(
        "uv", "pip", "compile", "--quiet", "--universal", "--python-version=3.11", "--upgrade",
        "--no-annotate", "--no-header", "--no-emit-index-url", "--no-emit-find-links",
        "--no-emit-package=scalable", *own, "--all-extras", "--group=pyproject.toml:dev",
        *(f"{dist}/pyproject.toml" for dist in DISTS), "examples/solar/requirements.txt",
        "--output-file=constraints.txt",
    )  # fmt: skip
    path = Path("constraints.txt")
    how = "# The versions that are tested, for every Python and system; made by: nox -s constraints"
    path.write_text(f"{how}\n{path.read_text()}")
