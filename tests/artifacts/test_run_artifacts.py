"""The artifacts of a run: stored whole, found by name, fetched with their digests checked, removed."""

from __future__ import annotations

import json
from pathlib import Path

import fsspec
import pytest

from scalable import ScalableSession
from scalable_core.artifacts.index import latest, place_of, read_index, read_references
from scalable_core.errors import ArtifactError, UsageError
from scalable_core.plugins import PluginHost
from scalable_core.records.past import PastRuns
from scalable_core.session.artifacts import RunArtifacts
from scalable_core.session.stored import note_removal, open_artifacts
from scalable_core.types import HookContext, PastRun, TransferProgress

MANIFEST = """\
version: 1
project: {name: study}
targets:
  local: {provider: local, max_workers: 1, processes: false}
components:
  model: {cpus: 1}
"""


def make(storage: str, **facts: object) -> RunArtifacts:
    """The artifacts of a run of its own."""
    return RunArtifacts(
        storage=storage,
        run="run-1",
        project="study",
        host=PluginHost(),
        context=HookContext,
        **facts,  # type: ignore[arg-type]
    )


@pytest.fixture
def artifacts(tmp_path: Path) -> RunArtifacts:
    """Artifacts in a folder."""
    return make(f"{tmp_path}/storage")


@pytest.fixture
def maps(tmp_path: Path) -> Path:
    """A folder of three files."""
    folder = tmp_path / "maps"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.txt").write_text("aa")
    (folder / "b c.txt").write_text("b")
    (folder / "deep/d.bin").write_bytes(b"\0" * 5)
    return folder


@pytest.mark.parametrize("uri", ["{}/storage", "file://{}/with%20blank", "memory://run-artifacts"])
def test_a_folder_is_stored_and_comes_back(tmp_path: Path, maps: Path, uri: str) -> None:
    """Each file is an artifact; the reference of the folder has the digest of its list."""
    recorded: list[dict[str, object]] = []
    artifacts = make(uri.format(tmp_path), record=recorded.append)

    ref = artifacts.store("out/maps", maps)

    names = ["out/maps/a.txt", "out/maps/b c.txt", "out/maps/deep/d.bin"]
    assert [ref.name for ref in artifacts] == names
    assert sorted(str(row["name"]) for row in recorded) == names
    assert (ref.size, ref.name, ref.media_type) == (8, "out/maps/", "inode/directory")
    assert ref.uri.endswith("/run-1/out/maps/")
    assert {place_of(each) for each in artifacts} == {f"{artifacts.storage}/run-1"}
    back = artifacts.fetch("out/maps", tmp_path / "back")
    assert (back / "b c.txt").read_text() == "b"
    assert (back / "deep/d.bin").read_bytes() == b"\0" * 5
    assert [check.problem for check in artifacts.verify()] == [None] * 3
    artifacts.remove()
    assert artifacts.objects() == []


def test_a_folder_is_stored_whole_or_not_at_all(artifacts: RunArtifacts, maps: Path) -> None:
    """When a name in it is taken, what was stored of it is removed, and what had the name stays."""
    artifacts.store("out/deep/d.bin", b"mine")

    with pytest.raises(ArtifactError, match="exists already"):
        artifacts.store("out", maps)

    there = [each.key for each in artifacts.objects()]
    assert there == ["run-1/artifacts.json", "run-1/out/deep/d.bin"]
    assert [ref.name for ref in artifacts] == ["out/deep/d.bin"]
    artifacts.store("out", maps, overwrite=True)
    assert len(artifacts) == 3


