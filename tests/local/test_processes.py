"""Workers that are processes."""

from __future__ import annotations

import os
import sys


def test_every_worker_is_a_process_of_its_own(start, make_plan, group, meet):
    """Three workers are three processes that run three calls at one time."""
    _, client = start(make_plan(group(maximum=3)))

    assert client.gather([client.submit(meet, i, 3) for i in range(3)]) == [True] * 3
    assert len({os.getpid(), *client.run(os.getpid).values()}) - 1 == 3


def test_each_component_has_its_own_env(start, make_plan, group):
    """Env is per component, and that of one does not reach the other or the driver."""
    from scalable_core.types import Secret

    plan = make_plan(
        group("one", env={"TOKEN": Secret("hush", template="${TOKEN}")}),
        group("two", env={"B": "2"}),
    )
    _, client = start(plan)

    seen = client.run(
        lambda dask_worker: (dask_worker.name, os.environ.get("TOKEN"), os.environ.get("B"))
    )

    assert {("one-0", "hush", None), ("two-0", None, "2")} == set(seen.values())
    assert "TOKEN" not in os.environ


def test_env_is_there_before_python_starts(start, make_plan, group):
    """What the interpreter itself reads at its start holds too."""
    _, client = start(
        make_plan(group(env={"PYTHONDONTWRITEBYTECODE": "1", "LD_LIBRARY_PATH": "/x"}))
    )

    def look():
        with open("/proc/self/environ", "rb") as environ:
            born_with = environ.read().split(b"\0")
        return sys.flags.dont_write_bytecode, b"LD_LIBRARY_PATH=/x" in born_with

    assert client.submit(look).result(timeout=60) == (1, True)


def test_no_secret_is_on_a_command_line(start, make_plan, group):
    """The command line of a worker says nothing about the run."""
    _, client = start(make_plan(group(env={"TOKEN": "hush"})))

    def command_line():
        with open("/proc/self/cmdline", "rb") as command:
            return command.read()

    assert b"hush" not in client.submit(command_line).result(timeout=60)


def test_cpus_are_threads_of_the_worker(start, make_plan, group, meet):
    """A worker of two CPUs runs two calls at one time."""
    _, client = start(make_plan(group(cpus=2.0, threads=2)))

    assert list(client.nthreads().values()) == [2]
    assert client.gather([client.submit(meet, i, 2) for i in range(2)]) == [True] * 2


def test_numeric_libraries_get_the_cpus_that_calls_leave(start, make_plan, group, monkeypatch):
    """With fewer threads than CPUs each call's libraries get the rest, unless the component says otherwise."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    plan = make_plan(
        group("wide", cpus=2.0, threads=1),
        group("own", cpus=2.0, threads=1, env={"OMP_NUM_THREADS": "7"}),
        threads_per_worker=1,
    )
    monkeypatch.setattr("scalable_local.machine.cpu_count", lambda root=None: 8)
    _, client = start(plan)

    seen = client.run(
        lambda dask_worker: (
            dask_worker.name,
            os.environ["OMP_NUM_THREADS"],
            os.environ["OPENBLAS_NUM_THREADS"],
        )
    )

    assert {("wide-0", "2", "2"), ("own-0", "7", "2")} == set(seen.values())


def test_a_workers_folder_is_the_drivers(start, make_plan):
    """Relative paths and modules are found by a call where the driver finds them."""
    _, client = start(make_plan())

    cwd, path = client.submit(lambda: (os.getcwd(), list(sys.path))).result(timeout=60)

    assert os.getcwd() == cwd
    assert set(sys.path) <= set(path)


def test_a_call_may_start_processes_of_its_own(start, make_plan):
    """Workers are no daemons: a call may use multiprocessing."""
    _, client = start(make_plan())

    def pool():
        import concurrent.futures
        import multiprocessing

        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as executor:
            return executor.submit(abs, -3).result()

    assert client.submit(pool).result(timeout=120) == 3


def test_a_call_that_reads_from_the_terminal_gets_nothing(start, make_plan):
    """A call that reads its standard input sees the end of a file, and cannot disturb the worker."""
    _, client = start(make_plan())

    assert client.submit(lambda: sys.stdin.read()).result(timeout=60) == ""


def test_the_preload_script_runs_before_any_call(start, make_plan, group, tmp_path):
    """What the script has set up is there when the first call runs."""
    script = tmp_path / "prepare.py"
    script.write_text("import os\nos.environ['PREPARED'] = 'yes'\n")
    _, client = start(make_plan(group(preload_script=str(script))))

    assert client.submit(lambda: os.environ.get("PREPARED")).result(timeout=60) == "yes"


def test_restart_gives_new_processes(start, make_plan, group):
    """``client.restart()`` replaces the processes and keeps the workers' names."""
    _, client = start(make_plan(group(maximum=2)))
    before = client.run(os.getpid)

    client.restart(timeout=60)
    after = client.run(lambda dask_worker: (dask_worker.name, os.getpid()))

    assert {"analysis-0", "analysis-1"} == {name for name, _ in after.values()}
    assert not set(before.values()) & {pid for _, pid in after.values()}


def test_logs_of_scheduler_and_workers_can_be_read(start, make_plan):
    """``cluster.get_logs()`` works as Dask users expect."""
    cluster, client = start(make_plan())

    logs = cluster.get_logs()

    assert {"Cluster", "Scheduler", *client.scheduler_info()["workers"]} == set(logs)
