"""Drivers for the crash matrix: a process with everything imported, which forks a driver for each line.

A line is JSON: {"folder": ..., "environment": {...}, "limits": {...}, "assassin": {"after": k}}. The fork
becomes the driver of one whole run there, killed by the local AWS once its k-th call has been carried out; its
folder and its exit status are written as one line. Drivers whose lines come together live side by side.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import pkgutil
import select
import sys
import traceback
import urllib.request
from pathlib import Path
from typing import Any

import botocore.loaders
import distributed  # noqa: F401

import scalable_aws
import scalable_core
from scalable import ScalableSession
from scalable_core.cluster.launcher import Limits

#: Services of which a driver has a client.
SERVICES = ("ec2", "ecs", "iam", "logs", "s3", "service-quotas", "ssm", "sts")


def warm() -> None:
    """Have at hand what each driver would read by itself, so that a hundred of them take little time."""
    for package in (scalable_core, scalable_aws):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if "template" not in module.name and not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    files = botocore.loaders.JSONFileLoader()
    read = functools.cache(files.load_file)
    botocore.loaders.JSONFileLoader.load_file = lambda _, path: read(path)
    loader = botocore.loaders.Loader()
    for service in SERVICES:
        for kind in ("service-2", "endpoint-rule-set-1", "paginators-1"):
            loader.load_service_model(service, kind)
    for name in ("endpoints", "partitions", "sdk-default-configuration", "_retry"):
        loader.load_data(name)


def drive(order: dict[str, Any]) -> None:
    """Live through one run: start, work, grow, shrink, close."""
    os.environ.update(order["environment"])
    os.chdir(order["folder"])
    log = os.open("driver.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    # The more it looks, the more calls there are to be killed after.
    scalable_aws.fargate.FargateLauncher.poll_interval = 0.7
    scalable_aws.ec2.Ec2Launcher.poll_interval = 0.7
    scalable_aws.machines.LOOK_EVERY = 0.3
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
        client.wait_for_workers(3, timeout=120)
        client.cluster.scale(1)
        assert client.submit(abs, -7, task="add").result() == 7


def main() -> None:
    """Fork a driver for each line, and tell of each that has ended, until there are no more lines."""
    warm()
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
