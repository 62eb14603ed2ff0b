"""Packs this environment's packages into one zip for workers whose image has Python alone.

A distribution travels as it is installed here, with its bytecode, if its compiled parts run there, as those
of wheels for many Linuxes do, and as what was built here does on the same kind of machine, with a C library
as new. What is pure travels in any case. A local project that is installed as editable is built first. What
was built for another platform, or by another package manager than pip and uv, comes from the package index in
the same version. A distribution that has neither is refused before anything is created; one from a path or a
repository is never looked for in an index. What was made once is used again as long as it has the same
content.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import Distribution, distributions
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from attrs import field, frozen

from scalable_core.errors import ClusterError, UsageError
from scalable_core.session.environment import pack_up
from scalable_core.session.parcel import folder_stamp
from scalable_core.session.planning import image_platform
from scalable_core.types import Environment, Plan
from scalable_core.types.units import format_size

#: Machines by the second word of a platform of images.
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
#: The newest C library for which wheels are taken from an index: that of distributions from 2022 on.
GLIBC = 34
#: Seconds after which what was made and is not used is removed.
KEPT = 30 * 86400.0

_MANYLINUX = {"manylinux1": 5, "manylinux2010": 12, "manylinux2014": 17}
_BUILT = re.compile(r"manylinux_2_(\d+)_(.+)|(manylinux1|manylinux2010|manylinux2014)_(.+)")


@frozen
class _Part:
    """A distribution and what is known of its files."""

    dist: Distribution
    origin: Mapping[str, Any]
    files: Sequence[PurePosixPath]
    tags: frozenset[str]

    @property
    def title(self) -> str:
        return f"{self.dist.name} {self.dist.version}"

    @property
    def is_editable(self) -> bool:
        return bool(self.origin.get("dir_info", {}).get("editable"))

    @property
    def is_pure(self) -> bool:
        return self.tags == {"any"}


@frozen
class _Fit:
    """Whether compiled parts run there, and with which C library; ``glibc`` is the minor of glibc 2."""

    fits: bool
    glibc: int | None = field(default=None)


def pack_for(plan: Plan, *, say: Callable[..., None]) -> Environment:
    """Return the zip of what travels for a plan.

    Args:
        plan: With a group that has no image.
        say: Takes the kind and the text of an event.

    Raises:
        ClusterError: A distribution cannot travel.
    """
    dists = pack_up(plan).distributions.values()
    store = Path(plan.stores.records).parent / "environments"
    made = pack_environment(dists, image_platform=image_platform(plan), store=store)
    say(
        "environment.ready",
        f"{len(dists)} packages of this environment go to workers without an image, {format_size(made.size)}",
        digest=made.digest,
        packages=list(plan.packages),
    )
    return made


def pack_environment(
    dists: Iterable[Distribution], *, image_platform: str, store: Path
) -> Environment:
    """Return the zip of distributions for a platform, made at most once for each content.

    Args:
        dists: What travels.
        image_platform: Such as ``linux/amd64``.
        store: Folder that keeps what is made.

    Raises:
        ClusterError: A distribution cannot travel to that platform.
    """
    machine = MACHINES[image_platform.split("/")[1]]
    parts = [_part(dist) for dist in dists]
    marks = [image_platform, platform.python_version(), *map(_stamp, parts)]
    key = hashlib.sha256(json.dumps(marks).encode()).hexdigest()
    note = store / f"{key[:32]}.json"
    if not note.exists():
        store.mkdir(parents=True, exist_ok=True)
        _make(parts, note, machine=machine, store=store)
    known = json.loads(note.read_text(encoding="utf-8"))
    note.touch()
    return Environment(
        path=store / f"{known['digest']}.zip",
        digest=known["digest"],
        size=(store / f"{known['digest']}.zip").stat().st_size,
        folder=store / known["digest"],
        python="{}.{}".format(*sys.version_info[:2]),
        machine=None if known["glibc"] is None else machine,
        glibc=None if known["glibc"] is None else f"2.{known['glibc']}",
    )


def _make(parts: Sequence[_Part], note: Path, *, machine: str, store: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=".packing-", dir=store) as name:
        tree, aside = Path(name) / "packages", Path(name) / "packages.zip"
        tree.mkdir()
        oldest: list[int] = []
        absent = []
        for part in parts:
            if part.is_editable:
                oldest += _build(part, tree, machine)
                continue
            fit = _fit(part, machine)
            if fit.fits:
                _copy(part, tree)
                oldest += [fit.glibc] if fit.glibc is not None else []
            elif part.origin:
                raise _cannot(part, machine, "and it is not from a package index")
            else:
                absent.append(part)
        oldest += _fetch(absent, tree, machine)
        digest = _zip(tree, aside)
        _forget_old(store)
        aside.replace(store / f"{digest}.zip")
        if not (store / digest).is_dir():  # another run may have made it, and use it
            try:
                tree.replace(store / digest)
            except OSError:  # it has done so at this moment
                if not (store / digest).is_dir():
                    raise
        known = {"digest": digest, "glibc": max(oldest, default=None)}
        fresh = Path(name) / "note"
        fresh.write_text(json.dumps(known), encoding="utf-8")
        fresh.replace(note)


def _forget_old(store: Path) -> None:
    """Remove what no run has used for long."""
    for note in store.glob("*.json"):
        if note.stat().st_mtime < time.time() - KEPT:
            digest = json.loads(note.read_text(encoding="utf-8"))["digest"]
            note.unlink()
            (store / f"{digest}.zip").unlink(missing_ok=True)
            shutil.rmtree(store / digest, ignore_errors=True)


# -- what is known of a distribution -----------------------------------------------------------------------


def _part(dist: Distribution) -> _Part:
    origin = json.loads(dist.read_text("direct_url.json") or "{}")
    wheel = dist.read_text("WHEEL")
    tags = re.findall(r"^Tag:\s*(\S+)", wheel or "", re.MULTILINE)
    files = [PurePosixPath(str(path)) for path in (dist.files or ())] if wheel else []
    return _Part(dist, origin, files, frozenset(tag.rpartition("-")[2] for tag in tags))


def _stamp(part: _Part) -> str:
    """Return what changes when what travels of a distribution does."""
    text = part.dist.read_text("RECORD") or ""
    if part.is_editable:
        text = folder_stamp(_source(part))
    return f"{part.title} {json.dumps(part.origin)} {hashlib.sha256(text.encode()).hexdigest()}"


def _source(part: _Part) -> Path:
    folder = Path(unquote(urlsplit(part.origin["url"]).path))
    if not folder.is_dir():
        raise UsageError(
            f"{part.title} is installed from {folder}, which is gone",
            cure="install it again from where it is now",
        )
    return folder


def _fit(part: _Part, machine: str) -> _Fit:
    """Say whether a distribution runs there just as it is installed here."""
    if not part.files:
        return _Fit(fits=False)
    if part.is_pure:
        return _Fit(fits=True)
    found = [_BUILT.fullmatch(tag) for tag in part.tags]
    minors = [
        int(match[1]) if match[1] else _MANYLINUX[match[3]]
        for match in found
        if match and machine in (match[2], match[4])
    ]
    if minors:
        return _Fit(fits=True, glibc=min(minors))
    here, _, version = _own_libc().partition(" ")
    by_pip = (part.dist.read_text("INSTALLER") or "").strip() in ("pip", "uv")
    same = f"linux_{machine}" in part.tags and here == "glibc" and by_pip
    return _Fit(fits=same, glibc=int(version.split(".")[1]) if same else None)


def _own_libc() -> str:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (AttributeError, OSError, ValueError):
        return ""


def _cannot(part: _Part, machine: str, reason: str) -> ClusterError:
    built = ", ".join(sorted(part.tags)) or "this machine"
    return ClusterError(
        f"{part.title} cannot be brought to workers without an image: it is built for {built}, they run on "
        f"linux_{machine} with Python {sys.version_info[0]}.{sys.version_info[1]}, {reason}",
        cure="give the component an image that has it",
    )


# -- where the files come from -----------------------------------------------------------------------------


def _copy(part: _Part, tree: Path) -> None:
    """Copy the files of a distribution; what it has outside of its own place travels if it is a program."""
    for name in part.files:
        place = Path(str(part.dist.locate_file(name)))
        relative = PurePosixPath(os.path.normpath(name))
        if ".." in relative.parts:
            if relative.parent.name != "bin":
                continue
            relative = PurePosixPath("bin") / relative.name
        if relative.is_absolute() or relative.suffix in (".pyc", ".pth") or not place.is_file():
            continue
        target = tree / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        if relative.parts[0] == "bin":
            target.write_bytes(_neutral(place.read_bytes()))
        else:
            shutil.copyfile(place, target)
        if os.access(place, os.X_OK):
            target.chmod(0o755)
        if relative.suffix == ".py":
            _copy_bytecode(place, target)


def _neutral(program: bytes) -> bytes:
    """Let a program of Python's run by whichever Python is first on ``PATH``."""
    first, _, rest = program.partition(b"\n")
    if first.startswith(b"#!") and b"python" in first:
        return b"#!/usr/bin/env python3\n" + rest
    return program


