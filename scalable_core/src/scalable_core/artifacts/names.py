"""Names of artifacts, and the places that they stand for. Standard library only: workers use it too."""

from __future__ import annotations

import unicodedata
from urllib.parse import unquote, urlsplit

from scalable_core.errors import ArtifactError

#: Lies beside a run's artifacts and says what they are and who made them.
INDEX = "artifacts.json"
#: Bytes; services take keys of 1,024 bytes, of which the storage's prefix and the run's id need some.
_LONGEST = 900


def check_name(name: str) -> None:
    """Refuse what cannot be kept under its name everywhere, or would leave the run's own prefix.

    Args:
        name: Relative path with forward slashes; blanks and letters of any language are kept as they are.

    Raises:
        ArtifactError: It cannot be the name of an artifact; the sentence says why.
    """
    reason = _reason_against(name)
    if reason is not None:
        shown = name if len(name) <= 60 else f"{name[:40]}...{name[-10:]}"
        raise ArtifactError(
            f"{shown!r} cannot be the name of an artifact: {reason}",
            cure="use a relative path such as results/scenario_42.json",
        )


def artifact_uri(storage: str, run: str, name: str) -> str:
    """Return where an artifact goes: ``<storage>/<run>/<name>``.

    Args:
        storage: Folder or URI under which runs keep their artifacts.
        run: The run's id.
        name: Relative path with forward slashes.

    Raises:
        ArtifactError: It cannot be the name of an artifact.
    """
    check_name(name)
    return f"{plain_place(storage)}/{run}/{name}"


def plain_place(storage: str) -> str:
    """Return a folder's path for its ``file:`` URI, where names would have to be quoted; else what was given.

    There is no slash at the end.
    """
    parts = urlsplit(storage) if storage.lower().startswith("file://") else None
    if parts is not None and parts.netloc in ("", "localhost"):
        storage = unquote(parts.path)
    return storage.rstrip("/")


def _reason_against(name: str) -> str | None:
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        return "it holds half a character"
    parts = name.split("/")
    if not name:
        return "it is empty"
    if name.startswith("/"):
        return "it starts with a slash"
    if ".." in parts or "." in parts:
        return "'.' and '..' have another meaning in a path"
    if "" in parts:
        return "it ends with a slash" if name.endswith("/") else "a part between slashes is empty"
    if "\\" in name:
        return "a backslash separates folders on some machines"
    if any(unicodedata.category(character) == "Cc" for character in name):
        return "it holds a control character"
    if name == INDEX or parts[0] == ".aside":
        return "Scalable itself uses it"
    if length > _LONGEST:
        return f"it has {length:,} bytes, and {_LONGEST} is the most that every service takes"
    longest = max(len(part.encode()) for part in parts)
    if longest > 240:
        return f"a part between slashes has {longest} bytes, and 240 is the most that a file system takes"
    return None
