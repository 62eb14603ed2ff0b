"""The project's folder on its way to a detached run: everything in it, in one file named by its digest.

Left out is what ``.gitignore`` and ``.scalableignore`` name, in any folder and with git's own rules; a
``.scalableignore`` has the last word, so that ``!data/`` brings what git does not keep. Folders of Scalable, of
git, of virtual environments and of caches never travel. The same files give the same bytes on every machine.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from attrs import frozen

from scalable_core.errors import UsageError

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

#: Files that say what stays; the later has the last word.
IGNORES = (".gitignore", ".scalableignore")
#: Bytes of the largest folder that travels.
MOST = 512 * 2**20

_NEVER = {".git", ".hg", ".svn", ".scalable", "__pycache__", "node_modules"}
_NEVER |= {".mypy_cache", ".pytest_cache", ".ruff_cache", ".ipynb_checkpoints", ".tox", ".nox"}


@frozen(kw_only=True)
class Parcel:
    """A folder as one file.

    Attributes:
        path: The file, a zip.
        digest: Its SHA-256 in hex.
        size: Its bytes.
        files: File to bytes, by path in the folder.
    """

    path: Path
    digest: str
    size: int
    files: dict[str, int]

    @property
    def key(self) -> str:
        """Its name in a project's storage."""
        return f".bundles/{self.path.name}"


def pack(folder: Path, output: Path) -> Parcel:
    """Pack a project's folder.

    Args:
        folder: The manifest's.
        output: Folder for the parcel; made if it is not there.

    Raises:
        UsageError: It is too large, or a file cannot be read.
    """
    files = {path.relative_to(folder).as_posix(): path for path in _walk(folder, ())}
    sizes = {name: path.stat().st_size for name, path in files.items()}
    if sum(sizes.values()) > MOST:
        largest = sorted(sizes, key=lambda name: -sizes[name])[:3]
        named = ", ".join(f"{name} ({sizes[name] / 2**20:.1f} MiB)" for name in largest)
        raise UsageError(
            f"{folder} is {sum(sizes.values()) / 2**20:.0f} MiB, and at most {MOST // 2**20} MiB travel "
            f"to a detached run; the largest files are {named}",
            cure=f"name in {folder / IGNORES[-1]} what the workflow does not read",
        )
    output.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".project-", dir=output)
    os.close(handle)
    aside = Path(name)
    try:
        _write(files, aside)
        with aside.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        path = output / f"project-{digest}.zip"
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    return Parcel(path=path, digest=digest, size=path.stat().st_size, files=sizes)


def unpack(parcel: Path, digest: str, folder: Path) -> None:
    """Lay a parcel out.

    Args:
        parcel: The file.
        digest: What its SHA-256 must be, in hex.
        folder: Where to; what is there is replaced.

    Raises:
        UsageError: It is not what the digest says.
    """
    with parcel.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != digest:
        raise UsageError(
            f"the project's folder has arrived as {found[:12]}.., not as {digest[:12]}..",
            cure="start the run again",
        )
    shutil.rmtree(folder, ignore_errors=True)
    with zipfile.ZipFile(parcel) as archive:
        archive.extractall(folder)
        for entry in archive.infolist():
            os.chmod(folder / entry.filename, entry.external_attr >> 16 & 0o777)


def tidy(parcel: Path, folder: Path) -> list[str]:
    """Remove from an unpacked folder what the parcel holds just so; return what the run has made or changed."""
    with zipfile.ZipFile(parcel) as archive:
        for entry in archive.infolist():
            path = folder / entry.filename
            same = path.is_file() and path.stat().st_size == entry.file_size
            if same and path.read_bytes() == archive.read(entry):
                path.unlink()
    for cache in folder.rglob("__pycache__"):
        shutil.rmtree(cache, ignore_errors=True)
    for root, _, _ in os.walk(folder, topdown=False):
        if not os.listdir(root):
            os.rmdir(root)
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def _walk(folder: Path, rules: tuple[tuple[Path, GitIgnoreSpec], ...]) -> Iterator[Path]:
    own = _rules(folder)
    rules = (*rules, (folder, own)) if own is not None else rules
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path = Path(entry.path)
        is_folder = entry.is_dir()
        if entry.name in _NEVER or _is_ignored(path, rules, is_folder=is_folder):
            continue
        if not is_folder:
            if entry.is_file():  # no socket, no broken link
                yield path
        elif not (path / "pyvenv.cfg").exists() and not _leads_back(path):
            yield from _walk(path, rules)


def _rules(folder: Path) -> GitIgnoreSpec | None:
    lines: list[str] = []
    for name in IGNORES:
        path = folder / name
        if path.is_file():
            lines += path.read_text(encoding="utf-8", errors="replace").splitlines()
    if not lines:
        return None
    from pathspec import GitIgnoreSpec

    return GitIgnoreSpec.from_lines(lines)


def _is_ignored(
    path: Path, rules: tuple[tuple[Path, GitIgnoreSpec], ...], *, is_folder: bool
) -> bool:
    """Whether the nearest rule that says anything of a path leaves it out."""
    for folder, spec in reversed(rules):
        name = path.relative_to(folder).as_posix() + "/" * is_folder
        verdict = spec.check_file(name).include
        if verdict is not None:
            return verdict
    return False


def _leads_back(path: Path) -> bool:
    return path.is_symlink() and path.resolve() in path.absolute().parents


def _write(files: dict[str, Path], output: Path) -> None:
    # Stored, since compressed bytes differ from one version of zlib to the next.
    with zipfile.ZipFile(output, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(str(PurePosixPath(name)), date_time=(1980, 1, 1, 0, 0, 0))
            mode = 0o755 if os.access(files[name], os.X_OK) else 0o644
            entry.create_system, entry.external_attr = 3, (0o100000 | mode) << 16
            try:
                with files[name].open("rb") as source, archive.open(entry, "w") as target:
                    shutil.copyfileobj(source, target)
            except OSError as error:
                raise UsageError(
                    f"{files[name]} cannot be read, but belongs to the project: {error.strerror}",
                    cure=f"make it readable, or name it in {IGNORES[-1]}",
                ) from None


def folder_stamp(folder: Path) -> str:
    """Return what changes when a file of a folder does that would travel."""
    known = hashlib.sha256()
    for path in _walk(folder, ()):
        facts = path.stat()
        known.update(f"{path} {facts.st_size} {facts.st_mtime_ns}\n".encode())
    return known.hexdigest()
