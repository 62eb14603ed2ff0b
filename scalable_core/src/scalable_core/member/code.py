"""The travelling code at its destination: each worker process runs exactly what the run started with.

`CodePlugin` carries the zip of `bundle` to every worker process, present and future. There, before any task:

* the zip's SHA-256 is checked;
* a finder comes first in ``sys.meta_path``, which takes the source of each module in the zip from the zip, and
  from nowhere else. An old copy in an image, on ``PYTHONPATH`` or in the folder itself never wins, and edits
  while the run goes on reach no worker, whenever it was started;
* modules of these names that were imported from elsewhere are forgotten, so that tasks import them anew.

Where a module seems to lie, its ``__file__``, depends on the file system. If the worker sees the zip where the
driver wrote it, it sees the driver's files, and modules have their place in the workflow's folder: data beside
a module are found there, as they are now. Anywhere else, as in a container, everything is unpacked into a
folder of the worker; data then are those that travelled, which are the data inside packages.

The driver's own process, where workers can be threads, is left alone. Imports distributed: import it inside
functions.
"""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
import io
import logging
import os
import sys
import uuid
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from distributed import WorkerPlugin  # noqa: TID253

from scalable_core.errors import ClusterError
from scalable_core.member.bundle import CORE, Bundle, build_bundle

__all__ = ["Bundle", "CodeFinder", "CodePlugin", "build_bundle", "install_code"]

logger = logging.getLogger("scalable.code")

#: Plugins made in this process and not unpickled, with the process's id, which a fork does not share.
_made_here: dict[str, int] = {}


class CodePlugin(WorkerPlugin):  # type: ignore[misc,unused-ignore]
    """Brings the code of a run to each worker process of its cluster.

    Args:
        bundle: The code.
    """

    name = "scalable-code"

    def __init__(self, bundle: Bundle) -> None:
        self.path, self.folder = str(bundle.path), str(bundle.folder)
        self.digest = bundle.digest
        self.data = bundle.path.read_bytes()
        self.token = uuid.uuid4().hex
        _made_here[self.token] = os.getpid()

    def setup(self, worker: Any) -> None:
        """Install the code, before the worker takes tasks; a worker that cannot takes none.

        Raises:
            ClusterError: The code is not what it should be.
            SystemExit: The same in a worker that is being started: its start fails.
        """
        if _made_here.get(self.token) == os.getpid():
            return
        try:
            own = Path(worker.local_directory) / f"code-{self.digest[:12]}"
            folder = Path(self.folder) if Path(self.path).is_file() else None
            install_code(self.data, self.digest, folder=folder, unpack_to=own)
        except ClusterError as error:
            if not worker.periodic_callbacks["heartbeat"].is_running():
                raise SystemExit(str(error)) from error  # Dask only logs other errors
            worker.loop.add_callback(worker.close, reason="scalable-code")
            raise


def install_code(data: bytes, digest: str, *, folder: Path | None, unpack_to: Path) -> None:
    """Make this process import the code of a bundle, whatever else it would find.

    Args:
        data: The zip.
        digest: What its SHA-256 must be, in hex.
        folder: The workflow's folder, where this process sees the driver's file system; Scalable itself is then
            the driver's own, as it is.
        unpack_to: Where to put the files otherwise.

    Raises:
        ClusterError: The hash is another one, or Scalable was imported from another bundle.
    """
    actual = hashlib.sha256(data).hexdigest()
    if actual != digest:
        raise ClusterError(
            f"the code that reached this worker has the hash {actual[:12]}, not {digest[:12]}",
            cure="run again; if it happens again, something between driver and worker changes data",
        )
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        if folder is None:
            _check_core(digest)
            archive.extractall(unpack_to)
        else:
            names = [name for name in names if name.split("/")[0] not in CORE]
        sources = {name: archive.read(name) for name in names if name.endswith(".py")}
    root = str(unpack_to if folder is None else folder)
    sys.path[:] = [root, *(path for path in sys.path if path != root)]
    sys.meta_path[:] = [f for f in sys.meta_path if not isinstance(f, CodeFinder)]
    finder = CodeFinder(Path(root), sources)
    sys.meta_path.insert(0, finder)
    _forget(finder, digest)
    importlib.invalidate_caches()


class CodeFinder:
    """Finds the modules of a bundle and gives them the source that travelled.

    Args:
        root: Folder in which the modules seem to lie.
        sources: File name with slashes, relative to the root, to source.
    """

    def __init__(self, root: Path, sources: Mapping[str, bytes]) -> None:
        self.root = root
        self.sources = sources

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return where a module comes from; None when the bundle has no such module."""
        file = self.file_of(name)
        if file is None:
            return None
        location = self.root / file
        self._notice_edit(name, location, self.sources[file])
        package = location.name == "__init__.py"
        return importlib.util.spec_from_file_location(
            name,
            str(location),
            loader=_Loader(name, str(location), self.sources[file]),
            submodule_search_locations=[str(location.parent)] if package else None,
        )

    def file_of(self, name: str) -> str | None:
        """Return the file of a module in the bundle; None when there is none."""
        stem = name.replace(".", "/")
        files = (f"{stem}/__init__.py", f"{stem}.py")
        return next((file for file in files if file in self.sources), None)

    def _notice_edit(self, name: str, location: Path, source: bytes) -> None:
        try:
            same = location.read_bytes() == source
        except OSError:
            same = False
        if not same:
            logger.warning(
                "%s has changed since the run started; the run keeps %s as it was", location, name
            )


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, source: bytes) -> None:
        super().__init__(name, path)
        self._source = source

    def get_data(self, path: str) -> bytes:
        return self._source if path == self.path else super().get_data(path)

    def path_stats(self, path: str) -> Mapping[str, Any]:
        raise OSError("no compiled file is looked for: it may be of another version of the source")


def _forget(finder: CodeFinder, digest: str) -> None:
    """Forget modules of the bundle's names that came from elsewhere, so that they are imported anew."""
    tops = {name.split("/")[0].removesuffix(".py") for name in finder.sources}
    for name, module in list(sys.modules.items()):
        origin = getattr(module, "__file__", None) or ""
        if name.split(".")[0] not in tops or (name.split(".")[0] in CORE and digest in origin):
            continue
        logger.info("%s of %s makes way for that of the run", name, origin)
        del sys.modules[name]


def _check_core(digest: str) -> None:
    """Refuse to mix: a process that has imported Scalable from a bundle must have it from this one."""
    archive = getattr(sys.modules[__name__].__loader__, "archive", None)
    if archive is None:
        return
    actual = hashlib.sha256(Path(archive).read_bytes()).hexdigest()
    if actual != digest:
        raise ClusterError(
            f"{archive} in this worker has the hash {actual[:12]}, the code of the run {digest[:12]}",
            cure="start the worker with the zip of its own run",
        )
