"""What the pod of a driver runs: ``python -m scalable_kubernetes.driving PROJECT RUN COMMAND...``.

It sees to what the driver cannot do for itself: that there is no second one, and that the last objects of the
run go when its process has ended.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from scalable_kubernetes.access import from_pod
from scalable_kubernetes.api import Api, ApiError, path
from scalable_kubernetes.builders import Scene


def main(project: str, run: str, command: Sequence[str]) -> int:
    """Run the driver, and return its exit code."""
    scene = Scene(namespace=os.environ["SCALABLE_DRIVER_NAMESPACE"], run=run, project=project)
    api = Api(from_pod())
    try:
        # A Job starts another pod when the first is taken away. It finds that its Secret was taken before.
        if not api.delete(path("v1", "secrets", scene.namespace, scene.driver_name)):
            return _say(f"the driver of {run} is lost; go on with: scalable run --resume {run}")
    except ApiError as error:
        return _say(f"the driver of {run} cannot begin: {error.message}")
    process = subprocess.Popen([sys.executable, *command])

    def tell(number: int, frame: FrameType | None) -> None:
        process.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, tell)
    code = process.wait()
    if _has_ended(run):
        owner = path("v1", "configmaps", scene.namespace, scene.name)
        try:
            api.delete(owner, body={"propagationPolicy": "Background"})
        except ApiError as error:
            _say(f"what is left of {run} cannot be removed: {error.message}")
    return code


def _has_ended(run: str) -> bool:
    """Whether the run's record says how it ended; if not, only this pod's own words tell why."""
    try:
        record = json.loads((Path.cwd() / ".scalable" / "runs" / run / "run.json").read_text())
    except (OSError, ValueError):
        return False
    return record.get("ended") is not None


def _say(words: str) -> int:
    sys.stderr.write(f"{words}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
