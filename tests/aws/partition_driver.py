"""A run on Fargate whose network breaks around one worker. Needs root, and a network namespace of its own.

Usage: unshare --net python partition_driver.py FOLDER. Writes what has become of it as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "testbed"))

from aws.agent import group_of
from aws.testbed import Testbed
from partition import begin, cut_off, lost

MANIFEST = """\
version: 1
project: {{name: split}}
targets:
  aws: {{provider: aws, region: us-east-1, image: {image}, n_workers: 2}}
components:
  work: {{cpus: 1, memory: 2G}}
tasks:
  double: {{component: work}}
"""


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
        Path("scalable.yaml").write_text(MANIFEST.format(image=bed.environment["SOLAR_IMAGE"]))
        seen = run(bed)
        seen["left"] = len(bed.tasks("scalable-split"))
    seen["lost"] = lost()
    print(json.dumps(seen))


def run(bed: Testbed) -> dict[str, object]:
    """Return the results of calls, who was cut off, and who works in the end."""
    from scalable import ScalableSession
    from scalable_aws.fargate import FargateLauncher
    from scalable_core.cluster import watch

    FargateLauncher.poll_interval = 0.5
    watch.REJOIN = 10.0
    with ScalableSession.from_yaml("scalable.yaml", target="aws") as client:
        client.wait_for_workers(2, timeout=120)
        address, cut = next(iter(client.scheduler_info()["workers"].items()))
        futures = client.map(double, range(40), task="double")
        while sum(future.done() for future in futures) < 10:
            time.sleep(0.05)
        group = group_of(address.removeprefix("tls://").rpartition(":")[0])
        cut_off(group)
        results = client.gather(futures)
        end = time.monotonic() + 120
        while len(names := names_of(client)) < 2 or cut["name"] in names:
            assert time.monotonic() < end, names
            time.sleep(0.2)
        return {"results": results, "cut": cut["name"], "workers": names}


def names_of(client: object) -> list[str]:
    """Return the names of the workers that the scheduler knows."""
    workers = client.scheduler_info()["workers"]  # type: ignore[attr-defined]
    return sorted(each["name"] for each in workers.values())


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
