"""A session runs a workflow's calls on the workers of its manifest, and records how it ended."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scalable import ScalableSession
from scalable_core.errors import ArtifactError, UsageError

THREADS = """\
version: 1
project: {name: study}
targets:
  local: {provider: local, max_workers: 2, processes: false}
components:
  analysis: {cpus: 1, memory: 256M}
tasks:
  run_analysis: {component: analysis}
"""

PROCESSES = """\
version: 1
project: {name: study}
targets:
  local: {provider: local, max_workers: 2}
components:
  small: {cpus: 1, memory: 512M, env: {SIZE: small}}
  large: {cpus: 1, memory: 600M, env: {SIZE: large}}
tasks:
  sow: {component: small, retries: 2}
  reap: {component: large, timeout: 60s}
"""


@pytest.fixture
def threads(tmp_path: Path) -> Path:
    """A manifest whose workers are threads."""
    path = tmp_path / "scalable.yaml"
    path.write_text(THREADS)
    return path


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScalableSession]:
    """A started session with two components whose workers are processes."""
    path = tmp_path_factory.mktemp("processes") / "scalable.yaml"
    path.write_text(PROCESSES)
    session = ScalableSession.from_yaml(path)
    session.start()
    yield session
    session.close()


def square(x: int) -> int:
    """The smallest work."""
    return x * x


def run_json(session: ScalableSession) -> dict[str, object]:
    """The record of a session as it lies on disk."""
    return json.loads((session.run_dir / "run.json").read_text())


def test_calls_run_and_the_run_is_recorded(threads: Path) -> None:
    """The whole way of a user: manifest, client, results, record."""
    session = ScalableSession.from_yaml(threads, target="local")
    with session as client:
        futures = [client.submit(square, i, task="run_analysis", retries=3) for i in range(20)]

        assert client.gather(futures) == [i * i for i in range(20)]

    record = run_json(session)
    assert (record["status"], record["schema"]) == ("done", "scalable.run/1")
    assert record["tasks"] == {"total": 20, "done": 20, "failed": 0, "cached": 0}
    assert json.loads((session.run_dir / "plan.json").read_text())["lock"] == session.plan().lock


def test_no_worker_is_there_before_the_first_call(threads: Path) -> None:
    """Workers are asked for when they are needed."""
    with ScalableSession.from_yaml(threads) as client:
        time.sleep(0.3)
        assert client.scheduler_info()["workers"] == {}
        assert client.submit(square, 3).result(timeout=60) == 9
        client.wait_for_workers(2, timeout=60)


def test_an_eager_start_asks_for_the_workers_at_once(threads: Path) -> None:
    """All max_workers workers come without a call."""
    session = ScalableSession.from_yaml(threads)
    client = session.start(eager=True)
    deadline = time.monotonic() + 60
    while session.progress().workers < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    workers = session.progress().workers
    client.scheduler_info()
    session.close()

    assert workers == 2


def test_an_unknown_task_or_component_raises_at_once_and_starts_nothing(threads: Path) -> None:
    """A slip never waits for workers that will not come."""
    session = ScalableSession.from_yaml(threads)
    with session as client:
        with pytest.raises(
            UsageError, match=r"no task 'run_analysi'.*\n.*did you mean 'run_analysis'"
        ):
            client.submit(square, 1, task="run_analysi")
        with pytest.raises(UsageError, match="no component 'gpu'; it has: analysis"):
            client.map(square, [1], tag="gpu")
        with pytest.raises(UsageError, match="runs on component 'analysis'"):
            client.submit(square, 1, task="run_analysis", tag="other")

        assert session.progress().added == 0


def test_a_failed_call_runs_again_when_it_is_submitted_again(threads: Path, tmp_path: Path) -> None:
    """A failure is not kept as if it were a result."""
    gate = tmp_path / "gate"

    def through_the_gate(x: int) -> int:
        if not gate.exists():
            raise RuntimeError("closed")
        return x

    with ScalableSession.from_yaml(threads) as client:
        first = client.submit(through_the_gate, 1, task="run_analysis")
        several = client.map(through_the_gate, [2, 3], task="run_analysis")
        with pytest.raises(RuntimeError, match="closed"):
            first.result(timeout=60)
        for future in several:
            assert future.exception(timeout=60) is not None
        gate.touch()

        assert client.submit(through_the_gate, 1, task="run_analysis").result(timeout=60) == 1
        again = client.map(through_the_gate, [2, 3], task="run_analysis")
        assert client.gather(again) == [2, 3]
        assert first.status == "error"


def test_keys_start_with_the_name_of_the_task(threads: Path) -> None:
    """Dashboards, logs and counts speak of tasks, not of functions."""
    session = ScalableSession.from_yaml(threads)
    with session as client:
        one = client.submit(square, 1, task="run_analysis")
        many = client.map(square, range(3), task="run_analysis")
        client.gather([one, *many])

        assert all(future.key.startswith("run_analysis-") for future in [one, *many])
        assert set(session.progress().tasks) == {"run_analysis"}


def test_an_exception_in_the_block_makes_the_run_failed(threads: Path) -> None:
    """The record says what happened, and the exception passes through."""
    session = ScalableSession.from_yaml(threads)
    with pytest.raises(ZeroDivisionError), session:
        _ = 1 / 0

    assert run_json(session)["status"] == "failed"
    assert run_json(session)["error"] == "ZeroDivisionError: division by zero"


def test_ctrl_c_in_the_block_makes_the_run_interrupted(threads: Path) -> None:
    """An interrupted run is told apart from a failed one."""
    session = ScalableSession.from_yaml(threads)
    with pytest.raises(KeyboardInterrupt), session:
        raise KeyboardInterrupt

    assert run_json(session)["status"] == "interrupted"


def test_a_session_is_closed_twice_and_started_once(threads: Path) -> None:
    """Closing again does nothing; starting again is refused."""
    session = ScalableSession.from_yaml(threads)
    session.start()
    with pytest.raises(UsageError, match="started before"):
        session.start()
    session.close()
    session.close()


def test_artifacts_are_kept_under_the_run_and_never_overwritten(threads: Path) -> None:
    """The reference says where it is, what it is and who made it."""
    session = ScalableSession.from_yaml(threads)
    with session:
        ref = session.store_artifact("results/a.json", {"yield": 1.5})
        with pytest.raises(ArtifactError):
            session.store_artifact("results/a.json", {"yield": 2})

    path = Path(ref.uri.removeprefix("file://"))
    assert (
        path == threads.parent / ".scalable" / "artifacts" / session.run_id / "results" / "a.json"
    )
    assert json.loads(path.read_text()) == {"yield": 1.5}
    assert (ref.size, ref.run) == (path.stat().st_size, session.run_id)
    rows = (session.run_dir / "artifacts.jsonl").read_text().splitlines()
    assert [json.loads(row)["uri"] for row in rows] == [ref.uri]


def test_no_env_file_is_loaded(threads: Path) -> None:
    """The environment is what the user's shell says, nothing else."""
    (threads.parent / ".env").write_text("FROM_DOT_ENV=1\n")
    with ScalableSession.from_yaml(threads) as client:
        assert client.submit(os.environ.get, "FROM_DOT_ENV").result(timeout=60) is None


