"""The wheels that are shipped: built, opened, installed together, and used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

SEED = """\
version: 1
project:
  name: demeter-lulcc
  default_storage: s3://${S3_BUCKET}/scalable-runs/
targets:
  local: {provider: local, max_workers: 4, processes: false, containers: none}
  aws:
    provider: aws
    region: us-east-1
    cluster_type: fargate
    instance_type: m5.xlarge
    worker_cpu: 4096
    worker_mem: 16384
    image: 123456789.dkr.ecr.us-east-1.amazonaws.com/demeter:2.0.1
    adaptive: {minimum: 1, maximum: 10}
  gcp:
    provider: gcp
    region: us-central1
    cluster_type: cloud_run
    worker_cpu: 4
    worker_mem: 16384
    image: gcr.io/my-project/demeter:2.0.1
    adaptive: {minimum: 2, maximum: 20}
components:
  analysis: {cpus: 4, memory: 16G}
tasks:
  run_analysis: {component: analysis}
"""


def run(*command: object, cwd: Path | None = None) -> str:
    """Run a command and return what it prints; its error output is in the failure."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SCALABLE_")}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**clean, "S3_BUCKET": "results", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheels(dists: list[Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheels of all dists, by the dist's name in the file."""
    folder = tmp_path_factory.mktemp("wheels")
    for dist in dists:
        run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, dist)
    return {path.name.partition("-")[0]: path for path in folder.glob("*.whl")}


@pytest.fixture(scope="module")
def installed(
    wheels: dict[str, Path], root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The programs of a fresh environment with `scalable[all]` from the wheels.

    The wheels are named as files: `scalable` on the public index is another project.
    """
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "virtualenv", "--quiet", folder)
    programs = folder / "bin"
    others = [path for name, path in wheels.items() if name != "scalable"]
    run(
        programs / "python", "-m", "pip", "install", "--quiet",
        "--constraint", root / "constraints.txt", f"{wheels['scalable']}[all]", *others,
    )  # fmt: skip
    return programs


def test_each_dist_gives_one_wheel(wheels: dict[str, Path]) -> None:
    """There are six wheels."""
    assert set(wheels) == {
        "scalable",
        "scalable_aws",
        "scalable_core",
        "scalable_gcp",
        "scalable_kubernetes",
        "scalable_local",
    }


def test_the_root_wheel_holds_no_code(wheels: dict[str, Path]) -> None:
    """The dist `scalable` is metadata only."""
    names = zipfile.ZipFile(wheels["scalable"]).namelist()
    assert [name for name in names if ".dist-info/" not in name] == []


def test_wheels_of_code_hold_one_package_each_and_their_types(wheels: dict[str, Path]) -> None:
    """A wheel holds the packages it is named for, the core's also the façade, each marked as typed."""
    packages = {name: {name} for name in wheels if name != "scalable"}
    packages["scalable_core"].add("scalable")
    for name, expected in packages.items():
        files = [
            path for path in zipfile.ZipFile(wheels[name]).namelist() if ".dist-info/" not in path
        ]
        assert {path.partition("/")[0] for path in files} == expected
        assert {f"{package}/py.typed" for package in expected} <= set(files)


def test_the_installed_scalable_is_this_one(installed: Path, wheels: dict[str, Path]) -> None:
    """What is installed came from the files that were built here, every dist of it."""
    code = (
        "import json, importlib.metadata as m\n"
        "print(json.dumps({d.name.replace('-', '_'): d.read_text('direct_url.json')"
        " for d in m.distributions() if d.name.startswith('scalable')}))"
    )
    origins = json.loads(run(installed / "python", "-c", code))
    assert {name: json.loads(origin)["url"] for name, origin in origins.items()} == {
        name: path.as_uri() for name, path in wheels.items()
    }


def test_the_installed_command_gives_its_version(installed: Path) -> None:
    """`scalable --version` works in an environment that has nothing else."""
    assert "0.1.0" in run(installed / "scalable", "--version")


def test_the_installed_plugins_are_listed(installed: Path) -> None:
    """All four providers are found and usable."""
    listing = json.loads(run(installed / "scalable", "plugins", "check", "--json"))
    status = {plugin["name"]: plugin["status"] for plugin in listing["plugins"]}
    assert status == dict.fromkeys(("aws", "gcp", "kubernetes", "local"), "ready")


@pytest.mark.parametrize("target", ["local", "aws", "gcp"])
def test_the_installed_command_plans(installed: Path, tmp_path: Path, target: str) -> None:
    """The tutorial's manifest plans for each of its targets."""
    (tmp_path / "scalable.yaml").write_text(SEED)
    plan = json.loads(
        run(installed / "scalable", "plan", "--target", target, "--json", cwd=tmp_path)
    )
    assert plan["schema"] == "scalable.plan/1"
    assert plan["target"]["name"] == target
    assert [group["name"] for group in plan["groups"]] == ["analysis"]
