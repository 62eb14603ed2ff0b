"""The suffix of an artifact's name decides the form in which a value is kept."""

from __future__ import annotations

import io
import json
import os
import pickle
import tempfile
from pathlib import Path

import pytest

from scalable_core.artifacts import files_of, kept_form
from scalable_core.errors import ArtifactError


def kept(name: str, value: object) -> bytes:
    """The bytes that are kept of a value."""
    with kept_form(name, value) as (data, _):
        return data if isinstance(data, bytes) else data.read_bytes()


def media_type(name: str, value: object = b"") -> str:
    with kept_form(name, value) as (_, found):
        return found


def test_bytes_text_and_files_are_kept_as_they_are(tmp_path: Path) -> None:
    """Whatever the suffix, bytes are bytes; text is UTF-8."""
    file = tmp_path / "a.bin"
    file.write_bytes(b"x")

    assert kept("a.bin", b"\0") == b"\0"
    assert kept("a.parquet", bytearray(b"\1")) == b"\1"
    assert kept("a.txt", "hä") == "hä".encode()
    assert kept("a.csv", "a,b\n") == b"a,b\n"
    assert kept("b.bin", file) == b"x"


def test_an_open_file_is_kept_from_where_it_stands() -> None:
    """Binary or text, from its position to its end."""
    binary = io.BytesIO(b"head and tail")
    binary.read(5)

    assert kept("a.bin", binary) == b"and tail"
    assert kept("a.txt", io.StringIO("tüx")) == "tüx".encode()
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"12")
        file.seek(0)
        assert kept("a.pkl", file) == b"12"


def test_plain_data_is_kept_as_json() -> None:
    """Numbers of numpy are numbers; text must be JSON already, and is never quoted a second time."""
    numpy = pytest.importorskip("numpy")

    assert json.loads(kept("r/a.json", {"a": [1, None, "ü"]})) == {"a": [1, None, "ü"]}
    assert json.loads(kept("a.json", {"n": numpy.int64(3), "x": numpy.float32(0.5)})) == {
        "n": 3,
        "x": 0.5,
    }
    assert kept("a.json", json.dumps({"a": 1})) == b'{"a": 1}'


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_table_of_pandas_comes_back(suffix: str) -> None:
    """A counted index is not kept in CSV, one that says something is."""
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"year": [2020, 2030], "yield": [1.5, 2.5]})
    read = {"csv": pandas.read_csv, "parquet": pandas.read_parquet}[suffix]

    assert read(io.BytesIO(kept(f"a.{suffix}", table))).equals(table)
    if suffix == "csv":
        named = table.set_index("year")
        assert pandas.read_csv(io.BytesIO(kept("a.csv", named))).equals(table)


def test_a_table_of_arrow_comes_back() -> None:
    """As CSV and as Parquet."""
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import csv, parquet

    table = arrow.table({"year": [2020, 2030]})

    assert csv.read_csv(io.BytesIO(kept("a.csv", table))).equals(table)
    assert parquet.read_table(io.BytesIO(kept("a.parquet", table))).equals(table)


def test_an_array_comes_back() -> None:
    """Without pickles, so that anyone may load it."""
    numpy = pytest.importorskip("numpy")
    array = numpy.arange(6.0).reshape(2, 3)

    back = numpy.load(io.BytesIO(kept("a.npy", array)), allow_pickle=False)
    assert (back == array).all()
    with pytest.raises(ArtifactError, match="Object arrays cannot be saved"):
        kept("a.npy", numpy.array([object()]))


def test_a_figure_is_drawn_in_the_form_of_its_name() -> None:
    """PNG, SVG and PDF."""
    figure = pytest.importorskip("matplotlib.figure").Figure()
    figure.subplots().plot([1, 2])

    assert kept("a.png", figure).startswith(b"\x89PNG")
    assert b"<svg" in kept("a.svg", figure)
    assert kept("a.pdf", figure).startswith(b"%PDF")


