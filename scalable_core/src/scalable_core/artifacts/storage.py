"""Objects below a URI where no plugin has a better way: folders of this machine, and whatever fsspec reaches.

Both are `scalable_core.types.Storage`. Workers use them too, whose image has neither attrs nor plugins: nothing
else is imported before it is needed.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from scalable_core.errors import StorageError

if TYPE_CHECKING:
    from scalable_core.types import StoredObject

_PIECE = 1024 * 1024
_DAY = 86_400
#: Folder of what is being written; no object's key starts with it.
_ASIDE = ".aside"
#: Services of fsspec that show an object when it is whole. Elsewhere it is written aside and renamed.
_OBJECT_STORES = frozenset(
    {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "oci", "r2", "memory"}
)


def plain_storage(uri: str) -> FolderStorage | FsspecStorage:
    """Return the storage of a URI as it is without any plugin: a folder, or what fsspec makes of its scheme.

    Raises:
        StorageError: The URI names another machine's folder, or fsspec has nothing for its scheme.
    """
    if "://" not in uri or uri.lower().startswith("file:"):
        return FolderStorage(uri)
    return FsspecStorage(uri)


class FolderStorage:
    """The files below a folder, which is made when the first object is written.

    Args:
        uri: The folder, as a path or as a ``file:`` URI.
    """

    def __init__(self, uri: str) -> None:
        self._root = _folder(uri)
        self.uri = self._root.as_uri() if "://" in uri else str(self._root)
        self._swept = False

    def get(self, key: str) -> bytes:
        """Return the bytes of an object."""
        with self._trouble("read", key), _missing(self.uri, key):
            return self._path(key).read_bytes()

    def put(self, key: str, data: bytes | Path) -> None:
        """Write an object, over one that is there."""
        with self._trouble("written", key), self._written(key, data) as aside:
            os.replace(aside, self._path(key))

    def put_if_absent(self, key: str, data: bytes | Path) -> bool:
        """Write an object unless there is one; return whether this call has written it."""
        path = self._path(key)
        if path.exists():
            return False
        with self._trouble("written", key), self._written(key, data) as aside:
            return _take_name(aside, path)

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """Yield all objects whose key starts with a prefix, by key."""
        from scalable_core.types import StoredObject

        folder, _, _ = prefix.rpartition("/")
        start = self._path(folder) if folder else self._root
        with self._trouble("listed", prefix):
            for entry in _files(start):
                key = Path(entry.path).relative_to(self._root).as_posix()
                if not key.startswith(prefix) or key.startswith(f"{_ASIDE}/"):
                    continue
                try:
                    found = entry.stat()
                except FileNotFoundError:
                    continue  # gone since
                yield StoredObject(key=key, size=found.st_size, modified=found.st_mtime)

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""
        with self._trouble("removed", key):
            try:
                self._path(key).unlink(missing_ok=True)
            except NotADirectoryError:
                pass

    def stream(self, key: str) -> Iterator[bytes]:
        """Yield the bytes of an object in pieces of bounded size."""
        with (
            self._trouble("read", key),
            _missing(self.uri, key),
            open(self._path(key), "rb") as file,
        ):
            while piece := file.read(_PIECE):
                yield piece

    @contextmanager
    def _written(self, key: str, data: bytes | Path) -> Iterator[Path]:
        """The whole object under a name aside, which is free in the end; the object's folder is there."""
        aside = self._root / _ASIDE / uuid.uuid4().hex
        aside.parent.mkdir(parents=True, exist_ok=True)
        self._sweep()
        try:
            with open(aside, "xb") as file:
                for piece in _pieces(data):
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
            self._path(key).parent.mkdir(parents=True, exist_ok=True)
            yield aside
        finally:
            aside.unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Remove, once, what writers that were killed have left aside."""
        if self._swept:
            return
        self._swept = True
        for entry in _files(self._root / _ASIDE):
            try:
                if time.time() - entry.stat().st_mtime > _DAY:
                    os.unlink(entry.path)
            except FileNotFoundError:
                pass

    def _path(self, key: str) -> Path:
        return self._root.joinpath(*_parts(self.uri, key))

    @contextmanager
    def _trouble(self, what: str, key: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StorageError(
                f"{self.uri}/{key} cannot be {what}: {error.strerror or error}",
                cure=f"see that {self.uri} is a folder with room in which you may write",
            ) from error


class FsspecStorage:
    """The objects below any URI that fsspec knows.

    Args:
        uri: Such as ``s3://bucket/prefix`` or ``sftp://host/folder``.

    Raises:
        StorageError: fsspec does not know the scheme, or the package for it is not installed.
    """

    def __init__(self, uri: str) -> None:
        from fsspec.core import url_to_fs

        self.uri = uri.rstrip("/")
        try:
            self._fs, base = url_to_fs(self.uri)
        except (ImportError, ValueError) as error:
            raise StorageError(
                f"{uri} cannot be opened: {error}",
                cure="install the plugin or the fsspec package of its scheme, or name another place",
            ) from error
        self._base = str(base).rstrip("/")
        known = self._fs.protocol
        self._at_once = not _OBJECT_STORES.isdisjoint((known,) if isinstance(known, str) else known)

    def get(self, key: str) -> bytes:
        """Return the bytes of an object."""
        with self._trouble("read", key), _missing(self.uri, key):
            data: bytes = self._fs.cat_file(self._path(key))
            return data

    def put(self, key: str, data: bytes | Path) -> None:
        """Write an object, over one that is there."""
        path = self._path(key)
        with self._trouble("written", key, missing=True):
            if self._at_once:
                self._fs.pipe_file(path, _bytes(data))
            else:
                with self._written(path, data) as aside:
                    self._fs.mv(aside, path)

    def put_if_absent(self, key: str, data: bytes | Path) -> bool:
        """Write an object unless there is one, in one step where the file system can do that."""
        path = self._path(key)
        with self._trouble("written", key, missing=True):
            if not self._at_once:
                with self._written(path, data) as aside:
                    if self._fs.exists(path):
                        return False
                    self._fs.mv(aside, path)
                return True
            if self._fs.exists(path):  # also for those who take no notice of the condition
                return False
            try:
                self._fs.pipe_file(path, _bytes(data), mode="create")
            except FileExistsError:
                return False
            except (TypeError, NotImplementedError):  # this file system knows no conditions
                self._fs.pipe_file(path, _bytes(data))
            return True

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """Yield all objects whose key starts with a prefix, by key."""
        from scalable_core.types import StoredObject

        folder = prefix.rpartition("/")[0]
        start = self._path(folder) if folder else self._base
        with self._trouble("listed", prefix):
            try:
                self._fs.invalidate_cache()
                found = self._fs.find(start, detail=True)
            except FileNotFoundError:
                found = {}
            for path, info in sorted(found.items()):
                key = path[len(self._base) :].lstrip("/")
                if key.startswith(prefix) and not key.startswith(f"{_ASIDE}/"):
                    yield StoredObject(
                        key=key, size=int(info.get("size") or 0), modified=_modified(info)
                    )

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""
        with self._trouble("removed", key):
            try:
                self._fs.rm_file(self._path(key))
            except (FileNotFoundError, NotADirectoryError):
                pass

    def stream(self, key: str) -> Iterator[bytes]:
        """Yield the bytes of an object in pieces of bounded size."""
        with (
            self._trouble("read", key),
            _missing(self.uri, key),
            self._fs.open(self._path(key), "rb", cache_type="none") as file,
        ):
            while piece := file.read(_PIECE):
                yield piece

    @contextmanager
    def _written(self, path: str, data: bytes | Path) -> Iterator[str]:
        """The whole object under a name aside, which is free in the end; the object's folder is there."""
        aside = f"{self._base}/{_ASIDE}/{uuid.uuid4().hex}"
        self._fs.makedirs(aside.rpartition("/")[0], exist_ok=True)
        self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
        try:
            self._fs.pipe_file(aside, _bytes(data))
            yield aside
        finally:
            if self._fs.exists(aside):
                self._fs.rm_file(aside)

    def _path(self, key: str) -> str:
        return f"{self._base}/{'/'.join(_parts(self.uri, key))}"

    @contextmanager
    def _trouble(self, what: str, key: str, *, missing: bool = False) -> Iterator[None]:
        """Say what went wrong; ``missing``: also when something is not there, as a bucket to be written to."""
        try:
            yield
        except StorageError:
            raise
        except Exception as error:
            if isinstance(error, FileNotFoundError) and not missing:
                raise
            raise StorageError(
                f"{self.uri}/{key} cannot be {what}: {error or type(error).__name__}",
                cure="see that the place exists, that you may use it, and that it can be reached",
            ) from error


