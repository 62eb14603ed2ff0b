"""Drivers for the crash matrix: a process with everything imported, which forks a driver for each line.

A line is JSON: {"folder": ..., "limits": {...}, "after": k, "grown": false}. The fork becomes the driver of one
whole run there, and kills itself once the API server has carried out its k-th request and before it knows the
answer, or when ``grown`` once all of its workers have joined. Its exit status and the number of its requests
are written as one line. Questions whether it may do something change nothing and are not counted.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

import distributed  # noqa: F401
import kubernetes.client
import kubernetes.dynamic
import kubernetes.stream.ws_client  # noqa: F401

import scalable_core.cluster.fleet
import scalable_core.session.client
import scalable_kubernetes.provision  # noqa: F401
from scalable import ScalableSession
from scalable_core.cluster.launcher import Limits
from scalable_kubernetes.api import Api


class Assassin:
    """Counts the requests of this process, and kills it after one of them."""

    def __init__(self, after: int | None) -> None:
        self._count, self._after, self._lock = 0, after, threading.Lock()
        for name in ("_send", "socket"):
            setattr(Api, name, self._counted(getattr(Api, name)))

    def _counted(self, send: Any) -> Any:
        def counted(api: Api, *args: Any, **kwargs: Any) -> Any:
            try:
                return send(api, *args, **kwargs)
            finally:
                if not any(str(word).endswith("selfsubjectaccessreviews") for word in args):
                    self._note()

        return counted

    def _note(self) -> None:
        with self._lock:
            self._count += 1
            if self._count == self._after:
                os.kill(os.getpid(), signal.SIGKILL)


def drive(order: dict[str, Any]) -> None:
    """Live through one run: start, work, grow, shrink, close."""
    os.chdir(order["folder"])
    log = os.open("driver.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    Assassin(order["after"])
    scalable_core.cluster.fleet.FAREWELL = 2.0
    if limits := order["limits"]:
        scalable_core.cluster.fleet.default_limits = lambda _: Limits(**limits)
    with ScalableSession.from_yaml("scalable.yaml", target="there") as client:
        assert client.gather(client.map(abs, range(-4, 0), task="add")) == [4, 3, 2, 1]
        client.cluster.scale(3)
        client.wait_for_workers(3, timeout=100)
        if order["grown"]:
            os.kill(os.getpid(), signal.SIGKILL)
        client.cluster.scale(1)
        assert client.submit(abs, -7, task="add").result(timeout=100) == 7


def main() -> None:
    """Fork a driver for each line."""
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                drive(order)
                status = 0
            except BaseException:
                Path("driver.error").write_text(traceback.format_exc())
            os._exit(status)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
