"""What happens when workers die."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
import types

import pytest


def die_once(marker):
    """A call that kills its worker the first time it runs."""

    def call():
        import pathlib

        if not pathlib.Path(marker).exists():
            pathlib.Path(marker).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return "done"

    return call


def killer(count_file):
    """A call that always kills its worker, and counts how often."""

    def call():
        with open(count_file, "a") as count:
            count.write("x")
        os.kill(os.getpid(), signal.SIGKILL)

    return call


def test_a_killed_worker_is_replaced_and_its_call_runs_again(
    start, make_plan, tmp_path, wait_until
):
    """The run goes on, the worker has its old name, and the event says how it ended."""
    cluster, client = start(make_plan())

    assert client.submit(die_once(str(tmp_path / "died"))).result(timeout=60) == "done"
    wait_until(lambda: cluster.observed == {"analysis-0"})
    assert cluster.sink.texts("worker.lost") == [
        "worker analysis-0 was ended by signal 9 (SIGKILL); another takes its place"
    ]


def test_a_call_that_kills_three_workers_fails_with_the_reason(start, make_plan, group, tmp_path):
    """It is tried three times, not for ever."""
    from distributed import KilledWorker

    _, client = start(make_plan(group(maximum=2)))

    with pytest.raises(KilledWorker, match="3 different workers"):
        client.submit(killer(str(tmp_path / "count"))).result(timeout=120)
    assert (tmp_path / "count").read_text() == "xxx"


def test_a_call_that_kills_workers_takes_no_other_call_along(start, make_plan, group, tmp_path):
    """Calls that only waited on the workers that died are finished, however many died."""
    from distributed import KilledWorker

    from scalable_core.cluster import task_resource

    _, client = start(make_plan(group(maximum=2)))
    resources = task_resource("analysis")

    # First for certain: what ends just before it on its worker is not known to have ended, and may be blamed.
    bad = client.submit(killer(str(tmp_path / "count")), resources=resources, priority=1)
    good = client.map(lambda i: i + 1, range(100), resources=resources)

    assert list(range(1, 101)) == client.gather(good)
    assert isinstance(bad.exception(timeout=120), KilledWorker)


def test_a_call_that_needs_too_much_memory_is_ended_and_reported(
    start, make_plan, group, wait_until
):
    """The worker is ended at its limit, three times, and the events say how much it used."""
    from distributed import KilledWorker

    cluster, client = start(make_plan(group(memory=256 * 2**20)))

    def greedy():
        import time

        hoard = []
        while True:
            hoard.append(b"x" * 10 * 2**20)
            time.sleep(0.02)

    with pytest.raises(KilledWorker):
        client.submit(greedy).result(timeout=120)
    wait_until(lambda: len(cluster.sink.texts("worker.lost")) == 3)
    assert all("of its 256M of memory" in text for text in cluster.sink.texts("worker.lost"))


def test_a_worker_that_the_kernel_ends_for_its_memory_is_told_apart(
    start, make_plan, group, tmp_path, wait_until, monkeypatch
):
    """The kernel counts whom it ends for memory; a kill without such a count is just a kill."""
    from scalable_local import losses

    counts = tmp_path / "vmstat"
    counts.write_text("pgfault 7\noom_kill 3\n")
    monkeypatch.setattr(losses, "VMSTAT", counts)
    monkeypatch.setattr(losses, "CONTROL_GROUPS", tmp_path / "none")
    cluster, client = start(make_plan(group(memory=512 * 2**20)))

    def lost():
        return [event for event in cluster.sink.events if event.kind == "worker.lost"]

    def kill():
        (worker,) = cluster.scheduler.workers.values()
        os.kill(worker.pid, signal.SIGKILL)

    kill()
    wait_until(lambda: len(lost()) == 1)
    client.wait_for_workers(1, timeout=120)
    wait_until(lambda: cluster.observed == {"analysis-0"})
    counts.write_text("pgfault 9\noom_kill 4\n")
    kill()
    wait_until(lambda: len(lost()) == 2)

    first, second = lost()
    assert first.data == {"worker": "analysis-0"}
    assert second.data["reason"] == "memory"
    assert second.data["limit"] == 512 * 2**20
    assert "of its 512M of memory" in second.message


def test_a_process_says_in_the_end_how_much_it_held():
    """More than this process ever did, so that it cannot be what it began with."""
    from scalable_local.losses import wait_with_peak

    mine = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    code = f"data = b'x' * {mine + 50 * 2**20}"

    assert wait_with_peak(subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])) == (
        3,
        None,
    )
    done, peak = wait_with_peak(subprocess.Popen([sys.executable, "-c", code]))
    assert done == 0
    assert peak is not None
    assert mine + 50 * 2**20 <= peak <= mine + 150 * 2**20


@pytest.mark.parametrize(
    ("code", "more", "peak", "limit", "for_memory"),
    [
        (-9, 1, None, None, True),
        (137, 1, None, 100, True),
        (-9, 0, 100, 100, True),
        (-9, 0, 99, 100, False),
        (-9, 0, None, 100, False),
        (-15, 1, 100, 100, False),
        (1, 1, 100, 100, False),
    ],
)
def test_what_counts_as_ended_for_memory(
    tmp_path, monkeypatch, code, more, peak, limit, for_memory
):
    """A SIGKILL that nobody of ours sent, and the kernel's word or more than the limit held."""
    from scalable_local import losses

    monkeypatch.setattr(losses, "VMSTAT", tmp_path / "vmstat")
    monkeypatch.setattr(losses, "CONTROL_GROUPS", tmp_path / "none")
    (tmp_path / "vmstat").write_text(f"oom_kill {3 + more}\n")

    assert losses.was_killed_for_memory(code, 3, peak, limit) is for_memory


