"""What is taken away is replaced, and what cannot go on ends with one sentence."""

from __future__ import annotations

import asyncio
import os
import threading
import time

import pytest

from scalable_core.cluster import watch
from scalable_core.cluster.launcher import Limits
from scalable_core.errors import ClusterError


def slow_square(x):
    """Work that takes a moment."""
    import time

    time.sleep(0.2)
    return x * x


def test_half_of_the_workers_taken_away_costs_no_call(
    make_plan, hive_launcher, start, hive, wait_until
):
    """Calls of lost workers run elsewhere, and replacements with new names come."""
    fleet, client = start(make_plan(8), hive_launcher(), workers=8)
    futures = client.map(slow_square, range(200))
    wait_until(lambda: sum(future.done() for future in futures) > 10)

    victims = fleet.members("analysis")[:4]
    hive.kill_members(fleet.fleet.run, *victims)

    assert client.gather(futures) == [x * x for x in range(200)]
    client.wait_for_workers(8, timeout=60)
    assert not set(victims) & set(fleet.members("analysis"))
    assert len(fleet.sink.texts("worker.lost")) == 4


def test_a_worker_that_does_not_come_back_is_replaced_though_its_member_runs(
    make_plan, hive_launcher, start, hive, wait_until, monkeypatch
):
    """As when the network breaks around it: the service sees nothing, and the scheduler has lost it."""
    monkeypatch.setattr(watch, "REJOIN", 1.0)
    fleet, client = start(make_plan(2), hive_launcher(), workers=2)
    victim = fleet.members("analysis")[0]

    fleet.loop.add_callback(fleet.crew.left, victim)

    wait_until(lambda: victim not in hive.alive(fleet.fleet.run))
    wait_until(lambda: victim not in fleet.members("analysis"))
    client.wait_for_workers(2, timeout=60)
    (said,) = fleet.sink.texts("worker.lost")
    assert said.startswith(f"{victim} is there, and the scheduler has not heard of its worker")


def test_a_worker_that_is_told_to_end_hands_over_what_it_holds(
    make_plan, subprocess_launcher, start, wait_until
):
    """SIGTERM, as before a Spot interruption, loses no result that only that worker has."""
    launcher = subprocess_launcher()
    fleet, client = start(make_plan(2), launcher, workers=2)
    counter = launcher.folder / "calls"

    def make(x):
        with counter.open("a") as file:
            file.write(f"{x}\n")
        return x

    futures = client.map(make, range(20))
    assert sum(client.gather(futures)) == 190
    victim = fleet.members("analysis")[0]
    launcher.interrupt(victim)
    launcher.processes[victim].terminate()
    wait_until(lambda: launcher.processes[victim].poll() is not None, timeout=150)

    assert sum(client.gather(futures)) == 190
    assert sorted(map(int, counter.read_text().split())) == list(range(20))
    client.wait_for_workers(2, timeout=60)
    assert victim not in fleet.members("analysis")


def test_another_is_asked_for_as_soon_as_a_worker_is_about_to_be_taken_away(
    make_plan, hive_launcher, start, hive, wait_until, monkeypatch
):
    """It takes its place while that one still hands over; that one is then told to end, if it has not."""
    launcher = hive_launcher()
    fleet, client = start(make_plan(2), launcher, workers=2)
    victim = fleet.members("analysis")[0]
    launcher.interrupt(victim, "the service needs it back")

    client.wait_for_workers(3, timeout=90)
    assert victim not in fleet.members("analysis")
    assert fleet.sink.texts("worker.notice") == [
        f"worker {victim} is about to be taken away: the service needs it back"
    ]
    monkeypatch.setattr(watch, "TELL_AGAIN", 1.0)
    wait_until(lambda: victim not in hive.alive(fleet.fleet.run))


def test_a_lost_scheduler_ends_the_run_with_one_sentence(make_plan, subprocess_launcher, start):
    """Who waits for results hears what has become of the scheduler."""
    from scalable_core.session.client import ScalableClient

    launcher = subprocess_launcher()
    plan = make_plan(1)
    fleet = start(plan, launcher, client=False)
    with ScalableClient(fleet, plan) as client:
        client.wait_for_workers(1, timeout=60)
        future = client.submit(time.sleep, 60)
        launcher.kill(next(name for name in launcher.processes if name.startswith("scheduler")))

        with pytest.raises(ClusterError, match=r"the scheduler is lost.*exit code 137") as caught:
            future.result(timeout=60)

    assert "\n" not in caught.value.message
    assert fleet.failure is caught.value


