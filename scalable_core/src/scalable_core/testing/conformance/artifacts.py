"""Artifacts: whole, created once, known by their digest, under any name, by many writers at once."""

from __future__ import annotations

import hashlib
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

from attrs import evolve

from scalable_core.errors import ArtifactError, ScalableError
from scalable_core.testing.conformance.base import Conformance, refused, skip
from scalable_core.types import Artifact, ArtifactRef

NAMES = (
    "plain.json",
    "results/deep/er/scenario_42.json",
    "with space.txt",
    "percent%20and+plus.txt",
    "hash#mark?.txt",
    "ünïcode-名前.bin",
    "dots..and.-dashes_.tar.gz",
)


class ArtifactChecks(Conformance):
    """`store_artifact` and `fetch_artifact`."""

    def test_what_is_stored_comes_back_whole(self) -> None:
        """Nothing, one byte, and more than one piece of an upload."""
        for size in (0, 1, 65_537, 9 * 2**20 + 1):
            data = _bytes(size)
            assert self._back(self._store(f"{size}.bin", data)) == data, f"{size} bytes are changed"

    def test_a_file_is_stored_as_its_bytes_are(self) -> None:
        """``data`` may be a path."""
        source = self.folder / "source.bin"
        source.write_bytes(_bytes(100_000))
        assert self._back(self._store("file.bin", source)) == source.read_bytes(), "changed"

    def test_the_reference_says_what_was_stored(self) -> None:
        """Digest and size of the bytes, who made them, when, and which plugin has them."""
        data = _bytes(1000)
        ref = self._store("facts.bin", data)
        assert ref.digest == f"sha256:{hashlib.sha256(data).hexdigest()}", "the digest is wrong"
        assert ref.size == len(data), f"the size is {ref.size}, not {len(data)}"
        facts = (ref.media_type, ref.run, ref.task, ref.component, ref.provider)
        assert facts == ("application/x-test", "run-1", "task", "first", self.provider), f"{facts}"
        assert datetime.fromisoformat(ref.created).utcoffset() is not None, (
            f"created is {ref.created!r}, without its offset from UTC"
        )

    def test_a_name_is_created_once(self) -> None:
        """The second of a name is refused with a cure, and the first stays."""
        ref = self._store("once.txt", b"first")
        with refused(ArtifactError, "an artifact under a name that is taken") as caught:
            self._store("once.txt", b"second")
        assert caught[0].cure, f"the refusal names no cure: {caught[0]}"
        assert self._back(ref) == b"first", "the first artifact was changed"

    def test_a_name_can_be_taken_over_on_purpose(self) -> None:
        """With ``overwrite`` the new one is there, whole."""
        self._store("again.txt", b"first, and longer")
        ref = self._store("again.txt", b"second", overwrite=True)
        assert self._back(ref) == b"second", "overwrite does not take effect"

    def test_any_name_can_be_stored_and_fetched(self) -> None:
        """Blanks, marks of URIs, other alphabets, folders."""
        refs = [self._store(name, name.encode()) for name in NAMES]
        assert len({ref.uri for ref in refs}) == len(NAMES), "two names have one URI"
        for name, ref in zip(NAMES, refs, strict=True):
            assert self._back(ref) == name.encode(), f"{name!r} does not come back"

    def test_of_many_writers_of_one_name_one_wins(self) -> None:
        """The others are refused, and what is there is one of theirs, whole."""
        texts = [f"writer {number}".encode() * 1000 for number in range(8)]

        def write(data: bytes) -> ArtifactRef | None:
            try:
                return self._store("contested.txt", data)
            except ArtifactError:
                return None

        self._place()  # one folder for all
        with ThreadPoolExecutor(8) as pool:
            refs = [ref for ref in pool.map(write, texts) if ref is not None]
        assert len(refs) == 1, f"{len(refs)} of 8 writers were told that they have the name"
        assert self._back(refs[0]) in texts, "what is there is a mixture"

    def test_many_writers_of_many_names_all_succeed(self) -> None:
        """From threads, at once."""
        self._place()
        with ThreadPoolExecutor(8) as pool:
            refs = list(pool.map(lambda n: self._store(f"many/{n}", b"%d" % n), range(24)))
        assert [self._back(ref) for ref in refs] == [b"%d" % n for n in range(24)], "mixed up"

    def test_an_artifact_that_was_changed_is_not_handed_out(self) -> None:
        """Its digest is looked at, and nothing is left at the destination."""
        ref = evolve(self._store("changed.bin", b"right"), digest="sha256:" + "0" * 64)
        destination = self.folder / "out.bin"
        with refused(ArtifactError, "an artifact with another digest"):
            self.subject.host.fetch_artifact(ref, destination, self.subject.context)
        assert not destination.exists(), "the wrong bytes are at the destination"

    def test_an_artifact_that_is_not_there_is_an_error_with_its_name(self) -> None:
        """Not an empty file."""
        ref = self._store("there.bin", b"x")
        gone = evolve(ref, uri=ref.uri.replace("there.bin", "never.bin"))
        destination = self.folder / "out.bin"
        with refused(ScalableError, "an artifact that is not there") as caught:
            self.subject.host.fetch_artifact(gone, destination, self.subject.context)
        assert "never.bin" in str(caught[0]), f"the error does not name it: {caught[0]}"
        assert not destination.exists(), "something is at the destination"

    def _place(self) -> str:
        if not self.subject.schemes:
            skip("it stores no artifacts")
        if not hasattr(self, "_base"):
            place = self.artifact_place
            if place is None:
                if "file" not in self.subject.schemes:
                    skip("there is no place to store: set artifact_place")
                place = str(self.folder / "place")
            self._base = f"{place.rstrip('/')}/{uuid.uuid4().hex[:8]}"
        return self._base

    def _store(self, name: str, data: bytes | Path, *, overwrite: bool = False) -> ArtifactRef:
        artifact = Artifact(
            name=name,
            data=data,
            media_type="application/x-test",
            run="run-1",
            task="task",
            component="first",
            overwrite=overwrite,
        )
        destination = f"{self._place()}/{name}"
        return self.subject.host.store_artifact(artifact, destination, self.subject.context)

    def _back(self, ref: ArtifactRef) -> bytes:
        destination = self.folder / uuid.uuid4().hex
        return self.subject.host.fetch_artifact(ref, destination, self.subject.context).read_bytes()


def _bytes(size: int) -> bytes:
    return (hashlib.sha256(str(size).encode()).digest() * (size // 32 + 1))[:size]
