"""A run on Cloud Run whose network breaks around one worker. Needs root, and a network namespace of its own.

Usage: unshare --net python partition_driver.py FOLDER. Writes what has become of it as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "testbed"))
sys.path.insert(0, str(Path(__file__).parent.parent / "testbed" / "gcp"))

from gcp.testbed import Testbed
from instances import group_of
from partition import begin, cut_off, lost

MANIFEST = """\
version: 1
project: {name: split}
targets:
  gcp: {provider: gcp, region: us-central1, image: IMAGE, n_workers: 2, transport: vpc}
components:
  work: {cpus: 1, memory: 2G}
tasks:
  double: {component: work}
"""
IMAGE = "us-central1-docker.pkg.dev/study-project/models/demeter:2"


def double(x: int) -> int:
    """Work that takes a moment."""
    time.sleep(0.3)
    return 2 * x


def main(folder: Path) -> None:
    """Run, cut one worker off, and finish."""
    begin(folder)
    Path("bed").mkdir()
    with Testbed(folder / "bed", apart=True) as bed:
        os.environ.update(bed.environment)
        bed.tell("images", **{"models/demeter:2": f"sha256:{'1' * 64}"})
        Path("scalable.yaml").write_text(MANIFEST.replace("IMAGE", IMAGE))
        seen = run()
        seen["left"] = {kind: bed.state[kind] for kind in ("pools", "machines", "secrets", "rules")}
    seen["lost"] = lost()
    print(json.dumps(seen))


def run() -> dict[str, object]:
    """Return the results of calls, who was cut off, and who works in the end."""
    from scalable import ScalableSession
    from scalable_core.cluster import watch
    from scalable_gcp.cloud_run import CloudRunLauncher

    CloudRunLauncher.poll_interval = 0.5
    watch.REJOIN = 10.0
    with ScalableSession.from_yaml("scalable.yaml", target="gcp") as client:
        client.wait_for_workers(2, timeout=120)
        address = next(iter(client.scheduler_info()["workers"]))
        futures = client.map(double, range(40), task="double")
        while sum(future.done() for future in futures) < 10:
            time.sleep(0.05)
        group = group_of(address.removeprefix("tls://").rpartition(":")[0])
        cut_off(group)
        results = client.gather(futures)
        end = time.monotonic() + 120
        while len(there := set(client.scheduler_info()["workers"])) < 2 or address in there:
            assert time.monotonic() < end, there
            time.sleep(0.2)
        return {"results": results}


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
