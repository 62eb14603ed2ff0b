"""`scalable plugins new` writes a project that installs and passes the conformance kit as it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest


def run(*words: object, cwd: Path, **environ: str) -> str:
    """Run a command that must succeed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SCALABLE_")}
    done = subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env={**kept, "PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", **environ},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `scalable plugins new` has written."""
    folder = tmp_path_factory.mktemp("new")
    run(sys.executable, "-m", "scalable", "plugins", "new", "blue-hill", cwd=folder)
    return folder / "scalable-blue-hill"


@pytest.fixture(scope="module")
def python(project: Path) -> Path:
    """A fresh environment that sees what is installed here, with the project installed from its wheel."""
    folder = project.parent / "environment"
    run(sys.executable, "-m", "virtualenv", "--quiet", "--no-download", folder, cwd=project)
    python = folder / "bin" / "python"
    ours = sysconfig.get_paths()["purelib"]
    theirs = Path(
        run(
            python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])", cwd=project
        ).strip()
    )
    # The dists of this environment too, the editable ones with their own lines in such files.
    (theirs / "ours.pth").write_text(f"import site; site.addsitedir({ours!r})\n")
    run(python, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", ".", cwd=project)
    return python


def test_the_project_is_whole_and_names_its_provider_alone(project: Path) -> None:
    """Metadata, code, tests, CI, a README; nothing is left of the template's own name."""
    files = {str(path.relative_to(project)) for path in project.rglob("*") if path.is_file()}

    assert {
        ".github/workflows/test.yml",
        ".gitignore",
        "README.md",
        "pyproject.toml",
        "src/scalable_blue_hill/__init__.py",
        "src/scalable_blue_hill/plugin.py",
        "tests/test_conformance.py",
    } <= files
    for name in files:
        text = (project / name).read_text()
        assert "acme" not in text.lower()
        assert "@core@" not in text
    assert len((project / "src/scalable_blue_hill/plugin.py").read_text().splitlines()) < 100


def test_the_project_passes_the_kit_in_a_fresh_environment(python: Path, project: Path) -> None:
    """Installed from its wheel, without the internet, asked from another folder; and the score is listed."""
    cache = {"XDG_CACHE_HOME": str(project.parent / "cache")}
    check = ("-m", "scalable", "plugins", "check", "blue-hill", "--json")
    card = json.loads(run(python, *check, cwd=project.parent, **cache))

    assert card["schema"] == "scalable.conformance/1"
    assert [row for row in card["checks"] if row["outcome"] == "failed"] == []
    assert (card["dist"], card["failed"]) == ("scalable-blue-hill", 0)
    assert card["passed"] >= 40
    assert card["not_run"] >= 20

    listed = json.loads(
        run(python, "-m", "scalable", "plugins", "list", "--json", cwd=project, **cache)
    )
    scores = {plugin["name"]: plugin["conformance"] for plugin in listed["plugins"]}
    assert scores["blue-hill"] == card["score"] == f"{card['passed']}/{card['passed']}"
    assert scores["local"] is None


def test_the_tests_of_the_project_pass_as_they_are_written(python: Path, project: Path) -> None:
    """Those that need nothing but this machine's processors; one cluster among them."""
    words = ("-q", "-p", "no:cacheprovider", "-k", "Offline or a_cluster_computes")
    said = run(python, "-m", "pytest", *words, cwd=project)

    assert " passed" in said


def test_a_target_of_the_new_provider_runs_a_workflow(
    python: Path, project: Path, tmp_path: Path
) -> None:
    """`provider: blue-hill` is all that a user writes."""
    (tmp_path / "scalable.yaml").write_text(
        "version: 1\nproject: {name: study}\n"
        "targets: {hill: {provider: blue-hill, n_workers: 2}}\n"
        "components: {model: {cpus: 1, memory: 512M}}\ntasks: {simulate: {component: model}}\n"
    )
    (tmp_path / "workflow.py").write_text(
        "from scalable import ScalableSession\n"
        "with ScalableSession.from_yaml('scalable.yaml') as client:\n"
        "    print('sum', sum(client.gather(client.map(abs, range(-9, 0), task='simulate'))))\n"
    )

    assert "sum 45" in run(python, "-m", "scalable", "run", "--yes", cwd=tmp_path)
