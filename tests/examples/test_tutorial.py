"""The tutorial for authors, followed word by word in an environment that has nothing but Scalable."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from test_downstream import build, run
from workbench import ROOT

sys.path.insert(0, str(ROOT / "tests" / "house"))

import blocks

PAGE = ROOT / "docs" / "tutorials" / "write-a-provider.md"


@pytest.mark.timeout(600)
def test_the_tutorial_goes_from_an_empty_folder_to_wheels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each command does what the page shows, the provider passes the kit, and its files are built."""
    pytest.importorskip("virtualenv")
    dists = [ROOT / "scalable_core", ROOT / "plugins" / "scalable_local", ROOT]
    wheels = [build(dist, tmp_path / "wheels") for dist in dists]
    run(sys.executable, "-m", "virtualenv", "--quiet", tmp_path / "environment")
    programs = tmp_path / "environment" / "bin"
    constraints = ROOT / "constraints.txt"
    run(programs / "python", "-m", "pip", "install", "-q", "-c", constraints, *wheels)

    monkeypatch.setattr(blocks, "PROGRAMS", {*blocks.PROGRAMS, "pip", "pytest"})
    (tmp_path / "empty").mkdir()
    reader = blocks.Reader(tmp_path / "empty")
    reader.environ["PATH"] = f"{programs}{os.pathsep}{os.environ['PATH']}"
    reader.environ["PIP_CONSTRAINT"] = str(constraints)
    for block in blocks.read_blocks(PAGE):
        reader.follow(block)
    assert len(list((tmp_path / "empty" / "scalable-acme" / "dist").iterdir())) == 2