def test_a_file_goes_where_it_is_wanted(
    artifacts: RunArtifacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under its own name here, under a given name, or into a folder that is there."""
    artifacts.store("results/a.txt", "x")
    monkeypatch.chdir(tmp_path)

    assert artifacts.fetch("results/a.txt") == Path("a.txt")
    assert artifacts.fetch("results/a.txt", "new/b.txt") == Path("new/b.txt")
    assert artifacts.fetch("results/a.txt", "new") == Path("new/a.txt")
    assert artifacts.fetch("results") == Path("results")
    for path in ("a.txt", "new/b.txt", "new/a.txt", "results/a.txt"):
        assert Path(path).read_text() == "x"


def test_fetching_writes_over_nothing_else(artifacts: RunArtifacts, tmp_path: Path) -> None:
    """What is there already with the same bytes is left, other bytes are an error unless that is said."""
    artifacts.store("a.txt", "stored")
    target = tmp_path / "a.txt"
    artifacts.fetch("a.txt", target)
    before = target.stat().st_ino

    artifacts.fetch("a.txt", target)
    assert target.stat().st_ino == before
    target.write_text("mine")
    with pytest.raises(ArtifactError, match=r"exists, and is not artifact 'a\.txt'"):
        artifacts.fetch("a.txt", target)
    assert target.read_text() == "mine"
    artifacts.fetch("a.txt", target, overwrite=True)
    assert target.read_text() == "stored"


def test_what_was_altered_cut_or_removed_is_found(artifacts: RunArtifacts, tmp_path: Path) -> None:
    """Each has its own sentence, and fetching it is refused with the two digests."""
    for name in ("altered", "cut", "gone", "whole"):
        artifacts.store(name, name.encode())
    place = tmp_path / "storage/run-1"
    (place / "altered").write_bytes(b"Altered")
    (place / "cut").write_bytes(b"c")
    (place / "gone").unlink()

    checks = {check.ref.name: check for check in artifacts.verify()}

    assert str(checks["altered"].problem).startswith("was changed: its digest is sha256:")
    assert str(checks["cut"].problem).startswith("has 1 bytes, not 3")
    assert checks["gone"].problem == "is not there"
    assert checks["whole"].problem is None
    for name in ("altered", "cut"):
        digest = checks[name].ref.digest
        with pytest.raises(ArtifactError, match=rf"its digest is sha256:\w{{64}}, not {digest}"):
            artifacts.fetch(name, tmp_path / "back")
        assert not (tmp_path / "back").exists()


def test_a_name_that_is_not_there_is_answered_with_one_that_is(artifacts: RunArtifacts) -> None:
    """Names and folders are offered."""
    with pytest.raises(UsageError, match="run-1 has stored no artifacts"):
        artifacts.find("a")
    artifacts.store("results/scenario.json", {})

    with pytest.raises(UsageError, match=r"did you mean 'results'"):
        artifacts.find("result")
    with pytest.raises(UsageError, match=r"did you mean 'results/scenario.json'"):
        artifacts.find("results/scenari.json")


def test_what_a_run_stored_is_counted_for_the_next_estimate(tmp_path: Path, maps: Path) -> None:
    """Folders by their files, overwritten bytes once."""
    (tmp_path / "scalable.yaml").write_text(MANIFEST)
    session = ScalableSession.from_yaml(tmp_path / "scalable.yaml")
    with session:
        session.store_artifact("maps", maps)
        session.store_artifact("a.txt", "x" * 100)
        session.store_artifact("a.txt", "x" * 10, overwrite=True)

    past = PastRuns(session.run_dir.parent)
    assert past.stored(PastRun(run=session.run_id, target="local")) == 18


def test_no_event_of_a_transfer_is_kept(tmp_path: Path) -> None:
    """Whoever listens hears how far it is; the run's records do not."""
    (tmp_path / "scalable.yaml").write_text(MANIFEST)
    session = ScalableSession.from_yaml(tmp_path / "scalable.yaml")
    heard = []
    session._sink = type("Sink", (), {"emit": lambda self, event: heard.append(event.kind)})()
    with session:
        progress = TransferProgress(session.artifacts.context().events, "file:///a", 10)
        progress._said -= TransferProgress.PAUSE
        progress.add(5)

    assert "artifact.progress" in heard
    assert "artifact.progress" not in (session.run_dir / "events.jsonl").read_text()


def test_what_is_stored_before_and_after_the_run_is_listed_at_once(tmp_path: Path) -> None:
    """There is no end of the run that would write the list; its records have what came later."""
    (tmp_path / "scalable.yaml").write_text(MANIFEST)
    session = ScalableSession.from_yaml(tmp_path / "scalable.yaml")
    index = tmp_path / ".scalable/artifacts" / session.run_id / "artifacts.json"

    session.store_artifact("before.txt", "x")
    assert [ref.name for ref in read_index(index.read_bytes())] == ["before.txt"]
    with session:
        session.store_artifact("during.txt", "x")
    session.store_artifact("after.txt", "x")

    assert [ref.name for ref in read_index(index.read_bytes())] == [
        "after.txt",
        "before.txt",
        "during.txt",
    ]
    rows = (session.run_dir / "artifacts.jsonl").read_text().splitlines()
    names = [json.loads(row)["name"] for row in rows]
    assert names == ["before.txt", "during.txt", "after.txt"]


def run_of(folder: Path) -> ScalableSession:
    """A run that has ended, with two artifacts."""
    (folder / "scalable.yaml").write_text(MANIFEST)
    session = ScalableSession.from_yaml(folder / "scalable.yaml")
    with session:
        session.store_artifact("a.txt", "a")
        session.store_artifact("b.txt", "b")
    return session


def test_a_run_is_found_by_its_records_or_by_its_list(tmp_path: Path) -> None:
    """By a part of its id here; elsewhere by its whole id or its URI, where only the artifacts are."""
    session = run_of(tmp_path)
    runs, host = session.run_dir.parent, PluginHost()
    place = str(tmp_path / ".scalable/artifacts")

    def find(run: str | None, runs: Path = runs) -> list[str]:
        found = open_artifacts(run, runs=runs, storage=lambda: (place, "study"), host=host)
        return [ref.name for ref in found]

    nowhere = tmp_path / "nowhere"
    assert find(None) == find(session.run_id[-9:]) == ["a.txt", "b.txt"]
    assert find(session.run_id, nowhere) == ["a.txt", "b.txt"]
    assert find(f"file://{place}/{session.run_id}", nowhere) == ["a.txt", "b.txt"]
    with pytest.raises(
        UsageError, match=r"no run in .* has 'other' .* there is no .*other/artifacts"
    ):
        find("other")
    with pytest.raises(UsageError, match="there are no runs"):
        find(None, nowhere)
    assert find(str(session.run_dir), nowhere) == ["a.txt", "b.txt"]
    (session.run_dir / "plan.json").write_text("{")
    with pytest.raises(UsageError, match="does not say where the run's artifacts are"):
        find(None)


def test_what_was_added_later_is_in_both_lists(tmp_path: Path) -> None:
    """Also when someone else has added something meanwhile; after all was removed, neither has any."""
    session = run_of(tmp_path)
    runs, host = session.run_dir.parent, PluginHost()

    def again(runs: Path = runs) -> RunArtifacts:
        place = str(tmp_path / ".scalable/artifacts")
        return open_artifacts(
            session.run_id, runs=runs, storage=lambda: (place, "study"), host=host
        )

    elsewhere = again(tmp_path / "nowhere")
    elsewhere.store("theirs.txt", "x")
    elsewhere.save()
    mine = again()
    mine.merge()
    mine.store("mine.txt", "x")
    mine.save()

    names = [ref.name for ref in again(tmp_path / "nowhere")]
    assert names == ["a.txt", "b.txt", "mine.txt", "theirs.txt"]
    assert "mine.txt" in again()
    again().remove()
    note_removal(runs, session.run_id)
    assert len(again()) == 0
    assert not (tmp_path / ".scalable/artifacts" / session.run_id).exists()


def test_a_list_that_others_may_write_is_read_with_care() -> None:
    """Names that lead elsewhere, and rows that are none, are left out; another format is refused."""
    row = {
        "uri": "s3://b/run-1/a.txt", "digest": "sha256:0", "size": 1, "media_type": "t", "run": "run-1",
        "created": "2026-01-01T00:00:00+00:00", "provider": "aws", "name": "a.txt",
    }  # fmt: skip
    rows = [
        row,
        {**row, "name": "../../etc/passwd", "uri": "s3://b/run-1/../../etc/passwd"},
        {**row, "name": "b.txt", "uri": "file:///etc/passwd"},
        {**row, "name": 3},
        {"name": "c.txt"},
        "no row",
        {**row, "later": "field", "size": 2},
    ]
    document = {"schema": "scalable.artifacts/1", "artifacts": rows}

    (ref,) = read_index(json.dumps(document).encode())
    assert (ref.name, ref.size) == ("a.txt", 2)
    old = {name: value for name, value in row.items() if name != "name"}
    assert [ref.name for ref in latest(read_references([old]))] == ["a.txt"]
    for data in (b"{", b"[]", b'{"schema": "scalable.artifacts/2", "artifacts": []}'):
        with pytest.raises(ArtifactError, match="list of the run's artifacts"):
            read_index(data)


def test_a_place_that_cannot_be_written_is_said_at_the_end(tmp_path: Path) -> None:
    """The run ends as it would; the records say what is missing."""
    (tmp_path / "scalable.yaml").write_text(MANIFEST)
    session = ScalableSession.from_yaml(tmp_path / "scalable.yaml")
    with session:
        session.store_artifact("a.txt", "x")
        place = tmp_path / ".scalable/artifacts" / session.run_id
        (place / "artifacts.json").mkdir()

    events = (session.run_dir / "events.jsonl").read_text()
    assert '"artifacts.failed"' in events
    assert json.loads((session.run_dir / "run.json").read_text())["status"] == "done"


def teardown_module() -> None:
    """Forget what was kept in memory."""
    fsspec.filesystem("memory").store.clear()
