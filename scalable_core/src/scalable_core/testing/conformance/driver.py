"""A driver that is killed at one of its steps: ``python -m ...driver MANIFEST WHEN [MODULE:FUNCTION]``.

A step is an event of the run, and whatever the function counts that is named. ``WHEN`` is the number of the
step at which it is killed, 0 to count them and end well, ``wait`` to wait until somebody kills it.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading

from scalable_core.plugins import PluginHost
from scalable_core.session import ScalableSession
from scalable_core.session.planning import load, make_plan
from scalable_core.testing.conformance.subject import Sink


class Steps:
    """Counts steps, from any thread, and kills this process at one of them."""

    def __init__(self, kill_at: int) -> None:
        self.count, self._kill_at, self._lock = 0, kill_at, threading.Lock()
        self.counting = False

    def step(self, *_: object) -> None:
        """Count one."""
        with self._lock:
            if self.counting:
                self.count += 1
                if self.count == self._kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)


def main(manifest: str, when: str, counter: str = "") -> None:
    """Start a run, say when its worker is there, and end it."""
    steps = Steps(0 if when == "wait" else int(when))
    if counter:
        module, _, function = counter.partition(":")
        getattr(importlib.import_module(module), function)(steps.step)
    host = PluginHost()
    plan = make_plan(load(manifest, target="there", host=host), host=host)
    session = ScalableSession(plan, host=host, sink=Sink(steps.step))
    say("run", session.run_dir)
    # The first event is the run's own: its record is there, without which nobody would look for it.
    steps.counting = True
    client = session.start(eager=True)
    client.wait_for_workers(1, timeout=600)
    client.submit(abs, -1).result(timeout=600)
    say("ready")
    if when == "wait":
        signal.pause()
    session.close()
    say("steps", steps.count)


def say(word: str, value: object = "") -> None:
    """Tell who started this."""
    sys.stdout.write(f"{word} {value}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
