"""What is installed, from the metadata of dists alone: nothing of a plugin is imported here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal

from attrs import frozen

if TYPE_CHECKING:
    from importlib.metadata import Distribution

Kind = Literal["provider", "extension", "scheme", "command", "dist"]

GROUPS: dict[str, Kind] = {
    "scalable.providers": "provider",
    "scalable.extensions": "extension",
    "scalable.artifact_schemes": "scheme",
    "scalable.commands": "command",
}

_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*(:[^\W\d]\w*(\.[^\W\d]\w*)*)?\Z")


@frozen(kw_only=True)
class Entry:
    """One entry point of an installed dist, or a dist whose entry points cannot be read.

    Attributes:
        kind: What it offers; ``dist`` when the dist itself is what cannot be read.
        name: The provider, extension, URI scheme or command; the dist's name for the kind ``dist``.
        value: The module as the entry point names it, with ``:attribute`` for a command.
        dist: Name of the dist.
        version: Its version; ``?`` when its metadata do not say.
        requires: Its requirements, as written.
        fault: Why it cannot be used, when the metadata alone show it.
    """

    kind: Kind
    name: str
    value: str = ""
    dist: str
    version: str
    requires: tuple[str, ...] = ()
    fault: str | None = None

    @property
    def label(self) -> str:
        """``provider 'aws' (scalable-aws 0.1.0)``, as errors name it."""
        if self.kind == "dist":
            return f"dist {self.dist!r}"
        noun = "artifact scheme" if self.kind == "scheme" else self.kind
        return f"{noun} {self.name!r} ({self.dist} {self.version})"


@frozen(kw_only=True)
class Catalogue:
    """Every entry of every installed dist, each dist once."""

    entries: tuple[Entry, ...]

    def named(self, kind: Kind, name: str) -> tuple[Entry, ...]:
        """Return the entries of that name; more than one means that two dists claim it."""
        return tuple(e for e in self.entries if e.kind == kind and e.name == name)

    def names(self, kind: Kind) -> tuple[str, ...]:
        """Return the names of a kind, sorted."""
        return tuple(sorted({entry.name for entry in self.entries if entry.kind == kind}))


def discover() -> Catalogue:
    """Look at every dist on ``sys.path``, editable ones too.

    A dist that is there twice counts once: the one found first, as Python itself would import it, unless
    that one is a leftover without readable metadata.
    """
    from importlib.metadata import distributions

    dists: dict[str, tuple[Entry, ...]] = {}
    for dist in distributions():
        entries = tuple(_read(dist))
        if not entries:
            continue
        key = re.sub(r"[-_.]+", "-", entries[0].dist).lower()
        if key not in dists or (_unusable(dists[key]) and not _unusable(entries)):
            dists[key] = entries
    found = (entry for entries in dists.values() for entry in entries)
    return Catalogue(entries=tuple(sorted(found, key=lambda e: (e.kind, e.name, e.dist, e.value))))


def _unusable(entries: tuple[Entry, ...]) -> bool:
    return all(entry.fault for entry in entries)


def _read(dist: Distribution) -> Iterator[Entry]:
    try:
        text = dist.read_text("entry_points.txt")
    except UnicodeDecodeError as error:
        if b"scalable." in error.object:
            yield _broken(dist, f"its entry_points.txt is not UTF-8 ({error.reason})")
        return
    except Exception:
        return  # nothing says that it has to do with Scalable
    if not text or "scalable." not in text:
        return
    try:
        points = [(point.group, point.name, point.value) for point in dist.entry_points]
    except Exception:
        yield _broken(dist, f"its entry_points.txt cannot be read: {_bad_line(text)}")
        return
    name, version, requires, fault = _identity(dist)
    for group, key, value in dict.fromkeys(points):
        kind = GROUPS.get(group)
        if kind is None:
            near = get_close_matches(group, GROUPS, n=1, cutoff=0.85)
            if near:
                cause = f"it has an unknown entry-point group {group!r}; did you mean {near[0]!r}?"
                yield Entry(kind="dist", name=name, dist=name, version=version, fault=cause)
        else:
            module = value.replace(" ", "")
            wrong = None if _MODULE.match(module) else f"its entry point {value!r} is not a module"
            yield Entry(
                kind=kind,
                name=key,
                value=module,
                dist=name,
                version=version,
                requires=requires,
                fault=fault or wrong,
            )


def _broken(dist: Distribution, fault: str) -> Entry:
    name, version, _, _ = _identity(dist)
    return Entry(kind="dist", name=name, dist=name, version=version, fault=fault)


def _identity(dist: Distribution) -> tuple[str, str, tuple[str, ...], str | None]:
    """Return name, version, requirements and what is wrong with them."""
    try:
        metadata = dist.metadata
        if "Name" in metadata and "Version" in metadata:
            return metadata["Name"], metadata["Version"], tuple(dist.requires or ()), None
    except Exception:
        pass  # no METADATA, or not text: what pip leaves of an interrupted uninstall
    stem = str(getattr(dist, "_path", "unknown")).replace("\\", "/").rpartition("/")[2]
    name, _, version = stem.removesuffix(".dist-info").removesuffix(".egg-info").partition("-")
    fault = f"its METADATA is missing or cannot be read ({stem})"
    return name.replace("_", "-"), version.partition("-")[0] or "?", (), fault


def _bad_line(text: str) -> str:
    """Return the first line that is neither blank, comment, section nor ``name = value``."""
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()
        if line and line[0] not in "#;[" and "=" not in line:
            return f"line {number} is {line!r}, not 'name = module'"
    return "it is not in the format of entry points"