def test_results_lost_with_a_worker_are_computed_again(start, make_plan, group, wait_until):
    """A result that only the dead worker had is there again when it is asked for."""
    _, client = start(make_plan(group(maximum=2)))
    futures = client.map(lambda i: i * i, range(20))
    client.gather(futures)

    pid = next(iter(client.run(os.getpid).values()))
    os.kill(pid, signal.SIGKILL)

    assert [i * i for i in range(20)] == client.gather(futures)


def test_a_bad_preload_script_ends_the_calls_with_the_reason(start, make_plan, group, tmp_path):
    """After a few attempts the calls that wait, and those that come later, fail with what went wrong."""
    from scalable_core.errors import ClusterError

    script = tmp_path / "prepare.py"
    script.write_text("raise RuntimeError('no licence for the model')\n")
    cluster, client = start(make_plan(group(preload_script=str(script), maximum=2)), workers=False)
    cluster.request_workers()

    for call in (client.submit(abs, -1), *client.map(abs, range(50))):
        with pytest.raises(
            ClusterError, match=r"'analysis' could be started.*no licence for the model"
        ):
            call.result(timeout=120)
    with pytest.raises(ClusterError, match="no licence"):
        client.submit(abs, -2).result(timeout=60)
    assert len(cluster.sink.texts("worker.failed")) == 1
    assert len(cluster.sink.texts("worker.given_up")) == 2
    assert len(cluster.sink.texts("group.failed")) == 1


def test_a_group_that_cannot_start_does_not_stop_the_others(start, make_plan, group, tmp_path):
    """Calls on the other component, and calls on any, still run."""
    from scalable_core.cluster import task_resource
    from scalable_core.errors import ClusterError

    script = tmp_path / "prepare.py"
    script.write_text("raise SystemExit(3)\n")
    plan = make_plan(group("bad", preload_script=str(script)), group("good"))
    cluster, client = start(plan, workers=False)
    cluster.request_workers()

    with pytest.raises(ClusterError, match=r"'bad'.*ended with exit code 3 before it was ready"):
        client.submit(abs, -1, resources=task_resource("bad")).result(timeout=120)
    assert client.submit(abs, -2, resources=task_resource("good")).result(timeout=60) == 2
    assert client.submit(abs, -3).result(timeout=60) == 3


