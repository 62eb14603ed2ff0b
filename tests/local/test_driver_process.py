"""What the driver's own process does to its workers, and they to it. Each driver here is a real script."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

HEAD = f"""
import importlib.util, os, sys, time
spec = importlib.util.spec_from_file_location("helpers", {str(Path(__file__).with_name("conftest.py"))!r})
helpers = importlib.util.module_from_spec(spec)
spec.loader.exec_module(helpers)
group, make_plan, plugin = helpers._group, helpers._make_plan, helpers.plugin
from distributed import Client
from scalable_core.types import HookContext
print("main ran", os.getpid(), flush=True)
"""

#: Starts two workers, says their process ids and those of programs that calls have started, and waits.
BUSY = (
    HEAD
    + """
cluster = plugin.provision_cluster(make_plan(group(maximum=2)), HookContext())
client = Client(cluster)
cluster.request_workers()
client.wait_for_workers(2, timeout=120)

def busy(_):
    import subprocess
    child = subprocess.Popen(["sleep", "1000"])
    os.write(1, f"pid {os.getpid()}\\npid {child.pid}\\n".encode())  # whole, whoever else writes
    open(f"busy-{os.getpid()}", "w").close()
    time.sleep(1000)

futures = client.map(busy, range(2))
client.gather(futures)
"""
)


@pytest.fixture
def drive(tmp_path):
    """Starts a script as a program; it is killed in the end."""
    started = []

    def drive(text):
        script = tmp_path / "workflow.py"
        script.write_text(text)
        process = subprocess.Popen(
            [sys.executable, str(script)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
        )
        started.append(process)
        return process

    yield drive
    for process in started:
        process.kill()
        process.communicate()


def read_pids(process, count):
    pids = []
    for line in process.stdout:
        if line.startswith("pid "):
            pids.append(int(line.split()[1]))
        if len(pids) == count:
            return pids
    raise AssertionError(process.stderr.read())


def test_a_script_without_a_main_guard_runs_once(drive):
    """Workers do not run the user's script again, and functions and classes of it reach them."""
    process = drive(
        HEAD
        + """
class Point:
    def __init__(self, x):
        self.x = x

FACTOR = 3

def scale(point):
    return Point(point.x * FACTOR)

with plugin.provision_cluster(make_plan(group(maximum=2)), HookContext()) as cluster, Client(cluster) as client:
    cluster.request_workers()
    points = client.gather(client.map(scale, [Point(i) for i in range(4)]))
    print([point.x for point in points], all(type(point) is Point for point in points), flush=True)
"""
    )
    out, err = process.communicate(timeout=120)

    assert process.returncode == 0, err
    assert out.count("main ran") == 1
    assert "[0, 3, 6, 9] True" in out
    assert err == ""


def test_nothing_outlives_a_driver_that_has_forked(drive, wait_until):
    """A fork of the driver that lives on does not keep its workers alive."""
    fork = """child = os.fork()
if child == 0:
    time.sleep(60)
    os._exit(0)
print("pid", child, flush=True)
"""
    process = drive(BUSY.replace("futures = client.map", fork + "futures = client.map"))
    child, *pids = read_pids(process, 5)

    process.kill()
    process.wait(timeout=60)
    wait_until(lambda: not any(psutil.pid_exists(pid) for pid in pids))

    psutil.Process(child).kill()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_outlives_a_driver_that_is_ended_by_a_signal(drive, wait_until, number):
    """Workers, and the programs that their calls have started, are gone soon after the driver."""
    process = drive(BUSY)
    pids = read_pids(process, 4)

    process.send_signal(number)
    process.wait(timeout=60)

    wait_until(lambda: not any(psutil.pid_exists(pid) for pid in pids))


def test_nothing_outlives_a_driver_that_ends_without_closing(drive, wait_until):
    """A script that forgets to close its cluster ends by itself, with exit code 0 and no noise."""
    both_busy = "sum(name.startswith('busy-') for name in os.listdir()) == 2"
    process = drive(
        BUSY.replace("client.gather(futures)", f"while not {both_busy}: time.sleep(0.05)")
    )
    pids = read_pids(process, 4)
    process.stdout.close()

    err = process.stderr.read()

    assert process.wait(timeout=60) == 0
    assert err == ""
    wait_until(lambda: not any(psutil.pid_exists(pid) for pid in pids))


def test_the_terminals_ctrl_c_does_not_reach_the_workers(start, make_plan):
    """Ctrl-C goes to a process group; workers have their own, so the driver decides what stops."""
    import os

    _, client = start(make_plan())

    assert os.getpgrp() != client.submit(os.getpgrp).result(timeout=60)
