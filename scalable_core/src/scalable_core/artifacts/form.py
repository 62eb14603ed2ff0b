"""The form in which a value is kept, decided by the suffix of its name. Standard library only at import."""

from __future__ import annotations

import io
import json
import mimetypes
import os
import pickle
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple

from scalable_core.errors import ArtifactError

_PIECE = 1024 * 1024


class Form(NamedTuple):
    """What a suffix stands for.

    Attributes:
        media_type: Such as ``application/json``.
        text: Text may be kept under it as it is.
        writers: Writes values of a class, by where the class comes from and its name.
    """

    media_type: str
    text: bool
    writers: dict[str, Callable[[Any, BinaryIO], None]]


@contextmanager
def kept_form(name: str, value: Any) -> Iterator[tuple[bytes | Path, str]]:
    """Give a value in the form in which it is kept, and its media type.

    Bytes, and the `Path` of a file, are kept as they are, text and open files too. Anything that may be large
    is written to a temporary file, which is gone afterwards.

    Args:
        name: Such as ``results/scenario_42.json``.
        value: Bytes, text, an open file, the `Path` of a file; plain data for ``.json``, a pandas or pyarrow
            table for ``.csv`` and ``.parquet``, a numpy array for ``.npy``, a matplotlib figure for ``.png``,
            ``.svg`` and ``.pdf``; anything for ``.pkl``.

    Raises:
        ArtifactError: The value does not fit the suffix, or the file is not there.
    """
    suffix = PurePosixPath(name).suffix.lower()
    media_type = _media_type(name)
    if isinstance(value, os.PathLike):
        yield _file(name, suffix, Path(value)), media_type
    elif isinstance(value, (bytes, bytearray, memoryview)):
        yield bytes(value), media_type
    elif suffix == ".json" and not isinstance(value, str) and not _is_open_file(value):
        yield _json(name, value), media_type
    elif isinstance(value, str) and suffix != ".pkl":
        yield _text(name, suffix, value), media_type
    else:
        write = _writer(name, suffix, value)
        with tempfile.TemporaryDirectory(prefix="scalable-") as folder:
            path = Path(folder) / "value"
            with path.open("wb") as file:
                _write(name, write, value, file)
            yield path, media_type


def files_of(name: str, folder: Path) -> list[tuple[str, Path]]:
    """Return the files below a folder with the names under which they are kept, sorted.

    Links are followed. Empty folders are not kept.

    Raises:
        ArtifactError: There is no file in it, a link leads back to a folder it is in, or something in it is
            neither a file nor a folder.
    """
    found = []
    for path, inner in _walk(name, folder, (os.path.realpath(folder),)):
        found.append((f"{name}/{inner}", path))
    if not found:
        raise ArtifactError(f"artifact {name!r}: there is no file in the folder {folder}")
    return sorted(found)


def _walk(name: str, folder: Path, above: tuple[str, ...]) -> Iterator[tuple[Path, str]]:
    for entry in os.scandir(folder):
        path = Path(entry.path)
        if entry.is_dir():
            real = os.path.realpath(path)
            if real in above:
                raise ArtifactError(
                    f"artifact {name!r}: {path} leads back to {real}", cure="remove the link"
                )
            for file, inner in _walk(name, path, (*above, real)):
                yield file, f"{entry.name}/{inner}"
        else:
            yield _file(name, "", path), entry.name


def _file(name: str, suffix: str, path: Path) -> Path:
    if not path.is_file():
        what = "is neither a file nor a folder" if path.exists() else "is not there"
        raise ArtifactError(f"artifact {name!r}: {path} {what}")
    other = path.suffix.lower()
    if suffix != other and suffix in FORMS and other in FORMS:
        raise ArtifactError(
            f"artifact {name!r}: the file {path} is {other}, not {suffix}, and files are kept as they are",
            cure=f"give the artifact a name that ends in {other}",
        )
    return path


def _media_type(name: str) -> str:
    form = FORMS.get(PurePosixPath(name).suffix.lower())
    if form is not None:
        return form.media_type
    guessed, encoding = mimetypes.guess_type(name)
    if encoding is not None:
        return f"application/{encoding}"
    return guessed or "application/octet-stream"


def _text(name: str, suffix: str, value: str) -> bytes:
    if suffix in FORMS and not FORMS[suffix].text:
        raise _mismatch(name, suffix, value)
    if suffix == ".json":
        try:
            json.loads(value)
        except ValueError as error:
            raise ArtifactError(
                f"artifact {name!r}: text is kept as it is, and this text is no JSON: {error}",
                cure="give a dict, a list or a number, or text that is JSON, such as that of json.dumps",
            ) from None
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise ArtifactError(f"artifact {name!r}: the text cannot be written: {error}") from None


