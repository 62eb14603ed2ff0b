"""A call that takes all memory at once is told from one that lost its worker in another way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

MANIFEST = """\
version: 1
project: {name: study}
targets:
  local: {provider: local, max_workers: 1, processes: true}
components:
  model: {cpus: 1, memory: 300M}
tasks:
  hoard: {component: model}
"""

WORKFLOW = """\
import os, signal, sys
from scalable import ScalableSession

def hoard(n):
    data = bytearray(n)           # touched at once: no heartbeat sees it
    for i in range(0, n, 4096):
        data[i] = 1
    signal.pause()

with ScalableSession.from_yaml("./scalable.yaml") as client:
    client.submit(hoard, 400 * 2**20, task="hoard").result()
"""


def test_a_quick_death_for_memory_is_called_one(tmp_path: Path) -> None:
    """With what it held, what it might hold, and what to ask for instead."""
    (tmp_path / "scalable.yaml").write_text(MANIFEST)
    (tmp_path / "workflow.py").write_text(WORKFLOW)
    env = {k: v for k, v in os.environ.items() if not k.startswith("SCALABLE_")}
    command = [sys.executable, "-m", "scalable"]
    done = subprocess.run(
        [*command, "run"], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 1, done.stderr
    said = subprocess.run(
        [*command, "report", "--failures", "--json"],
        cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    (group,) = json.loads(said.stdout)["failures"]

    assert group["title"] == "Out of memory"
    assert group["attempts"] == 3
    assert group["limit"] == 300 * 2**20
    assert group["peak"] >= 0.95 * 300 * 2**20
    assert group["advised"] >= 600 * 2**20
    assert "of 300M; try memory: " in group["cure"]
