"""The dists as their pyproject.toml files describe them."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import scalable


@pytest.fixture(scope="module")
def projects(dists: list[Path]) -> dict[str, dict]:
    """The [project] tables, by dist name."""
    tables = [tomllib.loads((dist / "pyproject.toml").read_text())["project"] for dist in dists]
    return {table["name"]: table for table in tables}


def requirements(project: dict) -> list[Requirement]:
    """Everything that a dist may need, extras included."""
    optional = project.get("optional-dependencies", {}).values()
    return [Requirement(text) for group in (project["dependencies"], *optional) for text in group]


def test_every_dist_has_one_version(projects: dict[str, dict]) -> None:
    """One version number for all dists, and it is the one that the code gives."""
    assert {name: project["version"] for name, project in projects.items()} == dict.fromkeys(
        projects, scalable.__version__
    )


def test_dists_accept_each_others_version(projects: dict[str, dict]) -> None:
    """No dist asks for a version of another that this repository does not have."""
    asked = [
        (name, requirement)
        for name, project in projects.items()
        for requirement in requirements(project)
        if requirement.name in projects
    ]
    assert asked
    assert [
        f"{name} needs {requirement}"
        for name, requirement in asked
        if not requirement.specifier.contains(scalable.__version__)
    ] == []


def test_the_root_names_no_third_party(projects: dict[str, dict]) -> None:
    """The dist `scalable` names dists of this repository only; what those need is their matter."""
    assert {requirement.name for requirement in requirements(projects["scalable"])} <= set(projects)


def test_extra_all_names_every_provider(projects: dict[str, dict]) -> None:
    """`scalable[all]` brings every dist of the repository."""
    root = projects["scalable"]
    named = {
        Requirement(text).name
        for text in [*root["dependencies"], *root["optional-dependencies"]["all"]]
    }
    assert named == set(projects) - {"scalable"}


def test_plain_cloud_extras_do_not_bring_kubernetes(projects: dict[str, dict]) -> None:
    """Fargate and Cloud Run need no Kubernetes client; EKS and GKE do."""
    for name, extra in (("scalable-aws", "eks"), ("scalable-gcp", "gke")):
        plain = {Requirement(text).name for text in projects[name]["dependencies"]}
        optional = {
            Requirement(text).name for text in projects[name]["optional-dependencies"][extra]
        }
        assert "scalable-kubernetes" not in plain
        assert "scalable-kubernetes" in optional


def test_dist_folders_are_no_packages(dists: list[Path]) -> None:
    """Code is under src/, so nothing is importable by accident from the repository's root."""
    assert [dist for dist in dists if (dist / "__init__.py").exists()] == []
    assert all((dist / "src").is_dir() for dist in dists[:-1])


def test_constraints_name_no_index_and_no_folder(root: Path) -> None:
    """The pinned versions are names and numbers, wherever they came from."""
    lines = (root / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert pins
    assert [line for line in pins if "://" in line or line.startswith(("-", "/", "."))] == []
    assert [line for line in pins if line.startswith("scalable")] == []
