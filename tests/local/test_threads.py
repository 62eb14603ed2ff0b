"""Workers that are threads of the driver's process."""

from __future__ import annotations

import os


def test_threads_run_in_the_drivers_process_without_a_socket(start, make_plan, group):
    """``processes: false`` runs every call in this process, and Dask listens on no port for it."""
    cluster, client = start(make_plan(group(maximum=2), processes=False))

    pids = client.gather([client.submit(os.getpid, pure=False) for _ in range(8)])

    assert {os.getpid()} == set(pids)
    assert cluster.scheduler_address.startswith("inproc://")


def test_all_workers_run_at_once(start, make_plan, group, meet):
    """Four workers run four calls at one time, also on a machine with fewer CPUs than they want."""
    plan = make_plan(group(maximum=4, cpus=4.0, threads=4, memory=16 * 2**30), processes=False)
    _, client = start(plan)

    assert client.gather([client.submit(meet, i, 4) for i in range(4)]) == [True] * 4


def test_env_holds_for_threads_and_is_undone_at_the_end(start, make_plan, group, monkeypatch):
    """A component's env is set in this process while the cluster lives, and restored afterwards."""
    monkeypatch.setenv("MODEL_MODE", "before")
    plan = make_plan(group(env={"MODEL_MODE": "fast", "MODEL_NEW": "1"}), processes=False)
    cluster, client = start(plan)

    seen = client.submit(lambda: (os.environ["MODEL_MODE"], os.environ["MODEL_NEW"])).result()
    client.close()
    cluster.close()

    assert seen == ("fast", "1")
    assert os.environ["MODEL_MODE"] == "before"
    assert "MODEL_NEW" not in os.environ


def test_groups_with_equal_env_share_the_process(start, make_plan, group):
    """Two components whose env is equal are both threads."""
    env = {"A": "1"}
    _, client = start(make_plan(group("one", env=env), group("two", env=env), processes=False))

    assert {os.getpid()} == set(client.run(os.getpid).values())


def test_a_group_with_another_env_runs_in_processes(start, make_plan, group):
    """Each component sees its own env and not the other's, and the odd one out is a process."""
    plan = make_plan(group("one", env={"A": "1"}), group("two", env={"B": "2"}), processes=False)
    _, client = start(plan)

    def look():
        return os.getpid(), os.environ.get("A"), os.environ.get("B")

    one = client.submit(look, workers="one-0", pure=False).result(timeout=60)
    two = client.submit(look, workers="two-0", pure=False).result(timeout=60)

    assert (os.getpid(), "1", None) == one
    assert two[1:] == (None, "2")
    assert os.getpid() != two[0]


def test_a_group_with_a_timeout_runs_in_processes(start, make_plan, group):
    """A call can only be stopped with its process, so a timeout takes the group out of the threads."""
    _, client = start(make_plan(group(timeout=True), processes=False))

    assert os.getpid() != client.submit(os.getpid).result(timeout=60)


def test_results_larger_than_a_threads_memory_go_to_disk_and_come_back(start, make_plan, group):
    """With threads the memory limit decides what goes to disk; nothing is paused or lost."""
    _, client = start(make_plan(group(memory=128 * 2**20), processes=False))

    futures = client.map(lambda i: bytes([i]) * 30 * 2**20, range(6))
    lengths = client.gather(client.map(len, futures))
    on_disk = client.run(lambda dask_worker: len(dask_worker.data.disk))
    firsts = client.gather(client.map(lambda data: data[0], futures))

    assert lengths == [30 * 2**20] * 6
    assert sum(on_disk.values()) > 0
    assert firsts == [0, 1, 2, 3, 4, 5]


def test_restart_brings_threads_back(start, make_plan, group):
    """``client.restart()`` works with threads too: their workers are made anew."""
    _, client = start(make_plan(group(maximum=2), processes=False))

    client.restart(timeout=60)

    assert len(client.scheduler_info()["workers"]) == 2
    assert client.submit(sum, [1, 2]).result(timeout=60) == 3
