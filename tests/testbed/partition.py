"""A network that breaks around one member: nothing is refused, and nothing comes back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "ip", "nft"))),
    reason="needs root for a network of its own, and nft to break it",
)
#: Whatever a member sends is lost, and so are its answers to what others send.
_BROKEN = """\
table ip broken {
  chain out { type filter hook output priority 0; meta skgid %d drop; }
}
"""


def drive(script: Path, folder: Path) -> Any:
    """Run a script in a network of its own, with a folder, and return what it has printed last, as JSON."""
    command = ["unshare", "--net", sys.executable, str(script), str(folder)]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, env=environ)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def begin(folder: Path) -> None:
    """Do what such a script begins with: its network is there, and everybody waits less for lost bytes."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    os.chdir(folder)
    # Dask takes no less.
    os.environ["DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP"] = "12s"


def cut_off(group: int) -> None:
    """Let nothing through any more that processes of a group of users send."""
    subprocess.run(["nft", "-f", "-"], input=_BROKEN % group, text=True, check=True)


def lost() -> list[str]:
    """Return what was said of lost workers in the one run below this folder."""
    (events,) = Path(".scalable/runs").glob("*/events.jsonl")
    said = [json.loads(line) for line in events.read_text().splitlines()]
    return [each["message"] for each in said if each["kind"] == "worker.lost"]
