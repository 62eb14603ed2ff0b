"""Which target, and which overlays, a reading is for."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Any, Final

from scalable_core.manifest.findings import Findings
from scalable_core.manifest.tree import TOP, Map, Path, Template, locate


class Auto(enum.Enum):
    """The type of `AUTO`."""

    AUTO = "auto"


#: Choose the target: ``SCALABLE_TARGET``, else the only one, else ``local``.
AUTO: Final = Auto.AUTO

TARGET_VARIABLE = "SCALABLE_TARGET"


def choose_target(
    root: Map, wanted: str | Auto | None, environ: Mapping[str, str], findings: Findings
) -> str | None:
    """Return the name of the selected target; None for none in particular, or when there is no such target.

    Args:
        root: The document, overlays of the command line laid over it.
        wanted: A name, `AUTO`, or None.
        environ: Where ``SCALABLE_TARGET`` may be set.
        findings: Takes what is wrong.
    """
    targets = root["targets"]
    if not targets:
        at = locate(root, ("targets",), key=True) if "targets" in root.marks else TOP
        example = "write for example targets: {local: {provider: local}}"
        if not findings.told(("targets",)):
            findings.add("E0109", "there are no targets", path=("targets",), at=at, cure=example)
        return None
    if isinstance(wanted, Auto):
        name = environ.get(TARGET_VARIABLE) or _default(targets)
        by = f" ({TARGET_VARIABLE})"
        if name is None:
            message = f"there are {len(targets)} targets and none is called local"
            names = f"name one with --target: {', '.join(list(targets)[:20])}"
            findings.add_at(root, ("targets",), "E0208", message, key=True, cure=names)
    else:
        name, by = wanted, ""
    if name is not None and name not in targets:
        cure = findings.suggest(name, targets, listed="defined")
        message = f"there is no target {name[:60]!r}{by}"
        findings.add_at(root, ("targets",), "E0204", message, key=True, cure=cure)
        return None
    return name


def _default(targets: Map) -> str | None:
    return next(iter(targets)) if len(targets) == 1 else "local" if "local" in targets else None


def existing_overlays(
    root: Map, names: Sequence[str], findings: Findings, *, path: Path | None = None
) -> tuple[str, ...]:
    """Return those of the names that are overlays; the others are noted.

    Args:
        root: The document.
        names: As given.
        findings: Takes what is wrong.
        path: Where in the document they are given; None for the command line.
    """
    overlays = root["overlays"]
    for name in names:
        if name not in overlays:
            cure = findings.suggest(name, overlays, listed="defined") or "define it under overlays"
            message = f"there is no overlay {name[:60]!r}"
            if path is None:
                at = locate(root, ("overlays",), key=True) if "overlays" in root.marks else None
                findings.add("E0205", message, path=("overlays",), at=at, cure=cure)
            else:
                findings.add_at(root, path, "E0205", message, cure=cure)
    return tuple(name for name in names if name in overlays)


def overlay_names(value: Any) -> tuple[str, ...] | None:
    """Return the names that a target's ``overlay:`` gives, None when they are no names."""
    if value is None:
        return ()
    names = value if isinstance(value, list) else [value]
    if all(isinstance(name, str) and not isinstance(name, Template) for name in names):
        return tuple(str(name) for name in names)
    return None
