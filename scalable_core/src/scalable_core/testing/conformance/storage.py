"""Objects by key: what the core keeps results, records and ledgers in."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor

from scalable_core.testing.conformance.base import Conformance, refused, skip
from scalable_core.types import Storage


class StorageChecks(Conformance):
    """`open_storage`, for providers that implement it."""

    def test_an_object_is_there_whole_and_can_be_replaced(self) -> None:
        """From bytes and from a file."""
        storage = self._open()
        source = self.folder / "source"
        source.write_bytes(b"from a file")
        storage.put("a/key", b"first")
        storage.put("a/key", b"second")
        storage.put("b", source)
        assert storage.get("a/key") == b"second", "put does not replace"
        assert storage.get("b") == b"from a file", "a file is not stored as its bytes"
        assert b"".join(storage.stream("a/key")) == b"second", "stream gives other bytes"

    def test_an_object_that_is_not_there_is_file_not_found(self) -> None:
        """For both ways of reading; deleting it is no error."""
        storage = self._open()
        with refused(FileNotFoundError, "get of a key that is not there"):
            storage.get("never")
        with refused(FileNotFoundError, "stream of a key that is not there"):
            b"".join(storage.stream("never"))
        storage.delete("never")

    def test_only_one_of_many_puts_if_absent(self) -> None:
        """In one step: this is what decides who computes and who waits."""
        storage = self._open()
        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(lambda n: storage.put_if_absent("once", b"%d" % n), range(8)))
        assert sum(won) == 1, f"{sum(won)} of 8 were told that they wrote it"
        assert storage.get("once") == b"%d" % won.index(True), "another one's bytes are there"

    def test_a_listing_is_complete_and_in_order(self) -> None:
        """By key, with sizes, for a prefix and for all; what is deleted is gone."""
        storage = self._open()
        keys = ["a/1", "a/2", "ab", "b/with space", "c/ü"]
        for key in keys:
            storage.put(key, key.encode())
        found = list(storage.list(""))
        assert [each.key for each in found] == sorted(keys), f"{[each.key for each in found]}"
        assert [each.size for each in found] == [len(k.encode()) for k in sorted(keys)], "sizes"
        assert [each.key for each in storage.list("a/")] == ["a/1", "a/2"], "the prefix is ignored"
        storage.delete("ab")
        assert "ab" not in [each.key for each in storage.list("")], "what was deleted is listed"

    def test_no_object_outside_can_be_named(self) -> None:
        """A key does not climb."""
        storage = self._open()
        for key in ("../outside", "a/../../outside", "/absolute"):
            with refused(Exception, f"the key {key!r}"):
                storage.put(key, b"x")

    def _open(self) -> Storage:
        place = self.artifact_place
        if place is None or not self.subject.has("open_storage"):
            skip("it opens no storage, or there is no place for it")
        uri = f"{place.rstrip('/')}/{uuid.uuid4().hex[:8]}"
        storage = self.subject.host.open_storage(uri, self.subject.context)
        assert storage is not None, f"open_storage() leaves {uri} to others"
        return storage
