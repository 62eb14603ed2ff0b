"""A call that runs longer than its timeout is stopped, and nothing else is."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dask
import pytest
from dask.tokenize import tokenize
from distributed import Client, KilledWorker, LocalCluster, get_client, get_worker, secede

from scalable_core.errors import TaskTimeoutError
from scalable_core.member.timeout import TimedCall

WAIT = 120


def until(condition: Callable[[], bool]) -> None:
    """Wait for what comes sooner or later."""
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.1)


def open_cluster(n_workers: int) -> LocalCluster:
    """Worker processes with two threads each."""
    return LocalCluster(
        n_workers=n_workers, threads_per_worker=2, dashboard_address=":0", memory_limit=0
    )


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """Two worker processes with two threads each."""
    with open_cluster(2) as cluster, Client(cluster) as client:
        yield client


def test_a_call_in_time_gives_its_result(client: Client) -> None:
    """Arguments go in and the result comes out, with `submit` and with `map`."""

    def add(x: int, y: int = 0) -> int:
        return x + y

    timed = TimedCall(add, 60, "add")

    assert client.submit(timed, 1, y=2).result(WAIT) == 3
    assert client.gather(client.map(timed, range(4), y=10)) == [10, 11, 12, 13]


def test_a_longer_timeout_is_the_same_call() -> None:
    """Dask takes two calls with the same arguments for one, whatever time each has."""
    short, long, other = (
        tokenize(TimedCall(function, seconds, "call"))
        for function, seconds in ((sorted, 1), (sorted, 2), (sum, 1))
    )

    assert short == long != other


def test_a_call_knows_its_worker_and_may_secede(client: Client) -> None:
    """What Dask offers to a running call it offers to a timed one."""

    def nested() -> tuple[str, int]:
        secede()
        inner = get_client().submit(lambda: 41, pure=False).result(WAIT)
        return str(get_worker().get_current_task()), inner + 1

    future = client.submit(TimedCall(nested, WAIT, "nested"))

    assert future.result(WAIT) == (future.key, 42)


def test_an_error_of_the_call_is_its_own(client: Client) -> None:
    """A `TimeoutError` that the function raises is not mistaken for its deadline."""

    def refuse() -> None:
        raise TimeoutError("the server does not answer")

    future = client.submit(TimedCall(refuse, 60, "refuse"))

    with pytest.raises(TimeoutError, match="the server does not answer") as raised:
        future.result(WAIT)
    assert not isinstance(raised.value, TaskTimeoutError)


def test_a_coroutine_is_stopped(client: Client) -> None:
    """An asynchronous function has a deadline too."""

    async def wait() -> None:
        await asyncio.sleep(1000)

    with pytest.raises(TaskTimeoutError, match=r"wait ran longer than its timeout of 0\.2 seconds"):
        client.submit(TimedCall(wait, 0.2, "wait")).result(WAIT)


def test_python_code_is_ended_in_its_process(client: Client, tmp_path: Path) -> None:
    """An endless loop ends, even one that catches every `Exception`; its `finally` runs; the process lives."""
    pids = set(client.run(os.getpid).values())

    def loop() -> None:
        try:
            while True:
                try:
                    time.sleep(0.01)
                except Exception:
                    continue
        finally:
            (tmp_path / "ended").touch()

    with pytest.raises(TaskTimeoutError):
        client.submit(TimedCall(loop, 0.5, "loop")).result(WAIT)

    until((tmp_path / "ended").exists)
    assert set(client.run(os.getpid).values()) == pids


def test_a_call_stuck_in_c_errs_and_its_process_is_replaced(client: Client) -> None:
    """The future errs though the thread notices nothing; other calls and results come to no harm."""

    def draw(i: int) -> float:
        return random.random()

    def work(i: int) -> tuple[int, int]:
        time.sleep(4)
        return i, os.getpid()

    held = client.map(draw, range(8), pure=False)
    values = client.gather(held)
    stuck = client.submit(
        TimedCall(
            lambda: (get_worker().log_event("stuck", os.getpid()), time.sleep(1000)), 1, "stuck"
        )
    )
    others = client.map(work, range(3), pure=False)

    with pytest.raises(TaskTimeoutError, match="stuck ran longer than its timeout of 1 seconds"):
        stuck.result(WAIT)
    pid = client.get_events("stuck")[0][1]

    until(lambda: pid not in client.run(os.getpid).values())
    assert [i for i, _ in client.gather(others)] == [0, 1, 2]
    assert client.gather(held) == values
    until(lambda: len(client.scheduler_info()["workers"]) == 2)


def test_a_retry_follows_a_timeout(client: Client, tmp_path: Path) -> None:
    """Dask's ``retries=`` count a call that was stopped as one that failed."""

    def stuck_at_first() -> str:
        if not (tmp_path / "tried").exists():
            (tmp_path / "tried").touch()
            time.sleep(1000)
        return "done"

    future = client.submit(TimedCall(stuck_at_first, 1, "flaky"), retries=1)

    assert future.result(WAIT) == "done"


def test_the_only_worker_keeps_what_it_holds() -> None:
    """Where results have nowhere to go the worker stays, and its threads are as many as before."""
    with open_cluster(1) as cluster, Client(cluster) as client:
        [pid] = client.run(os.getpid).values()
        [held] = client.scatter([{"what": "is nowhere else"}])

        with pytest.raises(TaskTimeoutError):
            client.submit(TimedCall(time.sleep, 0.5, "stuck"), 1000).result(WAIT)
        numbers = client.gather(client.map(lambda i: i, range(10)))

        assert numbers == list(range(10))
        assert held.result(WAIT) == {"what": "is nowhere else"}
        assert list(client.run(os.getpid).values()) == [pid]


def test_c_code_that_holds_the_interpreter_is_ended_with_its_process() -> None:
    """Nothing in the process runs any more then, so that Dask sees it die."""
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        open_cluster(1) as cluster,
        Client(cluster) as client,
        pytest.raises(KilledWorker),
    ):
        client.submit(TimedCall(sum, 0.5, "sum"), range(10**13)).result(WAIT)


def test_threads_of_the_driver_err_in_time() -> None:
    """Where there is no process to replace the future still errs."""
    with (
        LocalCluster(n_workers=1, processes=False, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        with pytest.raises(TaskTimeoutError):
            client.submit(TimedCall(time.sleep, 0.2, "nap"), 5).result(WAIT)

        assert client.submit(lambda: "still here").result(WAIT) == "still here"
