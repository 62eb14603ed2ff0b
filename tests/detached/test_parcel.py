"""What of a project's folder travels, and that it arrives as it was."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from scalable_core.errors import UsageError
from scalable_core.session import parcel


def write(folder: Path, **files: str) -> None:
    """Write files; two underscores in a name stand for a slash, and a leading one for a dot."""
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project."""
    folder = tmp_path / "project"
    write(folder, workflow="", data__base="x" * 100, data__raw__big="y", notes="z")
    (folder / ".git").mkdir()
    write(folder / ".scalable" / "runs", old="")
    write(folder / "venv", **{"pyvenv.cfg": "", "lib": ""})
    return folder


def test_everything_travels_but_what_no_project_consists_of(folder: Path, tmp_path: Path) -> None:
    """Git's own folder, Scalable's, virtual environments and caches stay."""
    (folder / "__pycache__").mkdir()

    assert set(parcel.pack(folder, tmp_path).files) == {
        "workflow", "data/base", "data/raw/big", "notes",
    }  # fmt: skip


def test_the_ignore_files_mean_what_they_mean_to_git(folder: Path, tmp_path: Path) -> None:
    """Those of folders further down come later, and .scalableignore has the last word."""
    write(folder, **{".gitignore": "data/*\nnotes\n", ".scalableignore": "!notes\n!data/raw\n"})
    write(folder / "data" / "raw", **{".gitignore": "*.tmp\n", "a.tmp": ""})

    files = set(parcel.pack(folder, tmp_path).files)

    assert files == {
        "workflow", "notes", "data/raw/big", ".gitignore", ".scalableignore", "data/raw/.gitignore",
    }  # fmt: skip


def test_the_same_files_make_the_same_parcel(folder: Path, tmp_path: Path) -> None:
    """Wherever they are and whenever they were written; another byte makes another."""
    first = parcel.pack(folder, tmp_path / "a")
    copy = folder.rename(tmp_path / "elsewhere")
    (copy / "notes").touch()
    second = parcel.pack(copy, tmp_path / "b")
    (copy / "notes").write_text("Z")

    assert first.digest == second.digest == first.path.stem.partition("-")[2]
    assert parcel.pack(copy, tmp_path / "b").digest != first.digest


def test_a_parcel_arrives_whole_or_not_at_all(folder: Path, tmp_path: Path) -> None:
    """With the rights of programs; one bit changed on the way is noticed before anything is laid out."""
    (folder / "workflow").chmod(0o755)
    sent = parcel.pack(folder, tmp_path / "out")
    parcel.unpack(sent.path, sent.digest, tmp_path / "in")
    data = bytearray(sent.path.read_bytes())
    data[60] ^= 1
    sent.path.write_bytes(data)

    assert (tmp_path / "in" / "data" / "base").read_text() == "x" * 100
    assert (tmp_path / "in" / "workflow").stat().st_mode & stat.S_IXUSR
    with pytest.raises(UsageError, match="has arrived as"):
        parcel.unpack(sent.path, sent.digest, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_only_what_a_run_has_made_is_left_of_a_copy(folder: Path, tmp_path: Path) -> None:
    """What was changed counts as made; folders that are empty go."""
    sent = parcel.pack(folder, tmp_path / "out")
    copy = tmp_path / "in"
    parcel.unpack(sent.path, sent.digest, copy)
    write(copy, data__base="other", results__a="1")

    assert parcel.tidy(sent.path, copy) == ["data/base", "results/a"]
    assert sorted(path.name for path in copy.iterdir()) == ["data", "results"]


def test_a_folder_that_is_too_large_is_refused_with_its_largest_files(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing has been written then."""
    monkeypatch.setattr(parcel, "MOST", 50)

    with pytest.raises(UsageError, match=r"largest files are data/base") as caught:
        parcel.pack(folder, tmp_path / "out")

    assert ".scalableignore" in str(caught.value.cure)
    assert not (tmp_path / "out").exists()
