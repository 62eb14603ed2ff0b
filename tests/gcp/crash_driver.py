"""Drivers for the crash matrix: a process with everything imported, which forks a driver for each line.

A line is JSON: {"folder": ..., "environment": {...}, "assassin": {...}, "detached": false}. The fork becomes
the driver of one whole run there, or hands one over; it is killed by the local Google Cloud once its k-th call
has been carried out, and its folder and its exit status are written as one line. Drivers whose lines come
together live side by side.
"""

from __future__ import annotations

import json
import os
import select
import sys
import traceback
import urllib.request
from pathlib import Path
from typing import Any

import distributed  # noqa: F401

import scalable_core.cluster.fleet
import scalable_core.session.client
import scalable_gcp.client
import scalable_gcp.cloud
import scalable_gcp.cloud_run
from scalable import ScalableSession
from scalable_core.plugins import PluginHost
from scalable_core.session.detached import start_detached
from scalable_core.session.planning import load, make_plan


def drive(order: dict[str, Any]) -> None:
    """Live through one run: start, work, grow, shrink, close."""
    os.environ.update(order["environment"])
    os.chdir(order["folder"])
    log = os.open("driver.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    scalable_gcp.cloud_run.CloudRunLauncher.poll_interval = 0.5
    scalable_gcp.cloud.BREATH = 0.1
    scalable_gcp.cloud.FIRST_PAUSE = 0.05
    scalable_core.cluster.fleet.FAREWELL = 2.0
    if order["assassin"]:
        data = json.dumps({"pid": os.getpid(), **order["assassin"]}).encode()
        url = os.environ["CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN"].rpartition("/run/")[0]
        post = urllib.request.Request(f"{url}/testbed/assassin", data=data)
        urllib.request.urlopen(post, timeout=60).close()
    if order["detached"]:
        hand_over()
        return
    with ScalableSession.from_yaml("scalable.yaml", target="gcp") as client:
        assert client.gather(client.map(abs, range(4), task="add")) == [0, 1, 2, 3]
        client.cluster.scale(3)
        client.wait_for_workers(3, timeout=120)
        client.cluster.scale(1)
        assert client.submit(abs, -7, task="add").result() == 7


def hand_over() -> None:
    """Start a detached run."""
    host = PluginHost()
    manifest = load("scalable.yaml", target="gcp", host=host)
    plan = make_plan(manifest, host=host, detached=True)
    start_detached(plan, host=host, workflow=Path("workflow.py").absolute())


def main() -> None:
    """Fork a driver for each line, and tell of each that has ended, until there are no more lines."""
    drivers: dict[int, str] = {}
    coming = True
    while coming or drivers:
        if coming and select.select([sys.stdin], [], [], 0.05 if drivers else None)[0]:
            line = os.read(0, 1 << 16)  # they are written one at a time, and are short
            coming = bool(line)
            for text in line.splitlines():
                order = json.loads(text)
                drivers[fork(order)] = order["folder"]
        pid, status = os.waitpid(-1, os.WNOHANG if coming else 0) if drivers else (0, 0)
        if pid:
            print(json.dumps([drivers.pop(pid), os.waitstatus_to_exitcode(status)]), flush=True)


def fork(order: dict[str, Any]) -> int:
    """Return the id of a process that drives."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            drive(order)
            status = 0
        except BaseException:
            Path(order["folder"], "driver.error").write_text(traceback.format_exc())
        os._exit(status)
    return pid


if __name__ == "__main__":
    main()
