"""Artifacts in folders of this machine."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
import threading

import pytest
from attrs import evolve

from scalable_core.errors import ArtifactError
from scalable_core.types import PROGRESS, Artifact, HookContext
from scalable_local import plugin

CONTEXT = HookContext()


class Sink:
    """Keeps events."""

    def __init__(self):
        self.events = []

    def emit(self, event):
        self.events.append(event)


def artifact(data=b"some bytes", **facts):
    return Artifact(name="results/a.bin", data=data, run="run-1", **facts)


def store(data, destination, **facts):
    return plugin.store_artifact(artifact(data, **facts), str(destination), CONTEXT)


def test_what_is_stored_comes_back(tmp_path):
    """The reference says where it is, its size and its digest; fetching gives the same bytes."""
    ref = store(b"some bytes", tmp_path / "runs/run-1/results/a.bin")

    path = plugin.fetch_artifact(ref, tmp_path / "back.bin", CONTEXT)

    assert path.read_bytes() == b"some bytes"
    assert (tmp_path / "runs/run-1/results/a.bin").as_uri() == ref.uri
    assert ref.size == 10
    assert f"sha256:{hashlib.sha256(b'some bytes').hexdigest()}" == ref.digest
    assert ref.provider == "local"


def test_a_file_is_stored_as_its_bytes(tmp_path):
    """A large file is copied piece by piece."""
    source = tmp_path / "large"
    source.write_bytes(os.urandom(3 * 2**20 + 17))

    ref = store(source, tmp_path / "kept")

    assert source.read_bytes() == (tmp_path / "kept").read_bytes()
    assert ref.size == 3 * 2**20 + 17


def test_file_uris_and_plain_paths_are_the_same(tmp_path):
    """Blanks and umlauts in a URI are read as such."""
    uri = (tmp_path / "mit leer und ü").as_uri()

    ref = store(b"x", uri)

    assert uri == ref.uri
    assert (tmp_path / "mit leer und ü").read_bytes() == b"x"


def test_nothing_is_ever_overwritten(tmp_path):
    """A second artifact of that name is refused, and the first stays as it was."""
    store(b"first", tmp_path / "a")

    with pytest.raises(ArtifactError, match="exists already"):
        store(b"second", tmp_path / "a")

    assert (tmp_path / "a").read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["a"]


def test_what_may_be_overwritten_is_replaced_in_one_step(tmp_path):
    """With ``overwrite`` the second takes the place of the first, and nothing else is left."""
    store(b"first", tmp_path / "a")

    ref = store(b"second", tmp_path / "a", overwrite=True)

    assert (tmp_path / "a").read_bytes() == b"second"
    assert ref.size == 6
    assert os.listdir(tmp_path) == ["a"]


def test_a_long_transfer_says_how_far_it_is(tmp_path, wait_until):
    """While bytes arrive slowly, events tell how many of them have, and of how many."""
    pipe, sink = tmp_path / "slow", Sink()
    os.mkfifo(pipe)
    context = HookContext(events=sink)
    thread = threading.Thread(
        target=lambda: plugin.store_artifact(artifact(pipe), str(tmp_path / "a"), context)
    )
    thread.start()
    with open(pipe, "wb") as feed:
        wait_until(lambda: (feed.write(b"x" * 2**20) and feed.flush()) or sink.events)
    thread.join()

    event = sink.events[0]
    assert event.kind == PROGRESS
    assert event.data["uri"] == (tmp_path / "a").as_uri()
    assert 0 < event.data["done"] <= (tmp_path / "a").stat().st_size


def test_of_many_at_once_exactly_one_gets_the_name(tmp_path):
    """200 threads that store under one name: one wins, whole; the others are told."""
    outcomes = []
    gate = threading.Barrier(200)

    def attempt(i):
        gate.wait()
        try:
            store(bytes([i]) * 100_000, tmp_path / "a")
            outcomes.append(i)
        except ArtifactError:
            outcomes.append(None)

    threads = [threading.Thread(target=attempt, args=(i,)) for i in range(200)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]

    (winner,) = [i for i in outcomes if i is not None]
    assert bytes([winner]) * 100_000 == (tmp_path / "a").read_bytes()
    assert os.listdir(tmp_path) == ["a"]


def test_a_process_that_is_killed_while_storing_leaves_no_artifact(tmp_path, wait_until):
    """Half an artifact never has its name."""
    pipe = tmp_path / "endless"
    os.mkfifo(pipe)
    script = (
        "import sys, pathlib\n"
        "from scalable_core.types import Artifact, HookContext\n"
        "from scalable_local import plugin\n"
        "artifact = Artifact(name='a', data=pathlib.Path(sys.argv[1]), run='r')\n"
        "plugin.store_artifact(artifact, sys.argv[2], HookContext())\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(pipe), str(tmp_path / "out/a")])
    with open(pipe, "wb") as feed:
        feed.write(b"x" * 4 * 2**20)
        feed.flush()
        wait_until(lambda: any(p.stat().st_size > 2**20 for p in (tmp_path / "out").glob(".*")))
        process.kill()
        process.wait()

    assert not (tmp_path / "out/a").exists()
    store(b"again", tmp_path / "out/a")


def test_what_killed_writers_have_left_is_removed_when_it_is_old(tmp_path):
    """One of today may still be written; nothing else is touched."""
    old, new, other = (tmp_path / f".{letter * 32}.part" for letter in "abz")
    for path in (old, new, other):
        path.write_bytes(b"half")
    for path in (old, other):
        os.utime(path, (0, 0))

    store(b"x", tmp_path / "a")

    assert sorted(os.listdir(tmp_path)) == sorted(["a", new.name, other.name])


def test_an_artifact_that_was_changed_is_not_handed_out(tmp_path):
    """The digest is checked before the file gets its name."""
    ref = store(b"right", tmp_path / "a")
    (tmp_path / "a").write_bytes(b"wrong")

    with pytest.raises(ArtifactError, match="not what was stored"):
        plugin.fetch_artifact(ref, tmp_path / "back", CONTEXT)

    assert os.listdir(tmp_path) == ["a"]


def test_what_is_missing_is_named(tmp_path):
    """Fetching what is not there is one sentence with its path."""
    ref = evolve(store(b"x", tmp_path / "a"), uri=(tmp_path / "gone").as_uri())

    with pytest.raises(ArtifactError, match="gone cannot be read"):
        plugin.fetch_artifact(ref, tmp_path / "back", CONTEXT)


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    """A file where a folder should be is one sentence, not a traceback."""
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(ArtifactError, match="cannot be written"):
        store(b"x", tmp_path / "file/a")


def test_another_machines_file_is_refused():
    """``file://host/path`` is not a file of this machine."""
    with pytest.raises(ArtifactError, match="not a file of this machine"):
        store(b"x", "file://elsewhere/a")


def test_artifacts_are_as_readable_as_other_files(tmp_path):
    """The mode follows the user's umask."""
    (tmp_path / "other").write_bytes(b"")
    store(b"x", tmp_path / "a")

    assert stat.S_IMODE(os.stat(tmp_path / "other").st_mode) == stat.S_IMODE(
        os.stat(tmp_path / "a").st_mode
    )


def test_who_made_it_is_kept(tmp_path):
    """Run, task, component and media type go into the reference."""
    thing = artifact(task="yield", component="model", media_type="text/plain")

    ref = plugin.store_artifact(thing, str(tmp_path / "a"), CONTEXT)

    assert (
        ref.run,
        ref.task,
        ref.component,
        ref.media_type,
    ) == ("run-1", "yield", "model", "text/plain")
