"""Small dists on disk, each broken in one way, put on the path of this process or of another."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scalable_core.plugins import PluginHost
from scalable_core.types import HookContext, Plan, Project, Stores, Target, WorkerGroup

DATA = Path(__file__).parent / "data"

Installed = Callable[..., PluginHost]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Installed]:
    """Put dists first on the path, in the order given, and return a host that sees them."""
    before = set(sys.modules)

    def install(*cases: str, **environ: str) -> PluginHost:
        for case in reversed(cases):
            assert (DATA / case).is_dir(), case
            monkeypatch.syspath_prepend(str(DATA / case))
        return PluginHost(environ=environ)

    yield install
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(DATA)):
            del sys.modules[name]


@pytest.fixture
def python(tmp_path: Path) -> Callable[..., str]:
    """Run code in a fresh Python that has dists on its path, and return what it printed."""

    def run(code: str, *cases: str, **environ: str) -> str:
        path = os.pathsep.join(str(DATA / case) for case in cases)
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": path, **environ},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    return run


@pytest.fixture
def context(tmp_path: Path) -> HookContext:
    """The circumstances of a call while planning."""
    return HookContext(project="study", workdir=tmp_path, dry_run=True)


@pytest.fixture
def plan_for(tmp_path: Path) -> Callable[..., Plan]:
    """Make a plan with one group for a provider."""

    def make(provider: str, options: object = None) -> Plan:
        return Plan(
            project=Project(name="study"),
            target=Target(name="there", provider=provider, options=options),
            manifest=str(tmp_path / "scalable.yaml"),
            workflow=str(tmp_path / "workflow.py"),
            lock="sha256:" + "0" * 64,
            groups=(
                WorkerGroup(
                    name="model", cpus=2.0, memory=4 * 2**30, threads=2, minimum=0, maximum=3
                ),
            ),
            minimum=0,
            maximum=3,
            stores=Stores(records="r", artifacts="a", cache="c"),
        )

    return make
