"""The dists of examples/, installed for the programs that tests start and for no other test."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from slurm import missing_programs, running_slurm

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that has the example dists installed."""
    folder = tmp_path_factory.mktemp("plugins")
    dists = [path.parent for path in EXAMPLES.glob("*/pyproject.toml")]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--target", str(folder), *map(str, dists)]
    subprocess.run(command, check=True, timeout=240)
    return folder


@pytest.fixture(scope="session")
def slurm() -> Iterator[dict[str, str]]:
    """A Slurm on this machine: the variables by which its commands find it."""
    pytest.importorskip("dask_jobqueue", reason="needs dask-jobqueue")
    missing = missing_programs()
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: apt-get install slurm-wlm munge")
    with running_slurm() as environ:
        yield environ


@pytest.fixture
def scalable(plugins: Path, tmp_path: Path) -> Run:
    """Run `scalable` in a folder, with the example dists installed."""

    def run(
        *words: str, exit_code: int = 0, cwd: Path = tmp_path, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [str(Path(sys.executable).with_name("scalable")), *words],
            cwd=cwd,
            env=environment(plugins, **environ),
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        said = f"scalable {' '.join(words)}\n{done.stdout}\n{done.stderr}"
        assert done.returncode == exit_code, said
        return done

    return run


def environment(plugins: Path, **more: str) -> dict[str, str]:
    """Return the environment of a program that sees the example dists."""
    clean = {name: text for name, text in os.environ.items() if not name.startswith("SCALABLE_")}
    return {**clean, "PYTHONPATH": str(plugins), "NO_COLOR": "1", **more}
