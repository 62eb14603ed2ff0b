"""Drivers for the crash matrix: a process with everything imported, which forks a driver for each line.

A line is JSON: {"folder": ..., "environment": {...}, "limits": {...}, "assassin": {"after": k}}. The fork
becomes the driver of one whole run there, killed by the local AWS once its k-th call has been carried out; its
exit status is written as one line.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.request
from pathlib import Path
from typing import Any

import aiobotocore.session  # noqa: F401
import distributed  # noqa: F401

import scalable_aws.fargate
import scalable_aws.fleet
import scalable_aws.preflight
import scalable_aws.release
import scalable_core.cluster.fleet
import scalable_core.session.client
from scalable import ScalableSession
from scalable_core.cluster.launcher import Limits


def drive(order: dict[str, Any]) -> None:
    """Live through one run: start, work, grow, shrink, close."""
    os.environ.update(order["environment"])
    os.chdir(order["folder"])
    log = os.open("driver.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    # The more it looks, the more calls there are to be killed after.
    scalable_aws.fargate.FargateLauncher.poll_interval = 0.7
    scalable_aws.preflight.PATIENCE = 120.0
    scalable_aws.release.LOOK_EVERY = 0.3
    scalable_core.cluster.fleet.FAREWELL = 2.0
    if limits := order["limits"]:
        scalable_core.cluster.fleet.default_limits = lambda _: Limits(**limits)
    assassin = {
        "key": os.environ["AWS_ACCESS_KEY_ID"],
        "pid": os.getpid(),
        **order["assassin"],
    }
    data = json.dumps(assassin).encode()
    url = f"{os.environ['AWS_ENDPOINT_URL']}/testbed/assassin"
    urllib.request.urlopen(urllib.request.Request(url, data=data), timeout=60).close()
    with ScalableSession.from_yaml("scalable.yaml", target="aws") as client:
        assert sum(client.map(abs, range(4), task="add")[3].result() for _ in range(2)) == 6
        client.cluster.scale(3)
        client.wait_for_workers(3, timeout=60)
        client.cluster.scale(1)
        assert client.submit(abs, -7, task="add").result() == 7


def main() -> None:
    """Fork a driver for each line."""
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                drive(json.loads(line))
                status = 0
            except BaseException:
                import traceback

                Path("driver.error").write_text(traceback.format_exc())
            os._exit(status)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