def _folder(uri: str) -> Path:
    if "://" not in uri:
        return Path(uri).expanduser().absolute()
    parts = urlsplit(uri)
    if parts.scheme.lower() != "file" or parts.netloc not in ("", "localhost"):
        raise StorageError(
            f"{uri} is not a folder of this machine", cure="write file:///path/to/folder"
        )
    return Path(unquote(parts.path)).absolute()


def _parts(uri: str, key: str) -> list[str]:
    parts = key.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\\" in key or "\0" in key:
        raise StorageError(
            f"{key!r} cannot name an object below {uri}", cure="use a relative path without '..'"
        )
    return parts


def _files(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Yield the files below a folder in the order of their keys."""
    try:
        with os.scandir(folder) as found:
            entries = {entry.name + "/" * entry.is_dir(): entry for entry in found}
    except (FileNotFoundError, NotADirectoryError):
        return
    for name, entry in sorted(entries.items()):
        if name.endswith("/"):
            yield from _files(Path(entry.path))
        else:
            yield entry


def _pieces(data: bytes | Path) -> Iterator[bytes]:
    if not isinstance(data, Path):
        yield data
        return
    with open(data, "rb") as file:
        while piece := file.read(_PIECE):
            yield piece


def _bytes(data: bytes | Path) -> bytes:
    return data.read_bytes() if isinstance(data, Path) else data


def _take_name(aside: Path, path: Path) -> bool:
    """Give a file its name, in one step; False when the name is taken."""
    try:
        os.link(aside, path)
    except FileExistsError:
        return False
    except OSError:
        # No hard links here, as on some network file systems: take the name, then fill it.
        try:
            path.touch(exist_ok=False)
        except FileExistsError:
            return False
        os.replace(aside, path)
    return True


@contextmanager
def _missing(uri: str, key: str) -> Iterator[None]:
    """Say in one way that there is no such object, also where a part of its path is a file, or it a folder."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, FileExistsError):
        raise FileNotFoundError(f"there is no {uri}/{key}") from None


def _modified(info: dict[str, Any]) -> float | None:
    from datetime import datetime

    for name in ("mtime", "LastModified", "last_modified", "updated", "modified", "created"):
        value: Any = info.get(name)
        if isinstance(value, (int, float)):
            return float(value)
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, str):
            try:
                return datetime.fromisoformat(value).timestamp()
            except ValueError:
                continue
    return None
