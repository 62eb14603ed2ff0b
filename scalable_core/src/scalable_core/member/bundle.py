"""The code that travels: what stands beside the workflow and Scalable itself, in one zip named by its hash.

It holds the modules and packages of the workflow's folder, because a script finds these when it is run, and
`scalable` and `scalable_core`, so that an image needs neither. Everything else belongs into the image. The same
files give the same bytes on every machine.

Left out are hidden folders, virtual environments, folders of installed packages and of caches, folders outside
of packages that hold no Python file, data outside of packages, and data files of more than `MAX_DATA` bytes. So
is a module whose name this process uses for another one already, such as ``queue.py``: on the workers the name
then means what it means here.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from scalable_core.errors import UsageError

logger = logging.getLogger("scalable.code")

#: Bytes of the largest data file of a package that travels.
MAX_DATA = 4 * 2**20
#: Bytes of all that travels from the workflow's folder.
MAX_TOTAL = 64 * 2**20
#: Packages that travel from where they are installed.
CORE = ("scalable", "scalable_core")

_SKIPPED = {"__pycache__", "node_modules", "site-packages", "dist-packages"}
_MODULES = (".py", ".so", ".pyd")


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """The travelling code of one run.

    Attributes:
        path: The zip.
        digest: SHA-256 of the zip in hex; it is part of the file's name too.
        folder: The workflow's folder, which it was made from.
    """

    path: Path
    digest: str
    folder: Path


def build_bundle(workflow: Path, output: Path) -> Bundle:
    """Pack the code that the workers of a workflow need.

    Args:
        workflow: The workflow's file, which need not exist; what counts is its folder.
        output: Folder to put the zip into; made if it is not there.

    Raises:
        UsageError: There is too much of it, or a file cannot be read.
    """
    folder = workflow.absolute().parent
    files = _workflow_files(folder)
    _check_size(folder, files)
    for package in CORE:
        base = Path(__file__).parents[2]
        files.update(_relative(base, _walk(base / package, inside=True)))
    data = _pack(files)
    digest = hashlib.sha256(data).hexdigest()
    output.mkdir(parents=True, exist_ok=True)
    path = output / f"code-{digest}.zip"
    if not path.exists():
        partial = path.with_suffix(f".{os.getpid()}")
        partial.write_bytes(data)
        partial.replace(path)
    return Bundle(path=path.absolute(), digest=digest, folder=folder)


def modules_beside(workflow: Path) -> dict[str, Path]:
    """Return the modules that travel with a workflow, and itself, by path in its folder."""
    folder = workflow.absolute().parent
    found = _relative(folder, _walk(folder, inside=False))
    return {name: path for name, path in found.items() if name.endswith(".py")}


def _workflow_files(folder: Path) -> dict[str, Path]:
    files = _relative(folder, _walk(folder, inside=False))
    tops = {name.split("/")[0].split(".")[0] for name in files}
    left_out = {top for top in tops if top in CORE or _means_another(top, folder)}
    for top in sorted(left_out):
        logger.warning(
            "%s in %s does not go to the workers: this process has another module of that name",
            top,
            folder,
        )
    return {n: path for n, path in files.items() if n.split("/")[0].split(".")[0] not in left_out}


def _walk(folder: Path, *, inside: bool, above: tuple[str, ...] = ()) -> Iterator[Path]:
    """Yield the files of a folder that travel; ``inside`` a package data do too."""
    real = os.path.realpath(folder)
    if real in above:
        return  # a link that leads back
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return  # what may not be read cannot be imported either
    for entry in entries:
        path = Path(entry.path)
        if entry.name.startswith(".") or entry.name in _SKIPPED:
            continue
        if entry.is_dir():
            package = inside or (path / "__init__.py").exists()
            if package or (entry.name.isidentifier() and _has_modules(path)):
                yield from _walk(path, inside=package, above=(*above, real))
        elif entry.name.endswith(_MODULES):
            yield path
        elif inside and entry.is_file() and not entry.name.endswith((".pyc", ".pyo")):
            if entry.stat().st_size <= MAX_DATA:
                yield path
            else:
                logger.warning("%s is too large to go to the workers", path)


def _has_modules(folder: Path) -> bool:
    try:
        names = os.listdir(folder)
    except OSError:
        return False
    return "pyvenv.cfg" not in names and any(name.endswith(_MODULES) for name in names)


def _relative(base: Path, paths: Iterator[Path]) -> dict[str, Path]:
    return {path.relative_to(base).as_posix(): path for path in paths}


def _means_another(name: str, folder: Path) -> bool:
    """Whether this process has imported something else under the name of a module of the folder."""
    if name in sys.builtin_module_names:
        return True
    origin = getattr(sys.modules.get(name), "__file__", None)
    if origin is None or not os.path.exists(origin):
        return False
    ours = [folder / f"{name}.py", folder / name / "__init__.py", *folder.glob(f"{name}.*")]
    return not any(path.exists() and os.path.samefile(origin, path) for path in ours)


def _check_size(folder: Path, files: Mapping[str, Path]) -> None:
    sizes = {name: path.stat().st_size for name, path in files.items()}
    total = sum(sizes.values())
    if total > MAX_TOTAL:
        largest = sorted(sizes, key=lambda name: -sizes[name])[:3]
        names = ", ".join(f"{name} ({sizes[name] / 2**20:.1f} MiB)" for name in largest)
        raise UsageError(
            f"the modules and packages in {folder} are {total / 2**20:.0f} MiB, and at most "
            f"{MAX_TOTAL // 2**20} MiB go to the workers; the largest files are {names}",
            cure="move what the workers do not import to another folder, or large data out of packages",
        )


def _pack(files: Mapping[str, Path]) -> bytes:
    buffer = io.BytesIO()
    # Stored, since compressed bytes differ from one version of zlib to the next.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            try:
                archive.writestr(entry, files[name].read_bytes())
            except OSError as error:
                raise UsageError(
                    f"{files[name]} cannot be read, but has to go to the workers: {error.strerror}",
                    cure="make it readable, or move it to another folder",
                ) from None
    return buffer.getvalue()