def _copy_bytecode(source: Path, target: Path) -> None:
    """Copy what Python has compiled of a file, as code that need not be checked against the file again."""
    cached = Path(importlib.util.cache_from_source(str(source)))
    try:
        data, facts = cached.read_bytes(), source.stat()
    except OSError:
        return
    stamp = int(facts.st_mtime) & 0xFFFFFFFF, facts.st_size & 0xFFFFFFFF
    found = tuple(int.from_bytes(data[at : at + 4], "little") for at in (4, 8, 12))
    if data[:4] != importlib.util.MAGIC_NUMBER or found != (0, *stamp):
        return
    place = Path(importlib.util.cache_from_source(str(target)))
    place.parent.mkdir(exist_ok=True)
    known = importlib.util.source_hash(source.read_bytes())
    place.write_bytes(data[:4] + (1).to_bytes(4, "little") + known + data[16:])


def _build(part: _Part, tree: Path, machine: str) -> list[int]:
    """Build a local project and lay it out."""
    with tempfile.TemporaryDirectory(prefix="scalable-") as folder:
        problem = _install([str(_source(part))], Path(folder))
        if problem is not None:
            raise ClusterError(
                f"{part.title} is a local project, and cannot be built for the workers: {problem}",
                cure=f"see what fails with: pip wheel --no-deps {_source(part)}",
            )
        return _take(part, Path(folder), tree, machine)


