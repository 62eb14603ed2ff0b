"""Wheels of outside plugins beside wheels of the core, in a fresh environment, as their users have them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from workbench import EXAMPLES, ROOT

MANIFEST = """\
version: 1
project: {name: study}
targets:
  here: {provider: adopted, n_workers: 1}
  campus: {provider: slurm, queue: debug, n_workers: 4, price: {core_hour: 0.5}}
components:
  model: {cpus: 2}
tasks:
  simulate: {component: model, expect: {count: 100, duration: 6m}}
"""

WORKFLOW = """\
from scalable import ScalableSession

if __name__ == "__main__":
    with ScalableSession.from_yaml("scalable.yaml") as client:
        print("SAID", client.submit(abs, -7, task="simulate").result())
"""

Programs = Callable[..., "subprocess.CompletedProcess[str]"]


def run(*command: object, exit_code: int = 0, cwd: Path | None = None, **environ: str):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("SCALABLE_", "PYTHON"))}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**clean, "NO_COLOR": "1", **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == exit_code, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


def build(dist: Path, folder: Path) -> Path:
    """Build the wheel of a dist and return its file."""
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, dist)
    return max(folder.glob("*.whl"), key=lambda path: path.stat().st_mtime_ns)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that has the core, the three examples, and what they need."""
    pytest.importorskip("virtualenv")
    folder = tmp_path_factory.mktemp("downstream")
    dists = [ROOT / "scalable_core", ROOT / "plugins" / "scalable_local"]
    dists += sorted(path.parent for path in EXAMPLES.glob("*/pyproject.toml"))
    wheels = [build(dist, folder / "wheels") for dist in dists]
    assert len(set(wheels)) == 5
    run(sys.executable, "-m", "virtualenv", "--quiet", folder / "environment")
    programs = folder / "environment" / "bin"
    run(
        programs / "python", "-m", "pip", "install", "--quiet",
        "--constraint", ROOT / "constraints.txt", *wheels,
    )  # fmt: skip
    return programs


@pytest.fixture
def scalable(fresh: Path, tmp_path: Path) -> Programs:
    """Run the environment's `scalable` in a folder that has a study."""
    (tmp_path / "scalable.yaml").write_text(MANIFEST)
    (tmp_path / "workflow.py").write_text(WORKFLOW)
    return lambda *words, **more: run(fresh / "scalable", *words, cwd=tmp_path, **more)


@pytest.fixture
def other(tmp_path: Path) -> Callable[[str, str], Path]:
    """Build an outside plugin that was written for another core, and return the folder it is installed in."""

    def make(old: str, new: str) -> Path:
        dist = tmp_path / "other"
        shutil.copytree(EXAMPLES / "adopt-a-cluster", dist)
        (dist / "src" / "scalable_adopted").rename(dist / "src" / "scalable_other")
        for path in [dist / "pyproject.toml", dist / "src" / "scalable_other" / "__init__.py"]:
            text = path.read_text().replace("scalable_adopted", "scalable_other")
            text = text.replace("scalable-adopted", "scalable-other").replace(
                "adopted =", "other ="
            )
            path.write_text(text.replace(old, new))
        wheel = build(dist, tmp_path / "wheels")
        place = tmp_path / "place"
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        run(*pip, "--target", place, wheel)
        manifest = tmp_path / "scalable.yaml"
        manifest.write_text(MANIFEST.replace("provider: adopted", "provider: other"))
        return place

    return make


def test_outside_plugins_are_found_beside_our_own(scalable: Programs) -> None:
    """All are ready, and each names its dist."""
    plugins = json.loads(scalable("plugins", "check", "--json").stdout)["plugins"]
    assert {each["name"]: each["status"] for each in plugins} == dict.fromkeys(
        ("adopted", "slurm", "local", "budget-guard"), "ready"
    )


def test_an_outside_provider_runs_a_workflow(scalable: Programs) -> None:
    """Only the target names it."""
    assert "SAID 7" in scalable("run", "--target", "here").stdout


def test_an_outside_provider_is_part_of_the_schema_and_of_plans(scalable: Programs) -> None:
    """Its options are in the JSON Schema with their help, and its estimate is in the plan."""
    assert "Partition for the jobs" in scalable("schema").stdout
    plan = json.loads(scalable("plan", "--target", "campus", "--json").stdout)
    (line,) = plan["cost"]["lines"]
    assert line["amount"] == pytest.approx(0.5 * line["quantity"])
    assert line["quantity"] >= 10 * 2 / 2  # 100 calls of 6 minutes, two at once, on two cores


def test_the_guard_stands_before_every_provider(scalable: Programs, tmp_path: Path) -> None:
    """Limits that cannot be read stop a run of any target."""
    named = {"SCALABLE_BUDGET_FILE": str(tmp_path / "nowhere.toml")}
    said = scalable("run", "--target", "here", exit_code=2, **named)
    assert "nowhere.toml cannot be read" in said.stdout + said.stderr
    off = {**named, "SCALABLE_DISABLE_PLUGINS": "budget-guard"}
    assert "SAID 7" in scalable("run", "--target", "here", **off).stdout


@pytest.mark.parametrize(
    ("api", "cure"),
    [
        ("2", "pip install --upgrade scalable-core"),
        ("0", "pip install --upgrade scalable-other"),
    ],
)
def test_a_plugin_of_another_api_is_refused_with_the_sentence(
    scalable: Programs, other, api: str, cure: str
) -> None:
    """The sentence has both numbers and says what to upgrade; other targets go on."""
    place = other("SCALABLE_PLUGIN_API = 1", f"SCALABLE_PLUGIN_API = {api}")
    said = scalable("plan", "--target", "here", exit_code=3, PYTHONPATH=str(place))
    text = said.stdout + said.stderr
    assert f"provider 'other' (scalable-other 0.1.0) speaks plugin API {api}; scalable-core" in text
    assert "speaks 1" in text
    assert cure in text
    scalable("plan", "--target", "campus", PYTHONPATH=str(place))


def test_a_plugin_that_needs_a_newer_core_is_refused_before_its_import(
    scalable: Programs, other
) -> None:
    """What its dist requires is looked at first, so its code need not even run here."""
    place = other("scalable-core>=0.1,<0.2", "scalable-core>=7")
    said = scalable("plan", "--target", "here", exit_code=3, PYTHONPATH=str(place))
    assert "needs scalable-core>=7" in (said.stdout + said.stderr).replace(" >=", ">=")
