"""Records that other machines can read: copied while the run lasts, whole at its end, and never in its way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "testbed"))

from bucket import s3_bucket

from scalable_core.artifacts.storage import FolderStorage
from scalable_core.errors import StorageError, UsageError
from scalable_core.records import RunFolder
from scalable_core.records.folder import read_run
from scalable_core.records.reading import read_history
from scalable_core.records.shared import PIECE, SharedRecords, fetch_run, shared_runs
from scalable_core.session import mirror
from scalable_core.session.storage import StorageOpener
from scalable_core.types import RunRecord

RUN = "run-20231114-221320-brisk-otter-7f3a"
FIELDS = {
    "run": RUN,
    "project": "study",
    "target": "aws",
    "provider": "aws",
    "started": "2023-11-14T22:13:20.000Z",
    "lock": "sha256:0",
    "host": "elsewhere",
}


@pytest.fixture
def storage(tmp_path: Path) -> FolderStorage:
    """The project's storage."""
    return FolderStorage(str(tmp_path / "storage"))


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A run that has just started."""
    return RunFolder(tmp_path / "runs" / RUN, RunRecord(status="running", **FIELDS))


def row(number: int, size: int = 10) -> dict[str, object]:
    """A row of a call."""
    return {"key": f"{number}", "task": "t" * size, "state": "done", "finished": 1.0 * number}


def files(folder: Path) -> dict[str, bytes]:
    """Return the content of a run's files, without the sign of life that only copies have."""
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name != "heartbeat.json"}


def test_a_copy_is_the_same_to_the_byte(
    folder: RunFolder, storage: FolderStorage, tmp_path: Path
) -> None:
    """However often it was sent on the way, and however much came at once."""
    sender = SharedRecords(folder.path, storage)
    folder.write_document("plan.json", {"schema": "scalable.plan/1"})
    for count, size in ((3, 10), (0, 10), (2, PIECE), (40, 300_000), (5, 10)):
        folder.append("tasks", [row(number, size) for number in range(count)])
        sender.send()
    folder.update(status="done", ended="2023-11-14T22:15:00.000Z")
    sender.send()
    copy = fetch_run(storage, RUN, tmp_path / "copies")

    assert files(copy) == files(folder.path)
    assert read_history(copy).record.status == "done"
    assert len(read_history(copy).tasks) == 50


def test_what_is_sent_again_is_bounded(folder: RunFolder, storage: FolderStorage) -> None:
    """A table that grows all day is neither sent whole again and again, nor as one object for each look."""
    sender = SharedRecords(folder.path, storage)
    sent: list[int] = []
    put = storage.put

    def count(key: str, data: bytes) -> None:
        sent.append(len(data))
        put(key, data)

    storage.put = count  # type: ignore[method-assign]
    for _ in range(100):
        folder.append("tasks", [row(0, 20_000)])
        sender.send()

    assert max(sent) <= PIECE + 21_000
    assert sum("tasks" in found.key for found in storage.list("")) <= 2_000_000 / PIECE + 1
    quiet = len(sent)
    sender.send()
    assert len(sent) == quiet


