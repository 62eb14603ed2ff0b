"""Which part of a key changed, and how."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

from scalable_core.cache import Store
from scalable_core.cache.fingerprint import Fingerprint, fingerprint
from scalable_core.cache.why import Change, compare, explain, nearest

HELPER = '''"""Help."""

LIMIT = 5


def clip(rate):
    """Clip a rate."""
    # As in the paper.
    return max(0, rate)
'''


@pytest.fixture
def flow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A workflow with a helper."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "helper_w.py").write_text(HELPER)
    (tmp_path / "flow_w.py").write_text(
        "import helper_w\ndef run(year, rate=0.5):\n    return helper_w.clip(rate) + helper_w.LIMIT\n"
    )
    for name in ("flow_w", "helper_w"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    importlib.invalidate_caches()
    return importlib.import_module("flow_w")


def keep(store: Store, found: Fingerprint) -> None:
    """Keep a result of a call."""
    store.write_code(found.code, found.code_parts)
    store.put(found.key, 1, found.note(seconds=2.0))


def changed(changes: tuple[Change, ...]) -> dict[str, Change]:
    """Return what is not the same."""
    return {change.part: change for change in changes if change.status != "same"}


def why(store: Store, today: Fingerprint) -> tuple[str, dict[str, Change]]:
    """Return the sentence and what has changed."""
    entry = nearest(store.entries(), today)
    code = None if entry is None else store.read_code(entry.code)
    said, changes = explain(entry, code, today)
    return said, changed(changes)


def test_a_helper_that_changed_is_shown_with_a_diff(
    store: Store, flow: ModuleType, tmp_path: Path
) -> None:
    """Without comments and docstrings, which do not count."""
    keep(store, fingerprint(flow.run, (2030,)))
    text = HELPER.replace("max(0, rate)", "max(0.0, min(rate, 1))").replace("As in", "Not as in")
    (tmp_path / "helper_w.py").write_text(text)
    importlib.reload(sys.modules["helper_w"])
    said, changes = why(store, fingerprint(flow.run, (2030,)))

    assert list(changes) == ["code helper_w.clip"]
    assert said == "will run: code helper_w.clip changed"
    assert changes["code helper_w.clip"].diff() == (
        " def clip(rate):",
        "-    return max(0, rate)",
        "+    return max(0.0, min(rate, 1))",
    )


def test_an_argument_that_changed_is_shown(store: Store, flow: ModuleType) -> None:
    """Against the kept call that is most like it."""
    for year, rate in ((2030, 0.1), (2030, 0.2), (2040, 0.3)):
        keep(store, fingerprint(flow.run, (year, rate)))
    _, changes = why(store, fingerprint(flow.run, (2050, 0.2)))

    assert list(changes) == ["argument year"]
    change = changes["argument year"]
    assert (change.before, change.after, change.kind) == ("2030", "2050", "argument")


def test_a_global_that_changed_is_shown(store: Store, flow: ModuleType) -> None:
    """With its values."""
    keep(store, fingerprint(flow.run, (2030,)))
    sys.modules["helper_w"].LIMIT = 6
    _, changes = why(store, fingerprint(flow.run, (2030,)))

    assert {name: change.diff() for name, change in changes.items()} == {
        "global helper_w.LIMIT": ("-5", "+6")
    }


def test_an_image_in_the_place_of_packages_is_shown(store: Store, flow: ModuleType) -> None:
    """What is new and what is gone."""
    keep(store, fingerprint(flow.run, (2030,)))
    _, changes = why(store, fingerprint(flow.run, (2030,), environment={"image": "sha256:1"}))

    assert changes["image"].status == "new"
    assert changes["package python"].status == "gone"


def test_a_file_that_changed_is_shown(store: Store, tmp_path: Path) -> None:
    """By its path and digest."""
    from scalable_core.cache import FileType, cacheable

    @cacheable(source=FileType)
    def read(source: str) -> str:
        return source

    path = tmp_path / "data.txt"
    path.write_text("one")
    keep(store, fingerprint(read, (str(path),)))
    path.write_text("two")
    _, changes = why(store, fingerprint(read, (str(path),)))

    assert list(changes) == ["file source"]
    assert "data.txt sha256:" in changes["file source"].after


def test_what_is_kept_is_said(store: Store, flow: ModuleType) -> None:
    """Nothing changed, or nothing is there."""
    today = fingerprint(flow.run, (2030,))
    said, changes = why(store, today)
    assert said == "flow_w.run() has no kept result"
    assert changes == {}
    keep(store, today)
    said, changes = why(store, today)

    assert said.startswith("its result of 20")
    assert changes == {}


def test_code_that_is_lost_is_said(store: Store, flow: ModuleType) -> None:
    """Then only arguments can be compared."""
    found = fingerprint(flow.run, (2030,))
    store.put(found.key, 1, found.note())
    sys.modules["helper_w"].LIMIT = 6
    said, changes = why(store, fingerprint(flow.run, (2030,)))

    assert "no longer kept" in said
    assert changes == {}


def test_comparing_with_itself_finds_nothing(flow: ModuleType) -> None:
    """Every part is the same."""
    found = fingerprint(flow.run, (2030,))
    kept = [(part.name, part.digest, part.read()) for part in found.parts.values()]

    assert {change.status for change in compare(kept, found)} == {"same"}