def worker_facts() -> tuple[str, str]:
    """What a call sees of its worker."""
    from distributed import get_worker

    return os.environ["SIZE"], str(get_worker().name)


def test_a_task_runs_on_the_workers_of_its_component(processes: ScalableSession) -> None:
    """Component env applies, and routing by task and by tag agree."""
    client = processes.client
    assert client is not None
    sown = client.map(lambda i: worker_facts(), range(6), task="sow", pure=False)
    reaped = client.map(lambda i: worker_facts(), range(6), tag="large", pure=False)

    assert {facts[0] for facts in client.gather(sown)} == {"small"}
    assert {facts[0] for facts in client.gather(reaped)} == {"large"}


def flaky(path: str, failures: int) -> int:
    """Fail a number of times, counted in a file, then give the number of attempts."""
    with Path(path).open("a") as file:
        file.write("x")
    attempts = Path(path).stat().st_size
    if attempts <= failures:
        raise OSError(f"attempt {attempts}")
    return attempts


def test_retries_come_from_the_task_unless_the_call_says_otherwise(
    processes: ScalableSession, tmp_path: Path
) -> None:
    """Two retries of the task are three attempts; the call's own number wins."""
    client = processes.client
    assert client is not None
    assert client.submit(flaky, str(tmp_path / "a"), 2, task="sow").result(timeout=60) == 3
    with pytest.raises(OSError, match="attempt 1"):
        client.submit(flaky, str(tmp_path / "b"), 2, task="sow", retries=0).result(timeout=60)


def test_a_call_that_takes_too_long_is_stopped_and_others_go_on(processes: ScalableSession) -> None:
    """The call's own timeout wins over the task's, and the worker serves again afterwards."""
    from scalable import TaskTimeoutError

    client = processes.client
    assert client is not None
    stuck = client.submit(lambda: time.sleep(1000), task="reap", timeout="1s")
    with pytest.raises(TaskTimeoutError, match="reap"):
        stuck.result(timeout=60)

    assert client.submit(square, 5, task="reap").result(timeout=120) == 25


def test_a_function_with_a_timeout_of_its_own_gets_it(processes: ScalableSession) -> None:
    """Dask's signature keeps its meaning."""
    client = processes.client
    assert client is not None

    def wait(timeout: float) -> float:
        return timeout

    assert client.submit(wait, timeout=7.5).result(timeout=60) == 7.5