def test_anything_is_pickled_under_pkl() -> None:
    """Also text; bytes are taken to be a pickle already."""
    assert pickle.loads(kept("a.pkl", {1})) == {1}
    assert pickle.loads(kept("a.pkl", "text")) == "text"
    assert kept("a.pkl", pickle.dumps(1)) == pickle.dumps(1)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("a.json", {1, 2}, "cannot be written as JSON: it holds a set"),
        ("a.json", float("nan"), "cannot be written as JSON"),
        ("a.json", "hello", "this text is no JSON"),
        ("a.csv", object(), "object cannot be kept as .csv"),
        ("a.npy", [1, 2], "list cannot be kept as .npy"),
        ("a.parquet", "text", "text cannot be kept as .parquet"),
        ("a", {"a": 1}, "dict cannot be kept as a file without suffix"),
        ("a.txt", "\ud800", "the text cannot be written"),
        ("a.pkl", lambda: 0, "the function cannot be written"),
        ("a", Path("/nowhere/at/all"), "/nowhere/at/all is not there"),
        ("a", Path(os.devnull), "is neither a file nor a folder"),
    ],
)
def test_what_does_not_fit_its_suffix_is_refused(name: str, value: object, says: str) -> None:
    """The sentence names the artifact, and what is wrong."""
    with pytest.raises(ArtifactError, match=says):
        kept(name, value)


def test_the_cure_of_a_mismatch_names_the_suffixes_that_fit() -> None:
    """An array belongs under .npy, a table under .csv or .parquet."""
    numpy, pandas = pytest.importorskip("numpy"), pytest.importorskip("pandas")

    with pytest.raises(ArtifactError, match=r"numpy.ndarray cannot be kept as .csv") as caught:
        kept("a.csv", numpy.arange(3))
    assert r"ends in .npy or .pkl" in str(caught.value)
    with pytest.raises(ArtifactError, match=r"ends in .csv or .parquet or .pkl"):
        kept("a.txt", pandas.DataFrame())


def test_a_file_of_one_form_is_not_kept_under_the_name_of_another(tmp_path: Path) -> None:
    """Files are not converted, so a CSV file under .parquet would be a lie."""
    (tmp_path / "a.csv").write_text("a\n1\n")

    with pytest.raises(ArtifactError, match=r"a.csv is .csv, not .parquet"):
        kept("a.parquet", tmp_path / "a.csv")


def test_nothing_temporary_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written to have the bytes is gone when they are stored, or cannot be."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    kept("a.pkl", {1})
    with pytest.raises(ArtifactError):
        kept("a.pkl", lambda: 0)

    assert os.listdir(tmp_path) == []


def test_media_types_are_those_of_the_suffix() -> None:
    """Known ones; anything else is bytes, and what is compressed is not called text."""
    assert media_type("a.json") == "application/json"
    assert media_type("a.csv") == "text/csv"
    assert media_type("a.parquet") == "application/vnd.apache.parquet"
    assert media_type("a.csv.gz") == "application/gzip"
    assert media_type("a.what-is-this") == "application/octet-stream"


def test_a_folder_is_its_files_with_their_paths(tmp_path: Path) -> None:
    """Links are followed; empty folders are not kept."""
    (tmp_path / "maps/deep").mkdir(parents=True)
    (tmp_path / "maps/empty").mkdir()
    (tmp_path / "maps/b.txt").write_text("b")
    (tmp_path / "maps/deep/a.txt").write_text("a")
    (tmp_path / "maps/link.txt").symlink_to("b.txt")

    assert files_of("out", tmp_path / "maps") == [
        ("out/b.txt", tmp_path / "maps/b.txt"),
        ("out/deep/a.txt", tmp_path / "maps/deep/a.txt"),
        ("out/link.txt", tmp_path / "maps/link.txt"),
    ]


def test_a_folder_that_cannot_be_kept_whole_is_refused(tmp_path: Path) -> None:
    """Nothing in it, or a link that leads back: the sentence says so."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "round").mkdir()
    (tmp_path / "round/again").symlink_to(tmp_path / "round")

    with pytest.raises(ArtifactError, match="no file in the folder"):
        files_of("out", tmp_path / "empty")
    with pytest.raises(ArtifactError, match="leads back to"):
        files_of("out", tmp_path / "round")