def _fetch(parts: Sequence[_Part], tree: Path, machine: str) -> list[int]:
    """Get distributions as wheels for another platform, each in the version that is installed here."""
    oldest: list[int] = []
    for part in parts:
        with tempfile.TemporaryDirectory(prefix="scalable-") as folder:
            pin = f"{part.dist.name}=={part.dist.version}"
            problem = _install([pin], Path(folder), machine=machine)
            if problem is not None:
                raise _cannot(part, machine, f"and no such wheel could be got: {problem}")
            oldest += _take(part, Path(folder), tree, machine)
    return oldest


def _take(part: _Part, folder: Path, tree: Path, machine: str) -> list[int]:
    for dist in distributions(path=[str(folder)]):
        made = _part(dist)
        fit = _fit(made, machine)
        if not fit.fits:
            raise _cannot(made, machine, "and was built here")
        _copy(made, tree)
        return [fit.glibc] if fit.glibc is not None else []
    raise _cannot(part, machine, "and building it gave nothing")


def _install(what: list[str], folder: Path, *, machine: str | None = None) -> str | None:
    """Install into a folder with uv, or with pip where there is no uv; return what went wrong, or None."""
    version = "{}.{}".format(*sys.version_info[:2])
    if uv := _find_uv():
        command = [uv, "pip", "install", "--quiet", "--no-deps", f"--target={folder}"]
        command += [f"--python={sys.executable}", "--refresh"]  # a project may have changed
        if machine:
            command += ["--only-binary=:all:", f"--python-platform={machine}-manylinux_2_{GLIBC}"]
    elif importlib.util.find_spec("pip") is not None:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"]
        command += [f"--target={folder}", "--disable-pip-version-check"]
        if machine:
            tags = [f"manylinux_2_{minor}_{machine}" for minor in range(GLIBC, 4, -1)]
            tags += [f"manylinux2014_{machine}"]
            command += ["--only-binary=:all:", "--implementation=cp", f"--python-version={version}"]
            command += [f"--platform={tag}" for tag in tags]
    else:
        return "there is neither uv nor pip"
    done = subprocess.run([*command, *what], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return next((line for line in lines if "error" in line.lower()), lines[-1] if lines else "?")


def _find_uv() -> str | None:
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.exists() else shutil.which("uv")


# -- the zip -----------------------------------------------------------------------------------------------


def _zip(tree: Path, path: Path) -> str:
    """Write the zip of a folder; return its digest."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for file in sorted(_files(tree)):
            entry = zipfile.ZipInfo(file.relative_to(tree).as_posix(), (1980, 1, 1, 0, 0, 0))
            mode = 0o755 if os.access(file, os.X_OK) else 0o644
            entry.create_system, entry.external_attr = 3, (0o100000 | mode) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, file.read_bytes())
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _files(tree: Path) -> Iterator[Path]:
    return (path for path in tree.rglob("*") if path.is_file())
