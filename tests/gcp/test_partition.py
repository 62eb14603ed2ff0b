"""The network breaks around one worker, as no service says that it does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = ("unshare", "ip", "nft")


@pytest.mark.slow
@pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, TOOLS)),
    reason="needs root for a network of its own, and nft to break it",
)
def test_a_worker_that_is_cut_off_is_replaced_and_costs_no_result(tmp_path):
    """Nobody refuses it anything: nothing comes back. Its calls are done elsewhere, and nothing is left."""
    script = Path(__file__).parent / "partition_driver.py"
    command = ["unshare", "--net", sys.executable, str(script), str(tmp_path)]

    done = subprocess.run(command, capture_output=True, text=True, timeout=280)

    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["results"] == [2 * x for x in range(40)]
    (said,) = seen["lost"]
    assert "is there, and the scheduler has not heard of its worker for 10 s" in said
    assert seen["left"] == {"pools": {}, "machines": {}, "secrets": {}, "rules": {}}