def _json(name: str, value: Any) -> bytes:
    try:
        text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False, default=_number)
        return text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ArtifactError(
            f"artifact {name!r} cannot be written as JSON: {error}",
            cure="store plain data under .json, tables under .csv or .parquet, any value under .pkl",
        ) from None


def _number(value: Any) -> Any:
    """What JSON has for a value that it does not know: numpy's numbers are numbers."""
    if _kind(value) == "numpy" and getattr(value, "shape", None) == ():
        return value.item()
    raise TypeError(f"it holds a {type(value).__name__}")


def _writer(name: str, suffix: str, value: Any) -> Callable[[Any, BinaryIO], None]:
    if _is_open_file(value):
        return _copy
    if suffix == ".pkl":
        return _pickle
    form = FORMS.get(suffix)
    for cls in type(value).__mro__:
        write = form and form.writers.get(f"{cls.__module__.partition('.')[0]}.{cls.__name__}")
        if write:
            return write
    raise _mismatch(name, suffix, value)


def _write(name: str, write: Callable[[Any, BinaryIO], None], value: Any, file: BinaryIO) -> None:
    try:
        write(value, file)
    except ArtifactError:
        raise
    except Exception as error:
        raise ArtifactError(
            f"artifact {name!r}: the {type(value).__name__} cannot be written: {error}"
        ) from error


def _mismatch(name: str, suffix: str, value: Any) -> ArtifactError:
    kind = f"{_kind(value)}.{type(value).__name__}".removeprefix("builtins.")
    fits = [
        known
        for known, form in FORMS.items()
        if any(f"{c.__module__.partition('.')[0]}.{c.__name__}" in form.writers for c in type(value).__mro__)
    ]  # fmt: skip
    if isinstance(value, str):
        kind, fits = "text", [".txt"]
    where = " or ".join([*fits, ".pkl"])
    return ArtifactError(
        f"artifact {name!r}: {kind} cannot be kept as {suffix or 'a file without suffix'}",
        cure=f"give it a name that ends in {where}, or store bytes or the Path of a file",
    )


def _is_open_file(value: Any) -> bool:
    return hasattr(value, "read") and hasattr(value, "readline")


def _kind(value: Any) -> str:
    return str(type(value).__module__.partition(".")[0])


def _pickle(value: Any, file: BinaryIO) -> None:
    pickle.dump(value, file, protocol=pickle.HIGHEST_PROTOCOL)


def _copy(value: Any, file: BinaryIO) -> None:
    """Write what is left of an open file."""
    while piece := value.read(_PIECE):
        file.write(piece.encode() if isinstance(piece, str) else piece)


def _pandas_csv(value: Any, file: BinaryIO) -> None:
    """Write a table; its index only when it says more than the number of the row."""
    index = value.index
    counted = type(index).__name__ == "RangeIndex" and (index.start, index.step) == (0, 1)
    value.to_csv(file, index=not (counted and index.name is None))


def _pandas_parquet(value: Any, file: BinaryIO) -> None:
    value.to_parquet(file)


def _arrow_csv(value: Any, file: BinaryIO) -> None:
    from pyarrow import csv

    csv.write_csv(value, file)


def _arrow_parquet(value: Any, file: BinaryIO) -> None:
    from pyarrow import parquet

    parquet.write_table(value, file)


def _numpy(value: Any, file: BinaryIO) -> None:
    import numpy

    numpy.save(file, value, allow_pickle=False)


def _figure(form: str) -> Callable[[Any, BinaryIO], None]:
    def write(value: Any, file: BinaryIO) -> None:
        picture = io.BytesIO()  # matplotlib's own writers seek
        value.savefig(picture, format=form)
        file.write(picture.getbuffer())

    return write


#: The suffixes that have a form of their own; under any other, bytes, text and files are kept as they are.
FORMS = {
    ".json": Form("application/json", True, {}),
    ".csv": Form(
        "text/csv",
        True,
        {"pandas.DataFrame": _pandas_csv, "pandas.Series": _pandas_csv, "pyarrow.Table": _arrow_csv},
    ),
    ".parquet": Form(
        "application/vnd.apache.parquet",
        False,
        {"pandas.DataFrame": _pandas_parquet, "pyarrow.Table": _arrow_parquet},
    ),
    ".npy": Form("application/octet-stream", False, {"numpy.ndarray": _numpy}),
    ".png": Form("image/png", False, {"matplotlib.Figure": _figure("png")}),
    ".svg": Form("image/svg+xml", True, {"matplotlib.Figure": _figure("svg")}),
    ".pdf": Form("application/pdf", False, {"matplotlib.Figure": _figure("pdf")}),
    ".pkl": Form("application/octet-stream", False, {}),
}  # fmt: skip
