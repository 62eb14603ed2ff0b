"""Digests of files and folders by content, remembered while nothing about a file has changed.

A file that was modified within the last two seconds is read again each time: it could be modified once more
without its time stamp showing it.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import threading
import time
from pathlib import Path

from scalable_core.cache.uncacheable import Uncacheable

#: Nanoseconds; some file systems keep times in steps of two seconds.
_SETTLED = 2_000_000_000
_WORTH_KEEPING = 1 << 20

_Stamp = tuple[int, int, int, int, int]


class FileDigests:
    """Computes and remembers the digests of files.

    Args:
        memory: A file of lines that keeps the digests of large files between runs; None keeps none. Lines that
            are damaged are passed over.
    """

    def __init__(self, memory: Path | None = None) -> None:
        self._memory = memory
        self._known: dict[str, tuple[_Stamp, str]] = {}
        self._lock = threading.Lock()
        if memory is not None:
            self._load(memory)

    def digest(self, path: Path) -> str | None:
        """Return the digest of a file's content, or of all names and contents below a folder.

        Returns:
            64 hex digits; None when there is nothing at ``path``.

        Raises:
            Uncacheable: It cannot be read, it changes while it is read, or it is neither file nor folder.
        """
        try:
            found = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            raise Uncacheable("", f"names {path}, which cannot be read: {error}") from None
        if stat.S_ISDIR(found.st_mode):
            return self._folder(path)
        return self._file(path, found)

    def _file(self, path: Path, found: os.stat_result) -> str:
        if not stat.S_ISREG(found.st_mode):
            raise Uncacheable("", f"names {path}, which is neither a file nor a folder")
        name, stamp = os.path.abspath(path), _stamp(found)
        known = self._known.get(name)
        if known is not None and known[0] == stamp:
            return known[1]
        try:
            with open(path, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                after = os.fstat(file.fileno())
        except OSError as error:
            raise Uncacheable("", f"names {path}, which cannot be read: {error}") from None
        if _stamp(after) != stamp:
            raise Uncacheable("", f"names {path}, which changes while it is read")
        newest = max(found.st_mtime_ns, found.st_ctime_ns)
        if newest + _SETTLED < time.time_ns():
            with self._lock:
                self._known[name] = stamp, digest
                if self._memory is not None and found.st_size >= _WORTH_KEEPING:
                    self._remember(self._memory, name, stamp, digest)
        return digest

    def _folder(self, root: Path) -> str:
        hasher = hashlib.sha256()
        for kind, name, path in _entries(root):
            if kind == "file":
                digest = self.digest(path) or "missing"
            else:
                digest = os.readlink(path) if kind == "link" else ""
            for text in (kind, name, digest):
                data = os.fsencode(text)
                hasher.update(b"%d:%s" % (len(data), data))
        return hasher.hexdigest()

    def _load(self, memory: Path) -> None:
        try:
            lines = memory.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return
        for line in lines:
            try:
                name, stamp, digest = json.loads(line)
                if len(stamp) == 5 and len(digest) == 64:
                    self._known[name] = tuple(stamp), digest
            except (ValueError, TypeError):
                continue

    @staticmethod
    def _remember(memory: Path, name: str, stamp: _Stamp, digest: str) -> None:
        try:
            memory.parent.mkdir(parents=True, exist_ok=True)
            with memory.open("a", encoding="utf-8") as file:
                file.write(json.dumps([name, stamp, digest]) + "\n")
        except (OSError, UnicodeError):
            pass  # it is computed again next time


def _stamp(found: os.stat_result) -> _Stamp:
    # The time of the last change of the inode cannot be set back, as `cp -p` and `touch -d` do with the other.
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _entries(root: Path) -> list[tuple[str, str, Path]]:
    """Return kind, relative name and path of everything below a folder, in the order of the names."""
    found: list[tuple[str, str, Path]] = []

    def fail(error: OSError) -> None:
        raise Uncacheable("", f"names {root}, which cannot be read: {error}")

    for folder, folders, files in os.walk(root, onerror=fail):
        for name in folders:
            path = Path(folder, name)
            found.append(
                ("link" if path.is_symlink() else "folder", str(path.relative_to(root)), path)
            )
        for name in files:
            path = Path(folder, name)
            dangling = path.is_symlink() and not path.exists()
            found.append(("link" if dangling else "file", str(path.relative_to(root)), path))
    return sorted(found, key=lambda entry: entry[1])
