"""A kept result is taken from the store, whoever computed it, and never when it would be wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import as_completed, wait

from scalable import ScalableSession, cacheable
from scalable_core.session.client import ScalableClient

MANIFEST = """\
version: 1
project: {name: study}
targets:
  local: {provider: local, max_workers: 2, processes: false}
components:
  analysis: {cpus: 1, memory: 256M}
tasks:
  kept: {component: analysis, cache: true}
  fresh: {component: analysis}
"""


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """A manifest with a task that keeps its results and one that does not."""
    path = tmp_path / "scalable.yaml"
    path.write_text(MANIFEST)
    return path


def count(path: str) -> int:
    """How often a function that leaves a mark has run."""
    return len(Path(path).read_text()) if Path(path).exists() else 0


def mark(path: str) -> None:
    """Leave a mark."""
    with Path(path).open("a") as file:
        file.write("x")


@cacheable
def double(x: Any, marks: str) -> Any:
    """Twice x."""
    mark(marks)
    return x * 2


def plain(x: int, marks: str) -> int:
    """Thrice x."""
    mark(marks)
    return x * 3


def rows(session: ScalableSession, table: str) -> list[dict[str, Any]]:
    """A table of a run."""
    path = session.run_dir / f"{table}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_second_run_takes_every_result_and_starts_no_worker(
    manifest: Path, tmp_path: Path
) -> None:
    """The futures of the second run are finished at once, and its record says where they came from."""
    marks = str(tmp_path / "marks")
    first = ScalableSession.from_yaml(manifest)
    with first as client:
        assert client.gather([client.submit(double, i, marks) for i in range(5)]) == [0, 2, 4, 6, 8]
    second = ScalableSession.from_yaml(manifest)
    with second as client:
        futures = client.map(double, range(5), marks=marks)
        assert all(future.status == "finished" for future in futures)
        wait(futures, timeout=10)
        assert {future.result() for future in as_completed(futures)} == {0, 2, 4, 6, 8}
        assert client.gather({"a": futures[1], "b": [futures[2]]}) == {"a": 2, "b": [4]}

    assert count(marks) == 5
    assert second.record is not None
    assert second.record.tasks == {"total": 0, "done": 0, "failed": 0, "cached": 5}
    assert second.record.workers == {"added": 0, "lost": 0}
    assert {(row["state"], row["source"]) for row in rows(second, "tasks")} == {
        ("cached", first.run_id)
    }
    assert [row["event"] for row in rows(second, "cache")] == ["hit"] * 5


def test_a_task_of_the_manifest_keeps_the_results_of_plain_functions(
    manifest: Path, tmp_path: Path
) -> None:
    """``cache: true`` is enough; another task of the same function runs."""
    marks = str(tmp_path / "marks")
    for _ in range(2):
        with ScalableSession.from_yaml(manifest) as client:
            assert client.submit(plain, 7, marks, task="kept").result(timeout=60) == 21
            assert client.submit(plain, 7, marks, task="fresh").result(timeout=60) == 21

    assert count(marks) == 3


def test_a_map_computes_only_what_is_not_there(manifest: Path, tmp_path: Path) -> None:
    """Hits and misses come back in the order of the arguments, and equal calls run once."""
    marks = str(tmp_path / "marks")
    with ScalableSession.from_yaml(manifest) as client:
        client.gather(client.map(double, [1, 3], [marks] * 2))
        results = client.gather(client.map(double, [0, 1, 2, 3, 2], [marks] * 5))

    assert results == [0, 2, 4, 6, 4]
    assert count(marks) == 4


def test_a_kept_result_is_an_argument_of_another_call(manifest: Path, tmp_path: Path) -> None:
    """On a worker it is a load from the store, and its key stands for it in the other's key."""
    marks = str(tmp_path / "marks")
    for run in range(2):
        with ScalableSession.from_yaml(manifest) as client:
            inner = client.submit(double, 4, marks)
            assert client.submit(lambda x: x + 1, inner).result(timeout=60) == 9
            outer = client.submit(double, inner, marks)
            assert outer.result(timeout=60) == 16
            assert run == 0 or outer.status == "finished"

    assert count(marks) == 2


def test_a_bypassed_call_neither_takes_nor_keeps(manifest: Path, tmp_path: Path) -> None:
    """``_cache_bypass=True`` leaves the cache out of one call."""
    marks = str(tmp_path / "marks")
    for _ in range(2):
        with ScalableSession.from_yaml(manifest) as client:
            assert client.submit(double, 1, marks, _cache_bypass=True).result(timeout=60) == 2

    assert count(marks) == 2


def test_a_failure_is_not_kept_and_none_is(manifest: Path, tmp_path: Path) -> None:
    """An exception is tried again by the next run; None is a result like any other."""
    marks = str(tmp_path / "marks")

    @cacheable
    def fail(path: str) -> None:
        mark(path)
        raise ValueError("no")

    @cacheable
    def nothing(path: str) -> None:
        mark(path)

    for _ in range(2):
        with ScalableSession.from_yaml(manifest) as client:
            with pytest.raises(ValueError, match="no"):
                client.submit(fail, marks).result(timeout=60)
            assert client.submit(nothing, marks + "2").result(timeout=60) is None

    assert (count(marks), count(marks + "2")) == (2, 1)


def test_a_call_that_cannot_be_keyed_runs_and_says_so_once(
    manifest: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The part is named; nothing is ever taken for something else."""
    marks = str(tmp_path / "marks")
    session = ScalableSession.from_yaml(manifest)

    @cacheable
    def identify(value: Any, path: str) -> str:
        mark(path)
        return type(value).__name__

    with session as client:
        for _ in range(2):
            assert client.submit(identify, object(), marks).result(60) == "object"

    events = [row for row in rows(session, "cache") if row["event"] == "uncacheable"]
    assert len(events) == 1
    assert "value" in events[0]["detail"]
    assert count(marks) == 2


def test_a_damaged_entry_is_computed_again(manifest: Path, tmp_path: Path) -> None:
    """Between the look and the gather the file is altered: the result is right all the same."""
    marks = str(tmp_path / "marks")
    array = np.arange(50_000.0)
    with ScalableSession.from_yaml(manifest) as client:
        client.submit(double, array, marks).result(timeout=60)
    with ScalableSession.from_yaml(manifest) as client:
        future = client.submit(double, array, marks)
        assert future.status == "finished"
        (file,) = (p for p in (tmp_path / ".scalable" / "cache").rglob("*.npy"))
        data = bytearray(file.read_bytes())
        data[-5] ^= 255
        file.chmod(0o644)
        file.write_bytes(bytes(data))
        assert np.array_equal(future.result(timeout=60), array * 2)

    assert count(marks) == 2


def test_results_survive_a_release_and_a_second_look(manifest: Path, tmp_path: Path) -> None:
    """A future that is dropped and asked for again is a hit again."""
    marks = str(tmp_path / "marks")
    with ScalableSession.from_yaml(manifest) as client:
        assert isinstance(client, ScalableClient)
        for _ in range(3):
            assert client.submit(double, 8, marks).result(timeout=60) == 16

    assert count(marks) == 1
