"""Storing a value: one artifact, or one for each file of a folder. Standard library only, for workers."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from scalable_core.artifacts.form import files_of, kept_form
from scalable_core.artifacts.names import check_name

#: The fields of an `ArtifactRef` as plain data, which needs no attrs.
Row = dict[str, Any]
#: Stores one artifact: its name, its bytes or the file that holds them, its media type.
Send = Callable[[str, bytes | Path, str], Row]

FOLDER_TYPE = "inode/directory"
#: Files of a folder that are under way at one time.
_AT_ONCE = 8


def store_value(name: str, value: Any, send: Send) -> Row:
    """Store a value under a name, and return the row of its reference.

    Each file of a folder is an artifact of its own, and the row is that of the whole folder.

    Args:
        name: Relative path with forward slashes; its suffix decides the form.
        value: As for `scalable_core.artifacts.form.kept_form`, or the `Path` of a folder.
        send: Stores one artifact; for a folder from several threads at once.

    Raises:
        ArtifactError: The name or the value does not fit, or it cannot be stored.
    """
    check_name(name)
    if not (isinstance(value, os.PathLike) and os.path.isdir(value)):
        with kept_form(name, value) as (data, media_type):
            return send(name, data, media_type)
    files = files_of(name, Path(value))
    for inner, _ in files:
        check_name(inner)
    return folder_row(name, store_files(files, send))


def store_files(files: Sequence[tuple[str, Path]], send: Send) -> list[Row]:
    """Store files under their names, some at one time; the first that cannot be stored ends it."""

    def store(file: tuple[str, Path]) -> Row:
        with kept_form(*file) as (data, media_type):
            return send(file[0], data, media_type)

    pool = ThreadPoolExecutor(min(_AT_ONCE, len(files)), thread_name_prefix="scalable-artifacts")
    try:
        return list(pool.map(store, files))
    finally:
        pool.shutdown(cancel_futures=True)


def folder_row(name: str, rows: Sequence[Row]) -> Row:
    """Return the row of a folder that was stored as ``rows``; its digest is that of the list of its files."""
    lines = "".join(f"{row['digest']}  {row['name'][len(name) + 1 :]}\n" for row in rows)
    first = rows[0]
    inside = len(first["uri"]) - _inner_length(first, name)
    return {
        **first,
        "uri": first["uri"][:inside],
        "digest": f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}",
        "size": sum(row["size"] for row in rows),
        "media_type": FOLDER_TYPE,
        "created": max(row["created"] for row in rows),
        "name": f"{name}/",
    }


def _inner_length(row: Row, name: str) -> int:
    """How much of the end of a URI is the path inside the folder."""
    from urllib.parse import quote

    inner = row["name"][len(name) + 1 :]
    return len(quote(inner) if row["uri"].startswith("file:") else inner)