def wrong(path: str) -> None:
    """Raise what comes back however often it is tried, and count the attempts in a file."""
    with Path(path).open("a") as file:
        file.write("x")
    raise TypeError("the wrong kind of thing")


def test_a_permanent_failure_is_not_tried_again_unless_the_call_asks(
    processes: ScalableSession, tmp_path: Path
) -> None:
    """A TypeError comes back, so the task's retries are not spent on it."""
    client = processes.client
    assert client is not None
    for name, retries, attempts in (("a", None, 1), ("b", 1, 2)):
        with pytest.raises(TypeError, match="wrong kind"):
            client.submit(wrong, str(tmp_path / name), task="sow", retries=retries).result(60)
        assert (tmp_path / name).stat().st_size == attempts


def test_every_attempt_has_a_row(threads: Path, tmp_path: Path) -> None:
    """Retries and failures are told apart, with the time, the worker and what the call used."""
    session = ScalableSession.from_yaml(threads)
    with session as client:
        assert client.submit(flaky, str(tmp_path / "c"), 1, retries=1).result(timeout=60) == 2
        with pytest.raises(TypeError):
            client.submit(wrong, str(tmp_path / "d")).result(timeout=60)

    def rows(table: str) -> list[dict[str, object]]:
        text = (session.run_dir / f"{table}.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]

    tasks, failures = rows("tasks"), rows("failures")
    assert [(row["task"], row["state"], row["attempt"]) for row in tasks] == [
        ("flaky", "retried", 1),
        ("flaky", "done", 2),
        ("wrong", "failed", 1),
    ]
    done = tasks[1]
    times = [done[name] for name in ("submitted", "queued", "started", "finished")]
    assert times == sorted(times)  # type: ignore[type-var]
    assert float(str(done["cpu"])) >= 0
    assert int(str(done["peak"])) > 2**20
    assert [(row["type"], row["transient"], row["final"]) for row in failures] == [
        ("OSError", True, False),
        ("TypeError", False, True),
    ]


def test_no_row_is_lost_when_the_session_closes_at_once(threads: Path) -> None:
    """The records are whole although close comes right after the last result."""
    session = ScalableSession.from_yaml(threads)
    with session as client:
        client.gather(client.map(square, range(10_000), task="run_analysis"))

    lines = (session.run_dir / "tasks.jsonl").read_text().splitlines()
    assert len({json.loads(line)["key"] for line in lines}) == 10_000
    assert run_json(session)["tasks"] == {"total": 10_000, "done": 10_000, "failed": 0, "cached": 0}


def test_a_run_keeps_its_manifest_its_summary_and_no_secret(
    threads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder of a run can be shown to anybody."""
    monkeypatch.setenv("API_TOKEN", "hunter2-hunter2")
    threads.write_text(
        THREADS.replace("memory: 256M}", "memory: 256M, env: {TOKEN: '${API_TOKEN}'}}")
    )
    session = ScalableSession.from_yaml(threads)
    with session as client:
        token = client.submit(os.environ.get, "TOKEN", task="run_analysis").result(timeout=60)

    texts = [path.read_bytes() for path in session.run_dir.rglob("*") if path.is_file()]
    manifest = (session.run_dir / "manifest.yaml").read_text()
    summary = json.loads((session.run_dir / "summary.json").read_text())
    assert token == "hunter2-hunter2"
    assert not any(b"hunter2" in text for text in texts)
    assert "TOKEN: ${API_TOKEN}" in manifest
    assert "max_workers: 2" in manifest
    assert [(task["task"], task["done"]) for task in summary["tasks"]] == [("run_analysis", 1)]


def end_the_worker(path: str) -> None:
    """Take the worker process down the first time, and do nothing the second."""
    if not Path(path).exists():
        Path(path).touch()
        os._exit(3)


def test_a_lost_worker_is_told_of_the_call_that_ran_and_not_of_those_that_waited(
    tmp_path: Path,
) -> None:
    """Fifty calls wait on the worker that one call takes down: one row says lost."""
    path = tmp_path / "scalable.yaml"
    path.write_text(PROCESSES.replace("max_workers: 2", "max_workers: 2, threads_per_worker: 1"))
    session = ScalableSession.from_yaml(path)
    with session as client:
        first = client.submit(end_the_worker, str(tmp_path / "mark"), task="sow")
        rest = client.map(square, range(50), task="sow")
        client.gather([first, *rest])

    lines = (session.run_dir / "tasks.jsonl").read_text().splitlines()
    states = [json.loads(line)["state"] for line in lines]
    assert states.count("done") >= 51
    assert 1 <= states.count("lost") <= 2