def test_what_could_not_be_sent_is_sent_later(
    folder: RunFolder, storage: FolderStorage, tmp_path: Path
) -> None:
    """Nothing is left out, and nothing is there twice."""
    sender = SharedRecords(folder.path, storage)
    put, fail = storage.put, [False]

    def sometimes(key: str, data: bytes) -> None:
        fail[0] = not fail[0]
        if fail[0]:
            raise StorageError("away")
        put(key, data)

    storage.put = sometimes  # type: ignore[method-assign]
    for number in range(20):
        folder.append("tasks", [row(number, PIECE // 3)])
        folder.append("events", [{"time": number, "kind": "x"}])
        try:
            sender.send()
        except StorageError:
            pass
    storage.put = put  # type: ignore[method-assign]
    sender.send()

    assert files(fetch_run(storage, RUN, tmp_path / "copies")) == files(folder.path)


def test_a_copy_takes_the_place_of_an_earlier_one(
    folder: RunFolder, storage: FolderStorage, tmp_path: Path
) -> None:
    """And leaves nothing else behind."""
    sender = SharedRecords(folder.path, storage)
    sender.send()
    fetch_run(storage, RUN, tmp_path / "copies" / "runs")
    folder.append("tasks", [row(1)])
    sender.send()
    copy = fetch_run(storage, RUN, tmp_path / "copies" / "runs")

    assert len(read_history(copy).tasks) == 1
    assert [path.name for path in (tmp_path / "copies").iterdir()] == ["runs"]
    assert [path.name for path in (tmp_path / "copies" / "runs").iterdir()] == [RUN]


def test_runs_are_listed_and_one_that_is_not_there_is_said(
    folder: RunFolder, storage: FolderStorage, tmp_path: Path
) -> None:
    """Names that lead elsewhere are no runs."""
    SharedRecords(folder.path, storage).send()
    storage.put(".runs/.hidden/run.json", b"{}")

    assert shared_runs(storage) == [RUN]
    with pytest.raises(UsageError, match="run-none"):
        fetch_run(storage, "run-none", tmp_path / "copies")


def test_a_run_elsewhere_that_is_silent_was_interrupted(
    folder: RunFolder, storage: FolderStorage, tmp_path: Path
) -> None:
    """It reads running while it is heard of, and not for ever."""
    SharedRecords(folder.path, storage).send()
    copy = fetch_run(storage, RUN, tmp_path / "copies")
    assert read_run(copy).status == "running"

    storage.put(f".runs/{RUN}/heartbeat.json", json.dumps({"time": time.time() - 400}).encode())
    assert read_run(fetch_run(storage, RUN, tmp_path / "copies")).status == "interrupted"


def test_a_storage_that_cannot_be_written_is_said_once_and_again_at_the_end(
    folder: RunFolder, storage: FolderStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread goes on."""
    monkeypatch.setattr(mirror, "INTERVAL", 0.01)
    monkeypatch.setattr(mirror, "_REST", 0.01)
    said: list[str] = []
    tries: list[int] = []

    def away() -> FolderStorage:
        tries.append(1)
        raise StorageError("no route to the bucket")

    thread = mirror.Mirror(folder.path, "s3://bucket", away, said.append)
    deadline = time.monotonic() + 200
    while len(tries) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(said) == 1
    thread.close()

    assert len(said) == 2
    assert "no route to the bucket" in said[0]
    assert "not whole" in said[1]


MANIFEST = """\
version: 1
project: {{name: study, mirror: {mirror}, default_storage: {storage}}}
targets:
  local: {{provider: local, max_workers: 1}}
components:
  model: {{cpus: 1, env: {{TOKEN: "${{STUDY_TOKEN}}"}}}}
"""

WORKFLOW = """\
import sys, time
from scalable import ScalableSession

with ScalableSession.from_yaml("./scalable.yaml") as client:
    client.gather(client.map(abs, range(20)))
    print("gathered", flush=True)
    if sys.argv[1:]:
        time.sleep(600)
"""


#: The command line, on a machine where the last rows may take longer than a person would wait for them.
PATIENT = """\
from scalable_core.cli import main
from scalable_core.session import mirror

if __name__ == "__main__":
    mirror._PATIENCE = 600.0
    main()
"""


def start(
    folder: Path, *arguments: str, mirror: bool = True, storage: str = ""
) -> subprocess.Popen[str]:
    """Start a run whose records go into a folder, or to where ``storage`` says."""
    folder.mkdir(exist_ok=True)
    storage = storage or (folder / "storage").as_uri()
    text = MANIFEST.format(mirror=str(mirror).lower(), storage=storage)
    (folder / "scalable.yaml").write_text(text)
    (folder / "workflow.py").write_text(WORKFLOW)
    clean = {k: v for k, v in os.environ.items() if not k.startswith("SCALABLE_")}
    return subprocess.Popen(
        [sys.executable, "-c", PATIENT, "run", "--", *arguments],
        cwd=folder,
        env={**clean, "STUDY_TOKEN": "hunter2-9d0c"},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_finished_run_is_in_the_storage_without_its_secrets(tmp_path: Path) -> None:
    """Whole: every file of the run's folder, and no value that the manifest took from the environment."""
    with start(tmp_path) as process:
        process.communicate(timeout=300)
    assert process.returncode == 0
    (run,) = (tmp_path / ".scalable" / "runs").iterdir()
    storage = FolderStorage(str(tmp_path / "storage"))
    copy = fetch_run(storage, run.name, tmp_path / "copies")

    assert files(copy) == {n: d for n, d in files(run).items() if not n.endswith(".html")}
    assert {"run.json", "plan.json", "manifest.yaml", "tasks.jsonl", "summary.json"} <= set(
        files(copy)
    )
    assert read_run(copy).status == "done"
    for found in storage.list(""):
        assert b"hunter2" not in storage.get(found.key), found.key


def test_records_go_to_a_bucket(tmp_path: Path) -> None:
    """Through the plugin of its scheme; what is there is the same to the byte."""
    with s3_bucket() as bucket:
        with start(tmp_path, storage=f"{bucket}/study") as process:
            process.communicate(timeout=300)
        assert process.returncode == 0
        (run,) = (tmp_path / ".scalable" / "runs").iterdir()
        storage = StorageOpener(f"{bucket}/study")()
        assert shared_runs(storage) == [run.name]
        copy = fetch_run(storage, run.name, tmp_path / "copies")

    assert files(copy) == {n: d for n, d in files(run).items() if not n.endswith(".html")}


def test_a_killed_run_is_in_the_storage_up_to_its_last_seconds(tmp_path: Path) -> None:
    """With the rows of all calls that had ended some seconds before."""
    with start(tmp_path, "wait") as process:
        assert process.stdout is not None
        while process.stdout.readline() != "gathered\n":
            pass
        storage = FolderStorage(str(tmp_path / "storage"))
        deadline = time.monotonic() + 200
        while time.monotonic() < deadline:
            rows = [f for f in storage.list("") if "/tasks.jsonl/" in f.key]
            if rows and storage.get(rows[0].key).count(b"\n") == 20:
                break
            time.sleep(0.1)
        process.kill()
    (run,) = shared_runs(storage)
    copy = fetch_run(storage, run, tmp_path / "copies")

    assert len(read_history(copy).tasks) == 20
    assert read_history(copy).record.status == "interrupted"


def test_a_local_run_is_not_copied_unless_that_is_asked_for(tmp_path: Path) -> None:
    """Its records stay on this machine."""
    with start(tmp_path, mirror=False) as process:
        process.communicate(timeout=300)

    assert process.returncode == 0
    assert not (tmp_path / "storage").exists()