def test_workers_whose_scheduler_is_lost_do_not_dial_it_when_they_are_told_to_end(
    make_plan, subprocess_launcher, start, wait_until
):
    """There is nobody to hand over to: a run that has lost its scheduler is over at once."""
    environment = {"PATH": os.defpath, "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "1h"}
    launcher = subprocess_launcher(environment=environment)
    fleet, client = start(make_plan(1), launcher, workers=1, limits=Limits(grace=3600.0))
    begun = launcher.folder / "begun"
    call = client.submit(lambda: begun.touch() or time.sleep(600))
    wait_until(begun.exists)
    launcher.kill(next(name for name in launcher.processes if name.startswith("scheduler")))
    wait_until(lambda: fleet.failure)

    fleet.close()  # which raises if anything is left

    assert all(process.poll() is not None for process in launcher.processes.values())
    assert call.status != "finished"


@pytest.mark.parametrize("limits", ["no_driver=2.0", "lifetime=15.0, no_driver=600.0"])
def test_a_fleet_ends_by_itself_when_its_driver_is_gone(tmp_path, hive, wait_until, limits):
    """After kill -9 of the driver nobody stops anything, and still nothing is left."""
    run = f"run-orphan-{limits[:4]}"
    _driver_killed(tmp_path, hive, run, limits)

    wait_until(lambda: not hive.alive(run), timeout=60)


def test_a_fleet_ends_at_its_lifetime_even_if_it_is_driven(
    make_plan, hive_launcher, start, hive, wait_until
):
    """The hard limit holds whoever is there."""
    fleet = start(
        make_plan(2), hive_launcher(), client=False, limits=Limits(lifetime=4.0, no_driver=60.0)
    )

    wait_until(lambda: not hive.alive(fleet.fleet.run), timeout=60)
    wait_until(lambda: fleet.failure, timeout=60)


def test_a_fleet_without_work_ends_by_itself(make_plan, hive_launcher, start, hive, wait_until):
    """Idle is counted while a client is connected, too."""
    # A worker that is only there after that waits for its scheduler until it need not join any more.
    fleet, _ = start(make_plan(1), hive_launcher(), limits=Limits(idle=4.0, join=30.0))

    wait_until(lambda: not hive.alive(fleet.fleet.run), timeout=120)


def _driver_killed(tmp_path, hive, run, limits):
    import subprocess
    import sys
    from pathlib import Path

    program = tmp_path / "driver.py"
    program.write_text(
        f"""
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
import conftest
from scalable_core.cluster.fleet import FleetCluster
from scalable_core.cluster.launcher import Limits
from scalable_core.testing import HiveLauncher
from scalable_core.types import HookContext
from distributed import Client

if __name__ == "__main__":
    here = Path({str(tmp_path)!r})
    context = HookContext(project="test", run={run!r}, run_dir=here / "run")
    fleet = FleetCluster(conftest._make_plan(3), HiveLauncher(here / "hive", {hive.port}), context,
                         eager=True, limits=Limits({limits}))
    client = Client(fleet)
    client.wait_for_workers(3, timeout=60)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    )
    ended = subprocess.run([sys.executable, program], timeout=120, check=False)
    assert ended.returncode == -9
    assert len(hive.alive(run)) == 4


def test_a_look_under_way_at_the_end_takes_nobody_for_lost(make_plan, hive_launcher, start):
    """A service that answers slowly may say that all have ended, as they were told to."""
    launcher = hive_launcher()
    fleet, client = start(make_plan(1), launcher, workers=1)
    poll, asked, seen = launcher.poll, threading.Event(), {}

    async def answer_late():
        asked.set()
        while not seen or any(member.state != "stopped" for member in seen.values()):
            seen.update({member.name: member for member in await poll()})
            await asyncio.sleep(0.05)
        return list(seen.values())

    launcher.poll = answer_late
    assert asked.wait(60)
    client.close()
    fleet.close()

    kinds = {event.kind for event in fleet.sink.events}
    assert "worker.stopped" in kinds
    assert not kinds & {"worker.lost", "worker.failed", "scheduler.lost"}
