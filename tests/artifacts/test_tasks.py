"""Calls on workers store artifacts: themselves where they can, else by way of the driver."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed import wait

import scalable
from scalable import ScalableSession, store_artifact
from scalable_core.artifacts.task import PIECE, folder_mark
from scalable_core.errors import ArtifactError, UsageError

MANIFEST = """\
version: 1
project: {name: study}
targets:
  processes: {provider: local, max_workers: 2}
  threads: {provider: local, max_workers: 2, processes: false}
components:
  model: {cpus: 1}
tasks:
  simulate: {component: model, retries: 2}
  write: {component: model, outputs: ["out/{year}.csv", "maps/{year}"]}
  kept: {component: model, cache: true, outputs: ["kept/{year}.csv"]}
overlays:
  memory: {project: {default_storage: "memory://artifacts-of-tasks"}}
  bare: {components: {model: {preload_script: bare.py}}}
"""

#: Makes a worker of an image that has only what Dask needs.
BARE = "import sys\nfor name in ('attr', 'attrs', 'cattrs', 'pluggy'): sys.modules[name] = None\n"


@pytest.fixture(scope="module", params=["processes", "memory", "bare", "threads"])
def session(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ScalableSession]:
    """A started session whose workers write themselves, or cannot and have the driver write, or are threads.

    They cannot write to a place in the driver's memory, nor without plugins.
    """
    folder = tmp_path_factory.mktemp("tasks")
    (folder / "bare.py").write_text(BARE)
    (folder / "scalable.yaml").write_text(MANIFEST)
    here = os.getcwd()
    os.chdir(folder)
    way = request.param
    session = ScalableSession.from_yaml(
        "scalable.yaml",
        target="threads" if way == "threads" else "processes",
        overlays=[way] if way in ("memory", "bare") else [],
    )
    session.start()
    yield session
    session.close()
    os.chdir(here)


def rows(session: ScalableSession) -> dict[str, dict[str, object]]:
    """The rows of the run's records, by name; each name must be there once."""
    lines = (session.run_dir / "artifacts.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in lines]
    assert len({row["name"] for row in found}) == len(found)
    return {row["name"]: row for row in found}


def test_a_call_stores_and_the_driver_knows_who_made_it(
    session: ScalableSession, tmp_path: Path
) -> None:
    """The reference comes back with task and component, and the row is there when the call has ended."""

    def work(year: int) -> object:
        return store_artifact(f"results/{year}.json", {"year": year})

    client = session.client
    assert client is not None
    refs = client.gather(client.map(work, range(2000, 2010), task="simulate"))

    found = rows(session)
    for year, ref in zip(range(2000, 2010), refs, strict=True):
        assert (ref.task, ref.component, ref.run) == ("simulate", "model", session.run_id)
        assert found[f"results/{year}.json"]["digest"] == ref.digest
    path = session.artifacts.fetch("results/2005.json", tmp_path / "back.json")
    assert json.loads(path.read_text()) == {"year": 2005}


def test_what_is_larger_than_a_piece_arrives_whole(
    session: ScalableSession, tmp_path: Path
) -> None:
    """Bytes and files of several pieces, and of none."""

    def work(folder: str, size: int) -> str:
        data = os.urandom(size)
        (Path(folder) / "file").write_bytes(data)
        store_artifact(f"large/{size}", data)
        store_artifact(f"large/{size}-file", Path(folder) / "file")
        return hashlib.sha256(data).hexdigest()

    client = session.client
    assert client is not None
    for size in (0, PIECE, 2 * PIECE + 17):
        digest = client.submit(work, str(tmp_path), size, task="simulate").result(timeout=120)
        for name in (f"large/{size}", f"large/{size}-file"):
            (ref,) = session.artifacts.find(name)
            assert (ref.size, ref.digest) == (size, f"sha256:{digest}")
            path = session.artifacts.fetch(name, tmp_path / "back", overwrite=True)
            assert path.stat().st_size == size


def test_a_call_that_is_tried_again_may_store_the_same_again(session: ScalableSession) -> None:
    """Its artifact has one row; other bytes under the name are an error."""
    client = session.client
    assert client is not None

    def again(folder: str, text: str) -> str:
        ref = store_artifact("again.txt", text)
        marker = Path(folder) / "tried"
        if not marker.exists():
            marker.touch()
            raise OSError("a transient failure")
        return ref.uri

    future = client.submit(again, str(session.run_dir), "same", task="simulate")
    assert future.result(timeout=120) == rows(session)["again.txt"]["uri"]
    with pytest.raises(ArtifactError, match="exists already"):
        client.submit(store_artifact, "again.txt", "other", task="simulate", retries=0).result()
    with pytest.raises(ArtifactError, match="exists already"):
        session.store_artifact("again.txt", "same")


def test_of_200_calls_that_store_one_name_exactly_one_wins(session: ScalableSession) -> None:
    """The others are told, and the bytes are those of the one."""
    client = session.client
    assert client is not None
    futures = [
        client.submit(store_artifact, "one.txt", f"call {i}", task="simulate", retries=0)
        for i in range(200)
    ]
    wait(futures, timeout=120)

    (winner,) = [i for i, future in enumerate(futures) if future.status == "finished"]
    expected = hashlib.sha256(f"call {winner}".encode()).hexdigest()
    assert rows(session)["one.txt"]["digest"] == f"sha256:{expected}"
    assert [check.problem for check in session.artifacts.verify("one.txt")] == [None]
    with pytest.raises(ArtifactError, match="exists already"):
        futures[(winner + 1) % 200].result()


def test_outputs_are_stored_by_themselves(session: ScalableSession, tmp_path: Path) -> None:
    """Each call's file and folder, under the names that its arguments give them."""
    client = session.client
    assert client is not None

    def write(year: int) -> None:
        Path("out").mkdir(exist_ok=True)
        Path(f"out/{year}.csv").write_text(f"year\n{year}\n")
        Path(f"maps/{year}/deep").mkdir(parents=True, exist_ok=True)
        Path(f"maps/{year}/a.bin").write_bytes(b"a")
        Path(f"maps/{year}/deep/b.bin").write_bytes(b"b")

    client.gather(client.map(write, [1, 2, 3], task="write"))

    found = {name: row for name, row in rows(session).items() if row["task"] == "write"}
    assert sorted(found) == sorted(
        name
        for y in (1, 2, 3)
        for name in (f"out/{y}.csv", f"maps/{y}/a.bin", f"maps/{y}/deep/b.bin")
    )
    session.artifacts.fetch("out", tmp_path / "out")
    assert (tmp_path / "out/2.csv").read_text() == "year\n2\n"


def test_a_missing_output_fails_its_call(session: ScalableSession) -> None:
    """The sentence names the file."""
    client = session.client
    assert client is not None
    with pytest.raises(ArtifactError, match=r"its output out/77.csv is not in"):
        client.submit(lambda year: None, 77, task="write").result(timeout=120)


def test_a_kept_call_stores_its_outputs_when_it_runs(session: ScalableSession) -> None:
    """A result is kept only once its outputs are stored."""
    client = session.client
    assert client is not None

    def keep(year: int) -> int:
        Path("kept").mkdir(exist_ok=True)
        Path(f"kept/{year}.csv").write_text("x")
        return year

    assert client.gather(client.map(keep, [5, 6], task="kept")) == [5, 6]
    assert {"kept/5.csv", "kept/6.csv"} <= set(rows(session))


def test_a_value_that_does_not_fit_is_an_error_of_the_call(session: ScalableSession) -> None:
    """The same sentence as in the driver, from wherever the bytes are written."""
    client = session.client
    assert client is not None
    for name, value in (("../x", b""), ("a.npy", [1]), ("b.json", {1})):
        future = client.submit(store_artifact, name, value, task="simulate", retries=0)
        with pytest.raises(ArtifactError, match=r"artifact|name"):
            future.result(timeout=120)


def test_the_public_function_means_the_one_session_of_the_driver(session: ScalableSession) -> None:
    """The workflow has stored it, no task."""
    name = "from-the-workflow.txt"
    client = session.client
    assert client is not None

    assert store_artifact(name, "text").task is None
    assert client.store_artifact(f"client-{name}", "text").name == f"client-{name}"
    assert {name, f"client-{name}"} <= set(rows(session))


@pytest.mark.parametrize("storage", ["", "memory"])
def test_a_worker_that_is_killed_while_storing_leaves_no_artifact(
    tmp_path: Path, storage: str
) -> None:
    """The call is tried elsewhere, and stores it whole."""
    (tmp_path / "scalable.yaml").write_text(MANIFEST)
    session = ScalableSession.from_yaml(
        tmp_path / "scalable.yaml",
        target="processes",
        overlays=[storage] if storage else [],
    )

    def work(folder: str, storage: str) -> str:
        """The first attempt is killed while its bytes are on their way."""
        import os
        import signal
        import threading
        import time

        file, marker = Path(folder) / "large", Path(folder) / "tried"

        def kill() -> None:
            parts = Path(folder, ".scalable", "artifacts")
            while not storage and not any(p.stat().st_size > 2**20 for p in parts.rglob("*.part")):
                time.sleep(0.001)
            time.sleep(0.2 if storage else 0)
            os.kill(os.getpid(), signal.SIGKILL)

        if not marker.exists():
            with file.open("wb") as out:
                out.truncate(300_000_000)
            marker.touch()
            threading.Thread(target=kill).start()
        return str(store_artifact("a.bin", file).digest)

    with session as client:
        future = client.submit(work, str(tmp_path), storage, task="simulate")
        assert future.result(timeout=120) == rows(session)["a.bin"]["digest"]
        assert [check.problem for check in session.artifacts.verify()] == [None]
    attempts = (session.run_dir / "tasks.jsonl").read_text()
    assert '"state":"lost"' in attempts


def test_outside_of_a_run_the_function_says_so() -> None:
    """One sentence with the cure."""
    code = "import scalable; scalable.store_artifact('a.txt', 'x')"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert "UsageError: 'a.txt' cannot be stored: no run is going on" in done.stderr
    assert "call this inside a task" in done.stderr


def test_a_coroutine_is_told_how_to_store(tmp_path: Path) -> None:
    """It would hold up its worker; in a thread it may."""
    (tmp_path / "scalable.yaml").write_text(MANIFEST)

    async def direct() -> None:
        store_artifact("a.txt", "x")

    async def in_a_thread() -> str:
        import asyncio

        return (await asyncio.to_thread(store_artifact, "a.txt", "x")).name

    with ScalableSession.from_yaml(tmp_path / "scalable.yaml", target="processes") as client:
        with pytest.raises(UsageError, match="cannot be stored in a coroutine"):
            client.submit(direct, task="simulate", retries=0).result(timeout=120)
        assert client.submit(in_a_thread).result(timeout=120) == "a.txt"
        with pytest.raises(UsageError, match="coroutine function"):
            client.submit(direct, task="write")


def test_a_bare_worker_can_import_what_it_needs() -> None:
    """An image has neither attrs nor plugins: the function, the outputs and the relay import without."""
    code = (
        "import sys\n"
        "for name in ('attr', 'attrs', 'cattrs', 'pluggy', 'ruamel'): sys.modules[name] = None\n"
        "from scalable import store_artifact\n"
        "import scalable_core.artifacts.outputs, scalable_core.artifacts.relay\n"
        "from scalable_core.artifacts.task import _plugins, as_reference\n"
        "print(_plugins(), as_reference({'uri': 'a'}).uri)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout == "None a\n"


def test_a_folder_of_the_same_name_elsewhere_is_another(tmp_path: Path) -> None:
    """A worker writes itself only into the driver's own folder, which may not be there yet."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()

    assert folder_mark(str(tmp_path / "a/x/y")) == folder_mark(str(tmp_path / "a"))
    assert folder_mark(str(tmp_path / "a")) != folder_mark(str(tmp_path / "b"))


def test_the_list_beside_the_artifacts_is_there_before_the_run_ends(tmp_path: Path) -> None:
    """Soon after the first artifact, and once more at the end."""
    (tmp_path / "scalable.yaml").write_text(MANIFEST)
    session = ScalableSession.from_yaml(tmp_path / "scalable.yaml", target="threads")
    index = tmp_path / ".scalable/artifacts" / session.run_id / "artifacts.json"
    with session:
        session.store_artifact("a.txt", "x")
        end = time.monotonic() + 60
        while not index.exists():
            assert time.monotonic() < end
            time.sleep(0.05)
        session.store_artifact("b.txt", "x")

    document = json.loads(index.read_text())
    assert document["schema"] == "scalable.artifacts/1"
    assert (document["project"], document["run"]) == ("study", session.run_id)
    assert [row["name"] for row in document["artifacts"]] == ["a.txt", "b.txt"]
    assert scalable.ArtifactRef(**document["artifacts"][0]).task is None