def test_a_group_that_could_not_start_can_be_tried_again(start, make_plan, group, tmp_path):
    """Once the cause is mended, ``cluster.scale`` brings the workers."""
    script = tmp_path / "prepare.py"
    script.write_text("raise RuntimeError('not yet')\n")
    cluster, client = start(make_plan(group(preload_script=str(script))), workers=False)
    cluster.request_workers()
    assert client.submit(abs, -1).exception(timeout=120) is not None

    script.write_text("")
    cluster.scale(1)

    assert client.submit(abs, -2).result(timeout=60) == 2


def test_closing_does_not_wait_for_a_worker_that_never_starts(
    start, make_plan, group, tmp_path, wait_until
):
    """A preload script that hangs is ended with the cluster."""
    import psutil

    script = tmp_path / "prepare.py"
    script.write_text(
        f"import os, time\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\ntime.sleep(1000)\n"
    )
    cluster, client = start(make_plan(group(preload_script=str(script))), workers=False)
    cluster.request_workers()
    pid = wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())

    client.close()
    cluster.close()

    assert not psutil.pid_exists(int(pid))


def test_a_nanny_that_is_gone_is_replaced(start, make_plan, wait_until):
    """Should the part that watches a worker close, both are made anew."""
    cluster, client = start(make_plan())
    before = client.submit(os.getpid, pure=False).result(timeout=60)

    cluster.sync(cluster.workers["analysis-0"].member.close)

    assert before != client.submit(os.getpid, pure=False).result(timeout=60)


def test_closing_does_not_wait_for_a_call_that_runs(start, make_plan, tmp_path, wait_until):
    """The process of a call that never ends is gone when ``close`` returns, with what it had started."""
    import psutil

    cluster, client = start(make_plan())
    folder = str(tmp_path)

    def endless():
        import pathlib
        import subprocess
        import time

        child = subprocess.Popen(["sleep", "1000"])
        pathlib.Path(folder, "pids").write_text(f"{os.getpid()} {child.pid}")
        time.sleep(1000)

    future = client.submit(endless)
    pids = wait_until(
        lambda: (tmp_path / "pids").exists() and (tmp_path / "pids").read_text().split()
    )
    client.close()
    cluster.close()

    wait_until(lambda: not any(psutil.pid_exists(int(pid)) for pid in pids))
    assert future is not None


def test_a_worker_that_ends_just_as_it_is_ready_is_replaced(
    start, make_plan, group, tmp_path, monkeypatch
):
    """Its end comes before its nanny has noted that it runs; nothing waits for it for ever."""
    from scalable_local.process import WorkerProcess

    begin, mark = WorkerProcess.start, tmp_path / "mark"

    async def begin_and_end(self):
        status = await begin(self)
        if not mark.exists():
            mark.touch()
            os.kill(self.pid, signal.SIGKILL)
            time.sleep(0.5)  # its end is the next thing that the loop hears of
        return status

    monkeypatch.setattr(WorkerProcess, "start", begin_and_end)
    _, client = start(make_plan(group()))

    assert client.submit(lambda: 1).result(timeout=120) == 1
    assert mark.exists()


def test_a_call_that_workers_cannot_read_ends_with_an_error(start, make_plan, group, monkeypatch):
    """It breaks a worker's connection; the worker is replaced, and after the third one nobody waits."""
    from distributed import KilledWorker

    from scalable_core.errors import ClusterError

    module = types.ModuleType("only_here")
    exec("def call(): return 1", module.__dict__)
    monkeypatch.setitem(sys.modules, "only_here", module)
    _, client = start(make_plan(group()))

    error = client.submit(module.call).exception(timeout=200)

    assert isinstance(error, (KilledWorker, ClusterError))
