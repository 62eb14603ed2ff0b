"""Where no plugin has a scheme, fsspec keeps artifacts: whole, once, and checked."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from attrs import evolve

from scalable_core.artifacts.transfer import fetch, store, store_once
from scalable_core.errors import ArtifactError, ProviderNotFoundError
from scalable_core.plugins import PluginHost
from scalable_core.types import Artifact, ArtifactRef, HookContext

HOST = PluginHost()
CONTEXT = HookContext()


def put(uri: str, data: bytes | Path = b"some bytes", **facts: object) -> ArtifactRef:
    artifact = Artifact(name="a", data=data, run="run-1", **facts)  # type: ignore[arg-type]
    return store(artifact, uri, host=HOST, context=CONTEXT)


@pytest.fixture(params=["memory", "local"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A place in memory, and one that is a folder but not of the plugin's scheme."""
    yield f"local://{tmp_path}/place" if request.param == "local" else f"memory://{tmp_path.name}"
    fsspec.filesystem("memory").store.clear()


def test_what_is_stored_comes_back(place: str, tmp_path: Path) -> None:
    """The reference says where it is, its size, its digest, and that no plugin stored it."""
    ref = put(f"{place}/run-1/a b.txt")

    path = fetch(ref, tmp_path / "back", host=HOST, context=CONTEXT)

    assert path.read_bytes() == b"some bytes"
    assert (ref.uri, ref.size, ref.provider) == (f"{place}/run-1/a b.txt", 10, "fsspec")


def test_a_name_is_taken_once(place: str, tmp_path: Path) -> None:
    """200 threads at once: one wins, whole; the others are told; nothing else is left."""
    outcomes: list[int | None] = []
    gate = threading.Barrier(200)

    def attempt(i: int) -> None:
        gate.wait()
        try:
            put(f"{place}/run-1/a", bytes([i]) * 10_000)
            outcomes.append(i)
        except ArtifactError:
            outcomes.append(None)

    threads = [threading.Thread(target=attempt, args=(i,)) for i in range(200)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]

    assert len(outcomes) == 200
    (winner,) = [i for i in outcomes if i is not None]
    system, path = fsspec.core.url_to_fs(f"{place}/run-1")
    assert [os.path.basename(p) for p in system.find(path)] == ["a"]
    assert system.cat_file(f"{path}/a") == bytes([winner]) * 10_000


def test_overwriting_is_said(place: str, tmp_path: Path) -> None:
    """With ``overwrite`` the second takes the place of the first."""
    put(f"{place}/a", b"first")
    ref = put(f"{place}/a", b"second", overwrite=True)

    assert fetch(ref, tmp_path / "a", host=HOST, context=CONTEXT).read_bytes() == b"second"


@pytest.mark.parametrize("now", [b"wrong bytes", b"some", b""])
def test_what_was_altered_or_cut_is_not_handed_out(place: str, tmp_path: Path, now: bytes) -> None:
    """The sentence has the two digests, and no file is left."""
    ref = put(f"{place}/run-1/a")
    system, path = fsspec.core.url_to_fs(ref.uri)
    system.pipe_file(path, now)

    with pytest.raises(ArtifactError, match=rf"its digest is sha256:\w{{64}}, not {ref.digest}"):
        fetch(ref, tmp_path / "back", host=HOST, context=CONTEXT)

    assert not (tmp_path / "back").exists()
    assert [name for name in os.listdir(tmp_path) if name.endswith(".part")] == []


def test_what_is_missing_is_named(place: str, tmp_path: Path) -> None:
    """One sentence with the URI."""
    ref = evolve(put(f"{place}/a"), uri=f"{place}/gone")

    with pytest.raises(ArtifactError, match="gone cannot be fetched: it is not there"):
        fetch(ref, tmp_path / "back", host=HOST, context=CONTEXT)


def test_a_process_that_is_killed_while_storing_leaves_no_artifact(tmp_path: Path) -> None:
    """Half an artifact never has its name, and the name is free for the next."""
    pipe, folder = tmp_path / "endless", tmp_path / "out"
    os.mkfifo(pipe)
    script = (
        "import sys, pathlib\n"
        "from scalable_core.artifacts import fallback\n"
        "from scalable_core.types import Artifact, NullSink\n"
        "artifact = Artifact(name='a', data=pathlib.Path(sys.argv[1]), run='r')\n"
        "fallback.store(artifact, sys.argv[2], events=NullSink())\n"
    )
    uri = f"local://{folder}/a"
    process = subprocess.Popen([sys.executable, "-c", script, str(pipe), uri])
    with open(pipe, "wb") as feed:
        feed.write(b"x" * 8 * 2**20)
        feed.flush()
        end = time.monotonic() + 60
        while not any(p.stat().st_size > 2**20 for p in folder.glob(".*")):
            assert time.monotonic() < end
            time.sleep(0.02)
        process.kill()
        process.wait()

    assert not (folder / "a").exists()
    put(uri, b"again")
    assert (folder / "a").read_bytes() == b"again"


def test_a_retry_finds_what_the_task_has_stored_before(place: str) -> None:
    """The same bytes are no error for a task; other bytes are."""

    def once(data: bytes) -> tuple[ArtifactRef, bool]:
        artifact = Artifact(name="a", data=data, run="run-1", task="simulate")
        return store_once(artifact, f"{place}/run-1/a", host=HOST, context=CONTEXT)

    first, new = once(b"bytes")
    again, old = once(b"bytes")

    assert (new, old) == (True, False)
    assert (again.uri, again.digest, again.size) == (first.uri, first.digest, 5)
    with pytest.raises(ArtifactError, match="exists already"):
        once(b"other")


def test_the_clouds_own_schemes_are_not_left_to_fsspec(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where their plugins are not installed, the sentence says how to install them."""
    host = PluginHost()
    monkeypatch.setattr(type(host._loader.catalogue), "named", lambda *_: ())

    with pytest.raises(ProviderNotFoundError, match=r"pip install 'scalable\[aws\]'"):
        store(Artifact(name="a", data=b"", run="r"), "s3://b/a", host=host, context=CONTEXT)


def test_a_scheme_that_nobody_knows_is_an_error() -> None:
    """The sentence names the URI and the cure."""
    with pytest.raises(ArtifactError, match="nosuch://x/a cannot be opened"):
        put("nosuch://x/a")
